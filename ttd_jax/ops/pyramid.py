"""Laplacian pyramids of any size, and the local means that scores are made of.

Images are ``(..., H, W)``; leading axes are carried along, and an image is continued by its outermost pixels. A band is
what one level of the Gaussian pyramid has and the next coarser one, enlarged, has not; the last entry of a pyramid is
its coarsest level itself. So bands add up to the image exactly, whatever its size (Burt and Adelson 1983).

A filter is a product with a small band matrix, some tens of pixels at a time. On a CPU that costs a few operations more
than a sum of shifted images, but a compiler neither fuses one filter into the next, which would compute it anew for
every pixel that reads it, nor takes minutes to try.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.ops.filters import gaussian_kernel

COARSEST = 16
"""The coarsest level of a pyramid has at most this many pixels on its short side, and more than half of it."""

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_GAUSSIAN = np.array(gaussian_kernel(7, 1.0), np.float32)
_BLOCK = 32  # outputs of one product


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


def halve(image: Float[Array, "*B H W"]) -> Float[Array, "*B H2 W2"]:
    """Every other pixel in both directions, the first one kept, after a binomial filter of five."""
    return _in_both(image, lambda x: _filter(x, _matrix_down(), 2, (2, 2), -(-x.shape[-1] // 2)))


def double(image: Float[Array, "*B H W"], size: Sequence[int]) -> Float[Array, "*B H2 W2"]:
    """An image enlarged to ``size``, the height and width of what was halved to it."""
    height, width = size
    wide = _transposed(image, lambda x: _filter(x, _matrix_up(), 1, (1, 1), width))
    return _transposed(wide, lambda x: _filter(x, _matrix_up(), 1, (1, 1), height))


def smooth(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """Gaussian means with a standard deviation of one pixel."""
    return _in_both(image, lambda x: _filter(x, _matrix_same(), 1, (3, 3), x.shape[-1]))


def gaussian_pyramid(image: Float[Array, "*B H W"], levels: int) -> tuple[Float[Array, "*B _ _"], ...]:
    """The image, and what it becomes by being halved once, twice, ... ``levels`` times."""
    pyramid = [image]
    for _ in range(levels):
        pyramid.append(halve(pyramid[-1]))
    return tuple(pyramid)


def bands_of(pyramid: Sequence[Float[Array, "*B _ _"]]) -> tuple[Float[Array, "*B _ _"], ...]:
    """The bands of a Gaussian pyramid, finest first, and its coarsest level."""
    finer = [fine - double(coarse, fine.shape[-2:]) for fine, coarse in pairwise(pyramid)]
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
        image = band + double(image, band.shape[-2:])
    return image


def _in_both(image: Array, along_rows) -> Array:
    return _transposed(_transposed(image, along_rows), along_rows)


def _transposed(image: Array, along_rows) -> Array:
    return jnp.swapaxes(along_rows(image), -1, -2)


def _filter(image: Array, matrix: np.ndarray, stride: int, reach: tuple[int, int], size: int) -> Array:
    """Blocks of the last axis, each with its neighbourhood, times a band matrix; ``size`` of the results."""
    inputs, outputs = matrix.shape
    halo = sum(reach)
    step = inputs - halo
    count = -(-size // outputs)
    missing = count * step + halo - image.shape[-1] - reach[0]
    # with an even stride the last blocks may need a pixel less than the image has
    padded = jnp.pad(image, [(0, 0)] * (image.ndim - 1) + [(reach[0], max(missing, 0))], mode="edge")
    lead = image.shape[:-1]
    body = padded[..., : count * step].reshape(*lead, count, step)
    tail = padded[..., step : count * step + halo]
    tail = jnp.pad(tail, [(0, 0)] * (image.ndim - 1) + [(0, count * step - tail.shape[-1])])
    tail = tail.reshape(*lead, count, step)[..., :halo]
    blocks = jnp.concatenate([body, tail], axis=-1)
    del stride
    found = jnp.matmul(blocks, jnp.asarray(matrix), precision="highest")
    return found.reshape(*lead, count * outputs)[..., :size]


@cache
def _matrix_same() -> np.ndarray:
    return _band_matrix(_GAUSSIAN, 1)


@cache
def _matrix_down() -> np.ndarray:
    return _band_matrix(_BINOMIAL, 2)


def _band_matrix(kernel: np.ndarray, stride: int) -> np.ndarray:
    inputs = stride * _BLOCK + len(kernel) - 1
    matrix = np.zeros((inputs, _BLOCK), np.float32)
    for out in range(_BLOCK):
        matrix[stride * out : stride * out + len(kernel), out] = kernel
    return matrix


@cache
def _matrix_up() -> np.ndarray:
    """An even result is 1-6-1 of its neighbours, an odd one the mean of two: the binomial filter of spread pixels."""
    matrix = np.zeros((_BLOCK + 2, 2 * _BLOCK), np.float32)
    for i in range(_BLOCK):
        matrix[i : i + 3, 2 * i] = np.array([1, 6, 1]) / 8
        matrix[i + 1 : i + 3, 2 * i + 1] = 0.5
    return matrix
