"""From images as users have them to the grey planes that metrics read, with every check on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Real

from ttd_jax.errors import InputError

CHANNELS = ("y", "gray", "rgb")
"""What a colour image can be judged by."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, full range
_FULL_SCALE = {"uint8": 255, "uint16": 65535, "float": 1}
_ROUNDING = 1e-6  # how far a float may lie outside [0, 1]


def planes(fused: Any, sources: Any, channel: str) -> list[tuple[Real[np.ndarray, "H W"], Real[np.ndarray, "M H W"]]]:
    """The fused image and its sources as one pair of grey planes, or three of them for ``"rgb"`` in colour.

    Raises:
        InputError: See :func:`ttd_jax.metrics.evaluate`.
    """
    check_channel(channel)
    images = _checked(fused, sources)
    if channel == "rgb" and any(image.ndim == 3 for image in images):
        colored = [image if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, axis=2) for image in images]
        return [_pair([image[..., k] for image in colored]) for k in range(3)]
    return [_pair([_luma(image, whole=channel == "gray") for image in images])]


def check_channel(channel: str) -> None:
    """Raises InputError if there is no such channel."""
    if channel not in CHANNELS:
        raise InputError(f"channel is one of {', '.join(map(repr, CHANNELS))}; got {channel!r}")


def gray_pair(fused: Any, sources: Any) -> tuple[Real[np.ndarray, "H W"], Real[np.ndarray, "M H W"]]:
    """The fused image and its sources as one pair of grey planes, for metrics that have no colour form."""
    return planes(fused, sources, "gray")[0]


def _pair(gray: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if len({image.dtype for image in gray}) > 1:
        gray = [image / _FULL_SCALE[_depth(image)] for image in gray]
    return gray[0], np.stack(gray[1:])


def _luma(image: np.ndarray, whole: bool) -> np.ndarray:
    if image.ndim == 2:
        return image
    if whole and image.dtype == np.uint8:
        # OpenCV adds in this order with fused multiply-adds in float32; the order decides some of the ties.
        red, green, blue = (image[..., k].astype(np.float64) * np.float32(_LUMA[k]) for k in range(3))
        luma = (blue + green.astype(np.float32)).astype(np.float32)
        return np.round((red + luma).astype(np.float32)).astype(np.uint8)
    return image.astype(np.float64) @ np.array(_LUMA) / _FULL_SCALE[_depth(image)]


def _depth(image: np.ndarray) -> str:
    return "float" if np.issubdtype(image.dtype, np.floating) else image.dtype.name


def _checked(fused: Any, sources: Any) -> list[np.ndarray]:
    if not isinstance(sources, Sequence) and np.ndim(sources) < 3:
        raise InputError("sources is a list of at least two images, or an array (M, H, W) or (M, H, W, 3)")
    named = [("fused", check_image(fused, "fused"))]
    named += [(f"sources[{m}]", check_image(source, f"sources[{m}]")) for m, source in enumerate(sources)]
    if len(named) < 3:
        raise InputError(
            f"metrics compare the fused image with at least two sources; got {len(named) - 1}: "
            "for a ground truth, call the function of the metric with it as the only source"
        )
    first = named[0][1]
    for name, image in named[1:]:
        if image.shape[:2] != first.shape[:2]:
            raise InputError(
                f"all images must have one size; fused is {_size(first)} but {name} is {_size(image)}: "
                "resize or crop them to match"
            )
        if _depth(image) != _depth(first):
            raise InputError(
                f"all images must have one depth; fused is {first.dtype} but {name} is {image.dtype}: "
                "convert them to one of uint8, uint16 or floats in [0, 1]"
            )
    return [image for _, image in named]


def check_image(image: Any, name: str) -> np.ndarray:
    """One image as an array (H, W) or (H, W, 3) that metrics can read; errors call it ``name``.

    Raises:
        InputError: Its shape, dtype or range is none that metrics read.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise InputError(f"{name} must be (H, W) or (H, W, 3); got {array.shape}: drop an alpha channel or batch axis")
    if min(array.shape[:2]) < 3:
        raise InputError(f"{name} must be at least 3 pixels to a side; got {_size(array)}")
    if _depth(array) not in _FULL_SCALE:
        raise InputError(f"{name} must be uint8, uint16 or floats in [0, 1]; got {array.dtype}: convert it")
    if _depth(array) == "float":
        array = array if array.dtype.itemsize >= 4 else array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"{name} has NaN or infinite pixels: metrics need finite values")
        low, high = float(array.min()), float(array.max())
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise InputError(
                f"floats must lie in [0, 1]; {name} reaches from {low:g} to {high:g}: "
                "divide by the data range, or clip as saving the image would"
            )
    return array


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
