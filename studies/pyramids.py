"""Gaussian and Laplacian pyramids in NumPy (Burt and Adelson 1983), for the classical methods and as an oracle.

Planes are (..., H, W) of floats; leading axes are carried along. The kernel is 1-4-6-4-1, the image mirrored about its
border pixels; a level has half the pixels of the one below it along each axis, rounded up.
"""

import numpy as np
from scipy import ndimage

KERNEL = np.array([1, 4, 6, 4, 1]) / 16
SHORTEST = 16
"""A pyramid ends at the first level whose short side is at most this long: 9 to 16 pixels for larger images."""


def depth(shape: tuple[int, ...], shortest: int = SHORTEST) -> int:
    """How often planes of this shape are halved until their short side is at most ``shortest`` pixels.

    Example:
        >>> depth((480, 640)), depth((16, 40))
        (5, 0)
    """
    side, steps = min(shape[-2:]), 0
    while side > shortest:
        side, steps = (side + 1) // 2, steps + 1
    return steps


def reduce(planes: np.ndarray) -> np.ndarray:
    """Every second pixel of the smoothed planes, (..., ceil(H / 2), ceil(W / 2))."""
    return _smooth(planes, KERNEL)[..., ::2, ::2]


def expand(planes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Planes of twice the size, (..., *shape): zeros between the pixels, smoothed by four times the kernel.

    Where H or W is odd, a last row or column is computed and dropped, as OpenCV's ``pyrUp`` does.
    """
    height, width = planes.shape[-2:]
    spread = np.zeros((*planes.shape[:-2], 2 * height, 2 * width), planes.dtype)
    spread[..., ::2, ::2] = planes
    return _smooth(spread, 2 * KERNEL)[..., : shape[-2], : shape[-1]]


def gaussian_pyramid(planes: np.ndarray, steps: int) -> list[np.ndarray]:
    """The planes, and ``steps`` smaller versions of them, the finest first."""
    levels = [planes]
    for _ in range(steps):
        levels.append(reduce(levels[-1]))
    return levels


def laplacian_pyramid(planes: np.ndarray, steps: int) -> list[np.ndarray]:
    """What each level adds to the coarser ones, the finest first, and at the end the coarsest level itself."""
    levels = gaussian_pyramid(planes, steps)
    coarser = levels[1:]
    return [fine - expand(coarse, fine.shape) for fine, coarse in zip(levels[:-1], coarser, strict=True)] + levels[-1:]


def collapse(bands: list[np.ndarray]) -> np.ndarray:
    """The planes of which these are the bands: the inverse of ``laplacian_pyramid``."""
    planes = bands[-1]
    for band in bands[-2::-1]:
        planes = band + expand(planes, band.shape)
    return planes


def _smooth(planes: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    for axis in (-2, -1):
        planes = ndimage.correlate1d(planes, kernel, axis, mode="mirror")
    return planes
