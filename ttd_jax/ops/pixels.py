"""What an image is, and the way between the pixel types of files and arrays and float32 in [0, 1].

Full scale is 255 for uint8, 65535 for uint16, 1 for bool and floats.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ttd_jax.errors import InputError

DEPTH_ORDER = tuple(np.dtype(t) for t in ("bool", "uint8", "uint16", "float16", "float32", "float64"))
"""Pixel types from shallow to deep; the result of mixed sources has the deepest."""

_ALIGNMENT = 64  # bytes

_ROUNDING = 1e-6  # how far a float may lie outside of [0, 1]: filters and resizes round a few times
_AT_A_TIME = 2**18  # numbers that are scaled and rounded before the next ones are: what lies between stays small
_FULL_SCALE = {np.dtype("uint8"): 255, np.dtype("uint16"): 65535}


def as_image(
    image: Any, name: str, *, smallest: int = 2, any_scale: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """One image as every part of the package reads it, and what was done to it, in sentences.

    Nothing is scaled here (see :func:`to_float`), and an array that needs nothing is not copied.

    Args:
        image: An array of any library: ``(H, W)``, ``(H, W, 1)`` or ``(H, W, 3)``, these with alpha, which is dropped,
            or ``(H, W, 6)``, a photograph and its linearised twin. Bool, uint8, uint16, or floats in [0, 1], which
            may lie a rounding error outside: within 1e-6 they are moved to 0 or 1.
        name: What errors and remarks call it.
        smallest: Least number of pixels to a side.
        any_scale: Take numbers of any type and range, whose scale the caller knows.

    Returns:
        Pixels of their own type in native byte order, ``(H, W)`` or ``(H, W, C)`` with C one of 1, 3 and 6; remarks.

    Raises:
        InputError: Shape, size, type or range is none of these; pixels are masked, NaN or infinite.

    Example:
        >>> pixels, remarks = as_image(np.zeros((4, 5, 4), np.uint8), "far")
        >>> pixels.shape, remarks
        ((4, 5, 3), ('far: alpha was dropped',))
    """
    if np.ma.is_masked(image):
        raise InputError(f"{name} has {np.ma.count_masked(image)} masked pixels: fill them first, as with .filled(0)")
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] not in (1, 2, 3, 4, 6)):
        raise InputError(
            f"{name} has shape {pixels.shape}: expected (H, W), (H, W, 1) or (H, W, 3), or these with alpha"
        )
    if min(pixels.shape[:2]) < smallest:
        height, width = pixels.shape[:2]
        raise InputError(f"{name} has {height} x {width} pixels: expected at least {smallest} x {smallest}")
    remarks = []
    if pixels.shape[2:] in ((2,), (4,)):
        remarks.append(f"{name}: alpha was dropped")
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :3]
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if any_scale:
        return pixels, tuple(remarks)
    try:
        return _within_range(pixels), tuple(remarks)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float32 in [0, 1], divided by full scale; floats are taken as they are.

    Floats that lie outside by no more than 1e-6, as a resize leaves them, become 0 or 1.

    Raises:
        InputError: The type is not bool, uint8, uint16 or a float; a float is not finite or outside [0, 1].

    Example:
        >>> to_float(np.array([[0, 51, 255]], np.uint8)).tolist()
        [[0.0, 0.20000000298023224, 1.0]]
    """
    found = _within_range(pixels).astype(np.float32)
    if pixels.dtype in _FULL_SCALE:
        found /= np.float32(_FULL_SCALE[pixels.dtype])
    return found


def in_unit(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 8 bits as float32 in [0, 1]; floats are there already.

    Example:
        >>> in_unit(np.array([255], np.uint8)).tolist(), in_unit(np.array([0.5])).tolist()
        ([1.0], [0.5])
    """
    return to_float(pixels) if pixels.dtype == np.uint8 else pixels


def aligned(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array to be filled, that begins where XLA on a CPU takes one as it is: it copies what does not.

    Example:
        >>> aligned((2, 3), "uint8").shape
        (2, 3)
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + _ALIGNMENT, np.uint8)
    first = -room.ctypes.data % _ALIGNMENT
    return room[first : first + size].view(dtype).reshape(shape)


def side_by_side(images: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The images as parts of one array, in which :func:`whole_of` finds them, if they have one shape and type.

    Example:
        >>> whole_of(side_by_side([np.zeros((2, 3)), np.ones((2, 3))])).shape
        (2, 2, 3)
    """
    if len({(image.shape, image.dtype) for image in images}) > 1:
        return tuple(images)
    whole = aligned((len(images), *images[0].shape), images[0].dtype)
    for part, image in zip(whole, images, strict=True):
        part[...] = image
    return tuple(whole)


def whole_of(images: Sequence[np.ndarray]) -> np.ndarray | None:
    """The array that these are the parts of, in order; None if they are not."""
    first, step = images[0], images[0].nbytes
    kinds = {(image.shape, image.dtype, id(image.base), image.flags.c_contiguous) for image in images}
    starts = [image.ctypes.data - first.ctypes.data for image in images]
    if len(kinds) > 1 or first.base is None or starts != [step * i for i in range(len(images))]:
        return None
    strides = (step, *first.strides)
    return np.lib.stride_tricks.as_strided(first, (len(images), *first.shape), strides, writeable=False)


def _within_range(pixels: np.ndarray) -> np.ndarray:
    """The pixels, clipped where they lie a rounding error outside of [0, 1]."""
    if pixels.dtype not in DEPTH_ORDER:
        raise InputError(
            f"pixels are bool, uint8, uint16 or float in [0, 1]; got {pixels.dtype}: "
            "shift and scale them to [0, 1] yourself, so that nothing is guessed"
        )
    if pixels.dtype.kind != "f" or pixels.size == 0:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int((~np.isfinite(pixels)).sum())
        raise InputError(f"pixels are finite numbers; got {bad} NaN or infinite ones: mask or fill them first")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise InputError(
            f"float pixels lie in [0, 1]; got [{low:.9g}, {high:.9g}]: divide by full scale "
            "(255 for 8 bit, 65535 for 16 bit), or rescale with (x - x.min()) / (x.max() - x.min())"
        )
    return np.clip(pixels, 0, 1) if low < 0 or high > 1 else pixels


def image_dtype(dtype: Any) -> np.dtype:
    """The pixel type of this name, if an image can have it.

    Raises:
        InputError: It is neither uint8, uint16 nor a float.

    Example:
        >>> image_dtype("uint16")
        dtype('uint16')
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

    Example:
        >>> from_float(np.array([[-0.5, 0.5, 2.0]]), "uint8").tolist()
        [[0, 128, 255]]
    """
    dtype = image_dtype(dtype)
    if image.size <= _AT_A_TIME:
        return _rows_from_float(image, dtype)
    found, rows = np.empty(image.shape, dtype), max(_AT_A_TIME * len(image) // image.size, 1)
    for first in range(0, len(image), rows):
        found[first : first + rows] = _rows_from_float(image[first : first + rows], dtype)
    return found


def _rows_from_float(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if not np.isfinite(image).all():
        raise InputError("the fused image has pixels that are not finite numbers; nothing is returned")
    clipped = np.clip(image, 0, 1)
    if dtype.kind == "f":
        return clipped.astype(dtype)
    return np.rint(clipped * np.float32(_FULL_SCALE[dtype])).astype(dtype)
