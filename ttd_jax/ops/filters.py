"""Window filters and local moments on grey planes, correlation (not convolution) throughout.

Images are ``(..., H, W)``, any floating dtype; leading axes are carried along. A kernel is a tuple of weights
that is applied along both image axes, so that a window is its outer product with itself. Filters return the
*valid* part, one pixel for every place where the window lies inside the image: pad first (``jnp.pad``) for
another border rule.

A filter is written out as a sum of shifted images, which compiles to one vectorised loop: on a CPU many
times faster than a convolution with a single channel. Compilers fuse too much of it, though. What is a
function under its own ``jit`` here is a step whose result is worth storing; inside another ``jit`` the values
are the same, and the steps may be computed once for every pixel that reads them.
"""

import operator
from functools import partial, reduce
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Kernel: TypeAlias = tuple[float, ...]
Border: TypeAlias = Literal["constant", "edge", "reflect", "symmetric"]
"""What lies outside of an image: zeros, or its pixels in one of the ways of ``jnp.pad``."""


def gaussian_kernel(size: int, sigma: float, *, normalize: bool = True) -> Kernel:
    """A Gaussian sampled at unit steps around its centre, with sum 1 or with the continuous one's scale.

    Example:
        >>> [round(weight, 3) for weight in gaussian_kernel(3, 1.0)]
        [0.274, 0.452, 0.274]
    """
    offsets = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-np.square(offsets) / (2 * sigma**2))
    return tuple((kernel / (kernel.sum() if normalize else np.sqrt(2 * np.pi) * sigma)).tolist())


def box_kernel(size: int) -> Kernel:
    """A moving average over ``size`` pixels.

    Example:
        >>> box_kernel(4)
        (0.25, 0.25, 0.25, 0.25)
    """
    return (1 / size,) * size


def shifts(image: Float[Array, "... H W"], size: int, axis: int) -> list[Float[Array, "..."]]:
    """The ``size`` overlapping slices that a window sees along ``axis``, first position first.

    Example:
        >>> [part.tolist() for part in shifts(jnp.array([[1.0, 2, 3]]), 2, -1)]
        [[[1.0, 2.0]], [[2.0, 3.0]]]
    """
    length = image.shape[axis] - size + 1
    return [lax.slice_in_dim(image, i, i + length, axis=axis) for i in range(size)]


def _dot(kernel: Kernel, parts: list[Array]) -> Array:
    return reduce(operator.add, [k * part for k, part in zip(kernel, parts, strict=True) if k])


@partial(jax.jit, static_argnames=("kernel", "axis"))
def correlate(image: Float[Array, "... H W"], kernel: Kernel, axis: int) -> Float[Array, "..."]:
    """Correlation along one axis, valid part.

    Example:
        >>> correlate(jnp.array([[1.0, 2, 4]]), (-1.0, 1.0), -1).tolist()
        [[1.0, 2.0]]
    """
    return _dot(kernel, shifts(image, len(kernel), axis))


@partial(jax.jit, static_argnames="kernel")
def local_mean(image: Float[Array, "... H W"], kernel: Kernel) -> Float[Array, "..."]:
    """Weighted mean of every window, ``(..., H - K + 1, W - K + 1)``, with the weights' sum left as it is.

    Example:
        >>> local_mean(jnp.array([[1.0, 2], [3, 6]]), box_kernel(2)).tolist()
        [[3.0]]
    """
    return correlate(correlate(image, kernel, -2), kernel, -1)


class Moments(NamedTuple):
    """Weighted moments in every window, ``(..., H - K + 1, W - K + 1)`` each.

    Example:
        >>> Moments(means=[], variances=[], covariances=[]).variances
        []
    """

    means: list[Float[Array, "..."]]
    variances: list[Float[Array, "..."]]
    covariances: list[Float[Array, "..."]]  # in the order of the pairs asked for


def local_moments(
    images: list[Float[Array, "... H W"]], kernel: Kernel, *, pairs: tuple[tuple[int, int], ...] = ()
) -> Moments:
    r"""Means and variances of images in every window, and covariances of pairs of them.

    :math:`\sum_i k_i (x_i - \bar x)(y_i - \bar y)` with weights of sum 1, computed by the law of total
    covariance: the covariance within each column of the window, then that of the column means, both of
    differences from the middle sample. Float32 then serves where E[xy] - E[x]E[y] would lose every digit, and
    windows of one level have a variance of exactly zero.

    Args:
        images: Any number of images of one size.
        kernel: The weights along each axis.
        pairs: Positions in ``images`` of the pairs whose covariance is wanted.

    Example:
        >>> image = jnp.array([[1.0, 3], [1, 3]])
        >>> moments = local_moments([image, -image], box_kernel(2), pairs=((0, 1),))
        >>> moments.means[0].item(), moments.variances[0].item(), moments.covariances[0].item()
        (2.0, 1.0, -1.0)
    """
    rows = [_row_moments(image, kernel) for image in images]
    columns = [_column_moments(*row, kernel) for row in rows]
    covariances = []
    for m, n in pairs:
        within = _row_covariance(images[m], images[n], kernel)
        covariances.append(_column_covariance(rows[m][0], rows[n][0], within, kernel))
    return Moments([mean for mean, _ in columns], [variance for _, variance in columns], covariances)


# One step for one image or pair, so that images of a size share what is compiled, however many there are.


