"""From images as users have them to the grey planes that metrics read, with every check on the way."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Real

from ttd_jax.errors import InputError
from ttd_jax.ops.pixels import as_image

Channel = Literal["y", "gray", "rgb"]
CHANNELS = get_args(Channel)
"""What a colour image can be judged by."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, full range
_FULL_SCALE = {"uint8": 255, "uint16": 65535, "float": 1}


def planes(fused: Any, sources: Any, channel: str) -> list[tuple[Real[np.ndarray, "H W"], Real[np.ndarray, "M H W"]]]:
    """The fused image and its sources as one pair of grey planes, or three of them for ``"rgb"`` in colour.

    Raises:
        InputError: See :func:`ttd_jax.metrics.evaluate`.

    Example:
        >>> image = np.zeros((4, 5, 3), np.uint8)
        >>> [(fused.shape, sources.shape) for fused, sources in planes(image, [image, image], "y")]
        [((4, 5), (2, 4, 5))]
    """
    check_channel(channel)
    images = _checked(fused, sources)
    if channel == "rgb" and any(image.ndim == 3 for image in images):
        colored = [image if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, axis=2) for image in images]
        return [_pair([image[..., k] for image in colored]) for k in range(3)]
    return [_pair([_luma(image, whole=channel == "gray") for image in images])]


def check_channel(channel: str) -> None:
    """Nothing, for a channel that there is.

    Raises:
        InputError: There is no such channel.

    Example:
        >>> check_channel("gray")
    """
    if channel not in CHANNELS:
        raise InputError(f"channel is one of {', '.join(map(repr, CHANNELS))}; got {channel!r}")


def gray_pair(fused: Any, sources: Any) -> tuple[Real[np.ndarray, "H W"], Real[np.ndarray, "M H W"]]:
    """The fused image and its sources as one pair of grey planes, for metrics that have no colour form.

    Example:
        >>> white = np.full((4, 5, 3), 255, np.uint8)
        >>> fused, sources = gray_pair(white, [white, white])
        >>> fused.dtype, fused.max().item(), sources.shape
        (dtype('uint8'), 255, (2, 4, 5))
    """
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

    Bool becomes 0 and 255; of six channels the first three are judged, the photograph before its linearised twin.

    Raises:
        InputError: It has fewer than 3 pixels to a side, or is none that :func:`ttd_jax.ops.pixels.as_image` reads.

    Example:
        >>> check_image(np.ones((4, 5, 1), bool), "fused").tolist()[0]
        [255, 255, 255, 255, 255]
    """
    pixels, _ = as_image(image, name, smallest=3)
    if pixels.shape[2:] == (1,):
        pixels = pixels[..., 0]
    pixels = pixels[..., :3] if pixels.ndim == 3 else pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    return pixels.astype(np.float32) if pixels.dtype == np.float16 else pixels


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
