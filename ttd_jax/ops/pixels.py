"""Between the pixel types of files and arrays and float32 in [0, 1].

Full scale is 255 for uint8, 65535 for uint16, 1 for bool and floats.
"""

from typing import Any

import numpy as np

from ttd_jax.errors import InputError

DEPTH_ORDER = tuple(np.dtype(t) for t in ("bool", "uint8", "uint16", "float16", "float32", "float64"))
"""Pixel types from shallow to deep; the result of mixed sources has the deepest."""

_ROUNDING = 2.0**-24  # what vanishes when 1 + it becomes float32
_FULL_SCALE = {np.dtype("uint8"): 255, np.dtype("uint16"): 65535}


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float32 in [0, 1], divided by full scale; floats are taken as they are.

    Raises:
        InputError: The type is not bool, uint8, uint16 or a float; a float is not finite or outside [0, 1].
    """
    if pixels.dtype not in DEPTH_ORDER:
        raise InputError(
            f"pixels are bool, uint8, uint16 or float in [0, 1]; got {pixels.dtype}: "
            "shift and scale them to [0, 1] yourself, so that nothing is guessed"
        )
    scaled = pixels.astype(np.float32) / np.float32(_FULL_SCALE.get(pixels.dtype, 1))
    if pixels.dtype.kind == "f":
        _check_range(pixels)
    return scaled


def _check_range(pixels: np.ndarray) -> None:
    if pixels.size == 0:
        return
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int((~np.isfinite(pixels)).sum())
        raise InputError(f"pixels are finite numbers; got {bad} NaN or infinite ones: mask or fill them first")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"float pixels lie in [0, 1]; got [{low:.9g}, {high:.9g}]: divide by full scale "
            "(255 for 8 bit, 65535 for 16 bit), or rescale with (x - x.min()) / (x.max() - x.min())"
        )


def image_dtype(dtype: Any) -> np.dtype:
    """The pixel type of this name, if an image can have it.

    Raises:
        InputError: It is neither uint8, uint16 nor a float.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in DEPTH_ORDER[1:]:
        raise InputError(f"an image is uint8, uint16, float16, float32 or float64; got {dtype!r}")
    return found


def from_float(image: np.ndarray, dtype: Any) -> np.ndarray:
    """A float image as ``dtype``: clipped to [0, 1], scaled, rounded half to even, cast.

    Raises:
        InputError: The type is none of the pixel types, or a pixel is not finite.
    """
    dtype = image_dtype(dtype)
    if not np.isfinite(image).all():
        raise InputError("the fused image has pixels that are not finite numbers; nothing is returned")
    clipped = np.clip(image, 0, 1)
    if dtype.kind == "f":
        return clipped.astype(dtype)
    return np.rint(clipped * np.float32(_FULL_SCALE[dtype])).astype(dtype)
