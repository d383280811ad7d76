"""Laplacian pyramids of any size, and the local means that scores are made of.

Images are ``(..., H, W)``; leading axes are carried along, and an image is continued by its outermost pixels. A band is
what one level of the Gaussian pyramid has and the next coarser one, enlarged, has not; the last entry of a pyramid is
its coarsest level itself. So bands add up to the image exactly, whatever its size (Burt and Adelson 1983).

A filter is a sum of shifted images, first along columns, then along rows. What it is made of and what it gives are
stored (:func:`jax.lax.optimization_barrier`): a compiler would compute one filter anew for every pixel of the next.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ttd_jax.ops.filters import gaussian_kernel
from ttd_jax.ops.strips import by_rows, in_whole, is_large

COARSEST = 16
"""The coarsest level of a pyramid has at most this many pixels on its short side, and more than half of it."""

_SHORT = 160  # pixels of an axis
_NARROW = 1024  # pixels of the other one: what is longer is a strip of a large image
_FEW = 8  # planes that each have a matrix of their own
_BINOMIAL = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)
_GAUSSIAN = gaussian_kernel(7, 1.0)

SMOOTH_REACH = len(_GAUSSIAN) // 2
"""Pixels on every side that a local mean takes in."""

SPREAD_REACH = 12
"""Pixels on every side that ``spread`` takes in."""


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
    for axis in (-2, -1):
        length = image.shape[axis]
        image = _along(_HALVE, image, axis, (length + 1) // 2)
    return image


def reduce_by_rows(image: Float[Array, "*B H W"]) -> Float[Array, "*B H2 W2"]:
    """``reduce``, large images some rows at a time."""
    return by_rows(reduce, image, reach=2, unit=2) if is_large(image) else reduce(image)


def expand(image: Float[Array, "*B H W"], size: Sequence[int]) -> Float[Array, "*B H2 W2"]:
    """An image enlarged to ``size``, the height and width of what was halved to it.

    An even pixel is 1-6-1 of its neighbours, an odd one the mean of two: the binomial filter of spread pixels. Along
    rows first, where pixels are put between pixels: there are half as many then.
    """
    for axis in (-1, -2):
        image = _along(_DOUBLE, image, axis, size[axis])
    return image


def smooth(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """Gaussian means with a standard deviation of one pixel."""
    for axis in (-2, -1):
        image = _along(_MEAN, image, axis, image.shape[axis])
    return image


def smooth_inside(image: Float[Array, "*B H W"]) -> Float[Array, "*B H2 W2"]:
    """The same where it needs no pixels beyond the image: ``SMOOTH_REACH`` fewer on every side."""
    for axis in (-2, -1):
        image = _stored(_weighted(image, _GAUSSIAN, axis, image.shape[axis] - 2 * SMOOTH_REACH))
    return image


def spread(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """Means around each pixel, with a standard deviation of 3: halved twice and enlarged again.

    Strips of rows that begin every 4 rows are as in the image, ``SPREAD_REACH`` pixels from their border.
    """
    half = reduce(image)
    return expand(expand(reduce(half), half.shape[-2:]), image.shape[-2:])


def finest_band(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """What an image has and its half, enlarged, has not; it looks 4 pixels far."""
    return image - expand(reduce(image), image.shape[-2:])


def gaussian_pyramid(image: Float[Array, "*B H W"], levels: int) -> tuple[Float[Array, "*B _ _"], ...]:
    """The image, and what it becomes by being halved once, twice, ... ``levels`` times."""
    pyramid = [image]
    for _ in range(levels):
        pyramid.append(reduce_by_rows(pyramid[-1]))
    return tuple(pyramid)


def bands_of(pyramid: Sequence[Float[Array, "*B _ _"]]) -> tuple[Float[Array, "*B _ _"], ...]:
    """The bands of a Gaussian pyramid, finest first, and its coarsest level."""
    return (*(_with_enlarged(operator.sub, fine, coarse) for fine, coarse in pairwise(pyramid)), pyramid[-1])


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
        image = _with_enlarged(operator.add, band, image)
    return image


def _with_enlarged(combine: Callable[[Array, Array], Array], fine: Array, coarse: Array) -> Array:
    """An image combined with a coarser one, enlarged; large ones some rows at a time."""

    def combined(fine: Array, coarse: Array) -> Array:
        return combine(fine, expand(coarse, fine.shape[-2:]))

    return by_rows(combined, fine, coarse, reach=2, unit=2) if is_large(fine) else combined(fine, coarse)


class _Filter(NamedTuple):
    """A filter along one axis.

    With P kernels, result i is kernel ``i % P`` times the pixels from ``i // P * stride - before`` on; beyond the
    border the outermost pixel counts.
    """

    kernels: tuple[tuple[float, ...], ...]
    stride: int
    before: int


_HALVE = _Filter((_BINOMIAL,), 2, 2)
_DOUBLE = _Filter(((1 / 8, 6 / 8, 1 / 8), (0.0, 1 / 2, 1 / 2)), 1, 1)
_MEAN = _Filter((_GAUSSIAN,), 1, SMOOTH_REACH)


def _along(each: _Filter, image: Array, axis: int, size: int) -> Array:
    """A filter along one axis, ``size`` results.

    Where the axis is short this is a product with the filter's matrix: a library does that, and nothing is compiled.
    """
    length = image.shape[axis]
    other = image.shape[-1 if axis == -2 else -2]
    if isinstance(length, int) and max(length, size) <= _SHORT and not (isinstance(other, int) and other > _NARROW):
        matrix = _matrix(each, length, size)
        if axis == -1:
            return jnp.matmul(image, matrix, precision="highest")
        if in_whole() or math.prod(image.shape[:-2]) > _FEW:
            turned = jnp.matmul(jnp.swapaxes(image, -1, -2), matrix, precision="highest")
            return jnp.swapaxes(turned, -1, -2)
        each_its_own = np.broadcast_to(matrix.T, (*image.shape[:-2], size, length))  # saves two copies
        return jnp.matmul(each_its_own, image, precision="highest")
    phases, reach = len(each.kernels), len(each.kernels[0])
    count = -(-size // phases)
    last = (count - 1) * each.stride + reach - each.before - length
    padded = _stored(_lengthened(image, axis, each.before, last))
    results = [_weighted(padded, kernel, axis, count, each.stride) for kernel in each.kernels]
    if phases == 1:
        return _stored(results[0])
    shape = [*image.shape[: image.ndim + axis], phases * count, *image.shape[image.ndim + axis + 1 :]]
    mixed = jnp.stack(results, axis=image.ndim + axis + 1).reshape(shape)
    return _stored(lax.slice_in_dim(mixed, 0, size, axis=axis))


def _lengthened(image: Array, axis: int, before: int, after: Any) -> Array:
    """An image with more pixels along one axis, its outermost ones."""
    if not isinstance(after, int):  # of an image whose size is a symbol
        widths = [(0, 0)] * (image.ndim + axis) + [(before, after)] + [(0, 0)] * (-axis - 1)
        return jnp.pad(image, widths, mode="edge")
    first, last = (_part(image, axis, i, 1) for i in (0, image.shape[axis] - 1))
    return lax.concatenate([*[first] * before, image, *[last] * after], image.ndim + axis)


@cache
def _matrix(each: _Filter, length: int, size: int) -> np.ndarray:
    """A filter as a matrix, pixels times results."""
    matrix, phases = np.zeros((length, size), np.float32), len(each.kernels)
    for phase, kernel in enumerate(each.kernels):
        results = np.arange(phase, size, phases)
        for j, k in enumerate(kernel):
            pixels = np.clip(results // phases * each.stride + j - each.before, 0, length - 1)
            matrix[pixels, results] += k
    return matrix


def _weighted(image: Array, kernel: Sequence[float], axis: int, size: int, stride: int = 1) -> Array:
    terms = [k * _part(image, axis, i, size, stride) for i, k in enumerate(kernel) if k]
    return functools.reduce(operator.add, terms)


def _part(image: Array, axis: int, first: int, size: int, stride: int = 1) -> Array:
    return lax.slice_in_dim(image, first, first + (size - 1) * stride + 1, stride, axis)


def _stored(image: Array) -> Array:
    return lax.optimization_barrier(image)
