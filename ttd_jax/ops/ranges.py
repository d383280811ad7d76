"""The scale of pixels whose full scale is not that of their type: 12 bits in 16, signed numbers, degrees."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ttd_jax.errors import InputError

Range: TypeAlias = tuple[float | int, float | int]
"""The values that become 0 and 1."""

_MOST_BITS_REFUSED = 14


def to_unit(pixels: np.ndarray, given: Range, name: str) -> tuple[np.ndarray, list[str]]:
    """Pixels of any real type as float32 in [0, 1] by a range, and a remark if values outside it were clipped.

    Raises:
        InputError: The range is empty or not finite, or a pixel is not finite or no real number.
    """
    low, high = float(given[0]), float(given[1])
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"a range is two numbers, the lower one first; got {low:g} and {high:g} for {name}")
    if pixels.dtype.kind not in "buif" or not np.isfinite(pixels).all():
        raise InputError(f"{name}: pixels are finite real numbers; got {pixels.dtype}: mask or fill others first")
    scaled = (pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    outside = float(np.mean((scaled < 0) | (scaled > 1)))
    remarks = (
        [f"{name}: {outside:.1%} of the pixels lie outside {low:g} to {high:g} and were clipped"] if outside else []
    )
    return np.clip(scaled, 0, 1), remarks


def from_unit(image: np.ndarray, given: Range, dtype: np.dtype) -> np.ndarray:
    """What :func:`to_unit` undid: an image in [0, 1] as values of a range, rounded where the type is of integers.

    Raises:
        InputError: The type cannot hold the range.

    Example:
        >>> from_unit(np.array([0.0, 0.5, 1.0]), (0, 4095), np.dtype("uint16")).tolist()
        [0, 2048, 4095]
    """
    low, high = float(given[0]), float(given[1])
    if dtype.kind in "ui" and not np.iinfo(dtype).min <= low < high <= np.iinfo(dtype).max:
        raise InputError(f"{dtype} does not hold values from {low:g} to {high:g}: choose another range, or float32")
    values = low + np.clip(image, 0, 1) * (high - low)
    return np.rint(values).astype(dtype) if dtype.kind in "ui" else values.astype(dtype)


def bits_used(pixels: np.ndarray) -> int:
    """How many bits the largest pixel of a 16-bit image takes; 16 for any other type."""
    return int(pixels.max()).bit_length() if pixels.dtype == np.uint16 and pixels.size else 16


def check_depths(names: Sequence[str], arrays: Sequence[np.ndarray], mixed: bool) -> list[str]:
    """Remarks on 16-bit sources that use less than half of their scale.

    Args:
        names: What each is called.
        arrays: Their pixels.
        mixed: Whether sources of other depths stand beside them.

    Raises:
        InputError: Such a source stands beside one of another depth: 12 bits taken for 16 all but vanish there.
    """
    remarks = []
    for name, pixels in zip(names, arrays, strict=True):
        bits = bits_used(pixels)
        if not 0 < bits < 16:
            continue
        full = 2**bits - 1
        said = f"{name} has 16 bits and uses values up to {int(pixels.max())} of 65535"
        remedy = f"--range {name}=0 {full} (range={{{name!r}: (0, {full})}})"
        if mixed and bits <= _MOST_BITS_REFUSED:
            raise InputError(
                f"{said}, beside a source of another depth, where it would all but vanish: if it has {bits} bits say "
                f"{remedy}; if it is that dark, 0 65535"
            )
        remarks.append(f"{said}: if it has {bits} bits say {remedy}")
    return remarks