@partial(jax.jit, static_argnames="kernel")
def _row_moments(image: Array, kernel: Kernel) -> tuple[Array, Array]:
    """Mean and variance within each column of the window."""
    return _moments_along(image, kernel, -2)


@partial(jax.jit, static_argnames="kernel")
def _column_moments(mean: Array, within: Array, kernel: Kernel) -> tuple[Array, Array]:
    mean, between = _moments_along(mean, kernel, -1)
    return mean, correlate(within, kernel, -1) + between


@partial(jax.jit, static_argnames="kernel")
def _row_covariance(x: Array, y: Array, kernel: Kernel) -> Array:
    return _covariance_along(x, y, kernel, -2)


@partial(jax.jit, static_argnames="kernel")
def _column_covariance(mean_x: Array, mean_y: Array, within: Array, kernel: Kernel) -> Array:
    return correlate(within, kernel, -1) + _covariance_along(mean_x, mean_y, kernel, -1)


def _from_middle(x: Array, kernel: Kernel, axis: int) -> tuple[Array, list[Array]]:
    parts = shifts(x, len(kernel), axis)
    middle = parts[len(parts) // 2]
    return middle, [part - middle for part in parts]


def _moments_along(x: Array, kernel: Kernel, axis: int) -> tuple[Array, Array]:
    middle, offsets = _from_middle(x, kernel, axis)
    mean = _dot(kernel, offsets)
    return middle + mean, _dot(kernel, [offset * offset for offset in offsets]) - mean * mean


def _covariance_along(x: Array, y: Array, kernel: Kernel, axis: int) -> Array:
    (_, dx), (_, dy) = _from_middle(x, kernel, axis), _from_middle(y, kernel, axis)
    products = _dot(kernel, [a * b for a, b in zip(dx, dy, strict=True)])
    return products - _dot(kernel, dx) * _dot(kernel, dy)


@partial(jax.jit, static_argnames="axis")
def central_differences(image: Float[Array, "... H W"], axis: int) -> Float[Array, "... H W"]:
    """Half the difference of the two neighbours, one-sided at the borders, as ``np.gradient``.

    Example:
        >>> central_differences(jnp.array([[1.0, 2, 5]]), -1).tolist()
        [[1.0, 2.0, 3.0]]
    """
    return jnp.asarray(jnp.gradient(image, axis=axis))


@partial(jax.jit, static_argnames="border")
def sobel(image: Float[Array, "... H W"], border: Border) -> tuple[Float[Array, "... H W"], Float[Array, "... H W"]]:
    """Differences to the right and downwards by the 3×3 Sobel kernels, smoothing weights 1-2-1, not divided.

    Args:
        image: Grey planes.
        border: What lies outside: a mode of ``jnp.pad``, such as ``"constant"`` (zeros), ``"edge"`` or
            ``"reflect"``.

    Example:
        >>> right, down = sobel(jnp.tile(jnp.arange(3.0), (3, 1)), "edge")
        >>> right[1].tolist(), down[1].tolist()
        ([4.0, 8.0, 4.0], [0.0, 0.0, 0.0])
    """
    return _gradient_3x3(image, border, (1.0, 2.0, 1.0))


@partial(jax.jit, static_argnames="border")
def prewitt(image: Float[Array, "... H W"], border: Border) -> tuple[Float[Array, "... H W"], Float[Array, "... H W"]]:
    """As :func:`sobel` with equal smoothing weights 1-1-1.

    Example:
        >>> prewitt(jnp.tile(jnp.arange(3.0), (3, 1)), "edge")[0][1].tolist()
        [3.0, 6.0, 3.0]
    """
    return _gradient_3x3(image, border, (1.0, 1.0, 1.0))


def _gradient_3x3(image: Array, border: Border, smooth: Kernel) -> tuple[Array, Array]:
    padded = jnp.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)], mode=border)
    difference = (-1.0, 0.0, 1.0)
    right = correlate(correlate(padded, smooth, -2), difference, -1)
    down = correlate(correlate(padded, difference, -2), smooth, -1)
    return right, down


def pixel_sum(image: Float[Array, "*B H W"]) -> Float[Array, "*B"]:
    """Sum over pixels, by a product with ones.

    A reduction makes the compiler compute what it sums in the reduction's own scalar loop; before a product
    it stays a vectorised loop of its own, some ten times as fast for a costly summand.

    Example:
        >>> pixel_sum(jnp.ones((2, 3, 4))).tolist()
        [12.0, 12.0]
    """
    ones = jnp.ones(image.shape[-1], image.dtype)
    return jnp.sum(jnp.matmul(image, ones, precision=lax.Precision.HIGHEST), axis=-1)


def pixel_mean(image: Float[Array, "*B H W"]) -> Float[Array, "*B"]:
    """Mean over pixels; see :func:`pixel_sum`. Not exact for an image of one level: see :func:`centered`.

    Example:
        >>> pixel_mean(jnp.array([[1.0, 2], [3, 6]])).item()
        3.0
    """
    return pixel_sum(image) / (image.shape[-2] * image.shape[-1])


def centered(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """The image less its mean: exactly 0 for an image of one level, whatever its size.

    Example:
        >>> centered(jnp.array([[1.0, 2], [3, 6]])).tolist()
        [[-2.0, -1.0], [0.0, 3.0]]
    """
    image = image - image[..., :1, :1]
    return image - pixel_mean(image)[..., jnp.newaxis, jnp.newaxis]
