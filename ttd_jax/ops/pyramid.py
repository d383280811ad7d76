"""Laplacian pyramids of any size, and the local means that scores are made of.

Images are ``(..., H, W)``; leading axes are carried along, and an image is continued by its outermost pixels. A band is
what one level of the Gaussian pyramid has and the next coarser one, enlarged, has not; the last entry of a pyramid is
its coarsest level itself. So bands add up to the image exactly, whatever its size (Burt and Adelson 1983).

A filter is a product with a small band matrix, some tens of pixels at a time. On a CPU that costs a few operations more
than a sum of shifted images, but a compiler neither fuses one filter into the next, which would compute it anew for
every pixel that reads it, nor takes minutes to try.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.ops.filters import gaussian_kernel

COARSEST = 16
"""The coarsest level of a pyramid has at most this many pixels on its short side, and more than half of it."""

_BLOCK = 32  # pixels of one product


def depth(height: int, width: int, *, coarsest: int = COARSEST) -> int:
    """How often an image is halved until its short side has at most ``coarsest`` pixels.

    Example:
        >>> depth(480, 640)
        5
    """
    halvings = 0
    while min(height, width) > coarsest:
        height, width, halvings = (height + 1) // 2, (width + 1) // 2, halvings + 1
    return halvings


def reduce(image: Float[Array, "*B H W"]) -> Float[Array, "*B H2 W2"]:
    """Every other pixel in both directions, the first one kept, after a binomial filter of five."""
    return _in_both(image, _DOWN, [(n + 1) // 2 for n in image.shape[-2:]])


def expand(image: Float[Array, "*B H W"], size: Sequence[int]) -> Float[Array, "*B H2 W2"]:
    """An image enlarged to ``size``, the height and width of what was halved to it."""
    return _in_both(image, _UP, size)


def smooth(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """Gaussian means with a standard deviation of one pixel."""
    return _in_both(image, _SAME, image.shape[-2:])


def gaussian_pyramid(image: Float[Array, "*B H W"], levels: int) -> tuple[Float[Array, "*B _ _"], ...]:
    """The image, and what it becomes by being halved once, twice, ... ``levels`` times."""
    pyramid = [image]
    for _ in range(levels):
        pyramid.append(reduce(pyramid[-1]))
    return tuple(pyramid)


def bands_of(pyramid: Sequence[Float[Array, "*B _ _"]]) -> tuple[Float[Array, "*B _ _"], ...]:
    """The bands of a Gaussian pyramid, finest first, and its coarsest level."""
    finer = [fine - expand(coarse, fine.shape[-2:]) for fine, coarse in pairwise(pyramid)]
    return (*finer, pyramid[-1])


def laplacian_pyramid(image: Float[Array, "*B H W"], levels: int) -> tuple[Float[Array, "*B _ _"], ...]:
    """The bands of an image, finest first, and its coarsest level: ``collapse`` gives the image back.

    Example:
        >>> import jax.numpy as jnp
        >>> [band.shape for band in laplacian_pyramid(jnp.zeros((5, 8)), 2)]
        [(5, 8), (3, 4), (2, 2)]
    """
    return bands_of(gaussian_pyramid(image, levels))


def collapse(bands: Sequence[Float[Array, "*B _ _"]]) -> Float[Array, "*B H W"]:
    """The image that these bands add up to."""
    *finer, image = bands
    for band in reversed(finer):
        image = band + expand(image, band.shape[-2:])
    return image


def _in_both(image: Array, matrix: np.ndarray, size: Sequence[int]) -> Array:
    """An image filtered along its rows, then along its columns."""
    for length in reversed(size):
        image = jnp.swapaxes(_filter(image, matrix, length), -1, -2)
    return image


def _filter(image: Array, matrix: np.ndarray, size: int) -> Array:
    """Blocks of the last axis, each with its neighbours on both sides, times a band matrix; ``size`` of the results."""
    inputs, outputs = matrix.shape
    step = inputs // _BLOCK * _BLOCK  # from block to block; the rest are neighbours
    halo = inputs - step
    count = -(-size // outputs)
    lead = image.shape[:-1]
    margins = halo // 2, (count + 1) * step - halo // 2 - image.shape[-1]
    padded = jnp.pad(image, [(0, 0)] * len(lead) + [margins], mode="edge").reshape(*lead, count + 1, step)
    blocks = jnp.concatenate([padded[..., :-1, :], padded[..., 1:, :halo]], axis=-1)
    found = jnp.matmul(blocks, jnp.asarray(matrix), precision="highest")
    return found.reshape(*lead, count * outputs)[..., :size]


def _band_matrix(kernel: Sequence[float], stride: int) -> np.ndarray:
    """From a block and its neighbours to every ``stride``-th of the kernel's sums."""
    matrix = np.zeros((stride * _BLOCK + len(kernel) - 1, _BLOCK), np.float32)
    for out in range(_BLOCK):
        matrix[stride * out : stride * out + len(kernel), out] = kernel
    return matrix


def _doubling_matrix() -> np.ndarray:
    """An even result is 1-6-1 of its neighbours, an odd one the mean of two: the binomial filter of spread pixels."""
    matrix = np.zeros((_BLOCK + 2, 2 * _BLOCK), np.float32)
    for i in range(_BLOCK):
        matrix[i : i + 3, 2 * i] = np.array([1, 6, 1]) / 8
        matrix[i + 1 : i + 3, 2 * i + 1] = 0.5
    return matrix


_DOWN = _band_matrix((1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16), 2)
_UP = _doubling_matrix()
_SAME = _band_matrix(gaussian_kernel(7, 1.0), 1)
