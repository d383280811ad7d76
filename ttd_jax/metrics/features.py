"""Feature maps that feature mutual information compares: edges, cosine transform, wavelet coefficients.

Images are ``(..., H, W)`` floating grey levels; each image of a stack is treated alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ttd_jax.ops.filters import Kernel, sobel

# The finite Meyer scaling filter "dmey" as PyWavelets tabulates it: 62 taps, the first 0, the others
# symmetric about the last one listed. No closed form gives them; a Meyer filter cut to this length differs.
_DMEY_HALF = (
    0.0, -1.009999956941423e-12, 8.519459636796214e-09, -1.111944952595278e-08, -1.0798819539621958e-08,
    6.066975741351135e-08, -1.0866516536735883e-07, 8.200680650386481e-08, 1.1783004497663934e-07,
    -5.506340565252278e-07, 1.1307947017916706e-06, -1.489549216497156e-06, 7.367572885903746e-07,
    3.20544191334478e-06, -1.6312699734552807e-05, 6.554305930575149e-05, -0.0006011502343516092,
    -0.002704672124643725, 0.002202534100911002, 0.006045814097323304, -0.006387718318497156,
    -0.011061496392513451, 0.015270015130934803, 0.017423434103729693, -0.03213079399021176,
    -0.024348745906078023, 0.0637390243228016, 0.030655091960824263, -0.13284520043622938,
    -0.035087555656258346, 0.44459300275757724, 0.7445855923188063,
)  # fmt: skip
DMEY_LOW: Kernel = _DMEY_HALF + _DMEY_HALF[-2:0:-1]
DMEY_HIGH: Kernel = tuple(tap if i % 2 else -tap for i, tap in enumerate(DMEY_LOW[::-1]))


@jax.jit
def edge_map(image: Float[Array, "... H W"]) -> Bool[Array, "... H W"]:
    """Thinned Sobel edges: squared strength above four times its mean, and a maximum across the edge.

    After MATLAB's ``edge(image)``, which may choose otherwise among neighbours that are equally strong. The
    outermost pixels are never edges.

    Example:
        >>> step = jnp.tile(jnp.array([0.0] * 5 + [9.0] * 5), (5, 1))
        >>> edge_map(step)[2].astype(int).tolist()
        [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    """
    right, down = (jnp.abs(part) / 8 for part in sobel(image, "edge"))
    strength = right * right + down * down
    threshold = 4 * jnp.mean(strength, axis=(-2, -1), keepdims=True)
    height, width = image.shape[-2:]

    def moved(y: int, x: int, part: Array = strength) -> Array:
        return part[..., 1 + y : height - 1 + y, 1 + x : width - 1 + x]

    here = moved(0, 0)
    across = (moved(0, 0, right) >= moved(0, 0, down)) & (moved(0, -1) <= here) & (here > moved(0, 1))
    along = (moved(0, 0, down) >= moved(0, 0, right)) & (moved(-1, 0) <= here) & (here > moved(1, 0))
    found = (here > threshold) & (across | along)
    return jnp.pad(found, [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)])


@jax.jit
def cosine_transform(image: Float[Array, "... H W"]) -> Float[Array, "... H W"]:
    """Orthonormal two-dimensional discrete cosine transform (DCT-II) of the whole image.

    Example:
        >>> cosine_transform(jnp.ones((2, 2))).tolist()
        [[2.0, 0.0], [0.0, 0.0]]
    """
    height, width = image.shape[-2:]
    # The mean goes into one coefficient only; taking it out first spares the others its rounding error. In float32 the
    # largest error at 640x480 is then a sixth of that of jax.scipy.fft.dctn, which takes as long.
    mean = jnp.mean(image, axis=(-2, -1), keepdims=True)
    rows, columns = (jnp.asarray(_cosines(size), image.dtype) for size in (height, width))
    transformed = jnp.matmul(
        jnp.matmul(rows, image - mean, precision=lax.Precision.HIGHEST),
        columns.T,
        precision=lax.Precision.HIGHEST,
    )
    return transformed.at[..., 0, 0].set(mean[..., 0, 0] * np.sqrt(height * width))


def _cosines(size: int) -> Float[np.ndarray, "N N"]:
    k, n = np.arange(size)[:, np.newaxis], np.arange(size)
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis


@jax.jit
def meyer_wavelet(image: Float[Array, "... H W"]) -> Float[Array, "... h w"]:
    """One level of the "dmey" wavelet transform, mirrored borders, four parts tiled, brought to [0, 1].

    Approximation and horizontal detail above, vertical and diagonal detail below.

    Example:
        >>> meyer_wavelet(jnp.zeros((4, 6))).shape  # (4 + 61) // 2 samples of each part
        (64, 66)
    """
    low, high = _decimate(image, DMEY_LOW, -2), _decimate(image, DMEY_HIGH, -2)
    top = jnp.concatenate([_decimate(low, DMEY_LOW, -1), _decimate(high, DMEY_LOW, -1)], axis=-1)
    bottom = jnp.concatenate([_decimate(low, DMEY_HIGH, -1), _decimate(high, DMEY_HIGH, -1)], axis=-1)
    tiled = jnp.concatenate([top, bottom], axis=-2)
    smallest = jnp.min(tiled, axis=(-2, -1), keepdims=True)
    span = jnp.max(tiled, axis=(-2, -1), keepdims=True) - smallest
    divisor = jnp.broadcast_to(jnp.where(span == 0, 1, span), tiled.shape)
    return jnp.where(span == 0, 1, (tiled - smallest) / lax.optimization_barrier(divisor))


def _decimate(image: Float[Array, "... H W"], kernel: Kernel, axis: int) -> Float[Array, "..."]:
    """Convolution with mirrored borders, every second sample.

    The kernel's tails are 1e-8 of its middle, so beside a flat region the result is rounding error, which
    window statistics then blow up to full range. To give what others give, the terms are added one after the
    other, and the choice, which changes no value, keeps the compiler from a fused multiply-add.
    """
    margin = [(0, 0)] * image.ndim
    margin[axis] = (len(kernel) - 1,) * 2
    padded = jnp.moveaxis(jnp.pad(image, margin, mode="symmetric"), axis, 0)
    count = (image.shape[axis] + len(kernel) - 1) // 2
    length = padded.shape[0] // 2
    phases = jnp.stack([padded[: 2 * length : 2], padded[1 : 2 * length : 2]])
    taps = jnp.asarray(kernel, image.dtype)

    def add(j: Array, total: Array) -> Array:
        first = len(kernel) - j
        samples = lax.dynamic_slice_in_dim(phases[first % 2], first // 2, count)
        return total + jnp.where(samples == 0, 0, taps[j] * samples)

    total = lax.fori_loop(0, len(kernel), add, jnp.zeros((count, *padded.shape[1:]), image.dtype))
    return jnp.moveaxis(total, 0, axis)
