"""Fusion quality after a model of human contrast sensitivity.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Every image is first stretched to 0 to 255, so these numbers do not see
a change of overall brightness or contrast; an image of one grey level gives NaN.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, stretch, unknown_variant
from ttd_jax.ops.filters import correlate, gaussian_kernel, sobel

_BLOCK = 16  # pixels to a side of the regions of Qcv
_SALIENCY_POWER = 5


@partial(jax.jit, static_argnames="variant")
def chen_blum(fused: Gray, sources: GrayStack, *, variant: str = "vifb") -> Score:
    r"""Share of the sources' visible local contrast that the fused image keeps (Qcb): higher is better, 0 to 1.

    Images pass a contrast sensitivity filter :math:`e^{-(r/15.387)^2} - 0.7622 e^{-(r/1.3456)^2}`; with Gaussian
    means of deviations 2 and 4, the local contrast is :math:`C = |G_2 * I / G_4 * I - 1|`, masked as
    :math:`C' = C^3 / (C^2 + 10^{-4})`. The score is the mean of :math:`\sum_m \lambda_m \min(C'_m, C'_F) /
    \max(C'_m, C'_F)` with :math:`\lambda_m = C_m'^2 / \sum_n C_n'^2` (Chen and Blum 2009, Eq. 2 to 13).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"vifb"``; ``"mefb"`` divides the images by 255 before the stretch, which can round a level
            the other way.
    """
    if variant not in ("vifb", "mefb"):
        raise unknown_variant("Qcb", variant, ["vifb", "mefb"])
    unit = 255 if variant == "mefb" else 1
    images = [stretch(image, unit) for image in (levels(fused), *levels(sources))]
    masked = _masked_contrast(_filter_frequencies(jnp.stack(images), _sensitivity_chen_blum))
    kept, wanted = masked[0], masked[1:]
    preserved = jnp.where(wanted < kept, wanted / kept, kept / wanted)
    weights = jnp.square(wanted)
    return jnp.mean(jnp.sum(weights * preserved, axis=0) / jnp.sum(weights, axis=0))


def _masked_contrast(image: Float[Array, "P H W"]) -> Float[Array, "P H W"]:
    padded = jnp.pad(image, [(0, 0), (15, 15), (15, 15)])
    fine, coarse = (
        correlate(correlate(padded, kernel, -2), kernel, -1)
        for kernel in (gaussian_kernel(31, sigma, normalize=False) for sigma in (2, 4))
    )
    contrast = jnp.abs(fine / coarse - 1)
    return contrast**3 / (contrast**2 + 1e-4)


@partial(jax.jit, static_argnames="variant")
def chen_varshney(fused: Gray, sources: GrayStack, *, variant: str = "vifb") -> Score:
    r"""Visible squared difference from the sources where each is salient (Qcv): lower is better, 0 if identical.

    For 16×16 blocks, :math:`\sum_b \sum_m \lambda_{mb} D_{mb} / \sum_b \sum_m \lambda_{mb}`, where
    :math:`\lambda` sums the fifth powers of the Sobel strength of a source and D is the mean square of the
    difference from it after the contrast sensitivity filter of Mannos and Sakrison,
    :math:`2.6 (0.0192 + 0.144 r) e^{-(0.144 r)^{1.1}}` (Chen and Varshney 2007, Eq. 1 to 8). Blocks that
    reach over the border are filled with zeros.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"vifb"``.
    """
    if variant != "vifb":
        raise unknown_variant("Qcv", variant, ["vifb"])
    image = stretch(levels(fused))
    stretched = jnp.stack([stretch(source) for source in levels(sources)])
    right, down = sobel(stretched, "constant")
    strength = jnp.sqrt(right * right + down * down) / 255  # the scale cancels in the ratio
    saliency = _block_sums(strength**_SALIENCY_POWER)
    visible = _filter_frequencies(stretched - image, _sensitivity_mannos_sakrison)
    difference = _block_sums(jnp.square(visible)) / _BLOCK**2
    return jnp.sum(saliency * difference) / jnp.sum(saliency)


def _block_sums(image: Float[Array, "M H W"]) -> Float[Array, "M h w"]:
    count, height, width = image.shape
    rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
    margin = [(0, 0), (0, rows * _BLOCK - height), (0, columns * _BLOCK - width)]
    tiles = jnp.pad(image, margin).reshape(count, rows, _BLOCK, columns, _BLOCK)
    return jnp.sum(tiles, axis=(2, 4))


def _sensitivity_chen_blum(u: np.ndarray, v: np.ndarray, height: int, width: int) -> np.ndarray:
    r = np.hypot(u * (width / 30), v * (height / 30))
    return np.exp(-np.square(r / 15.3870)) - 0.7622 * np.exp(-np.square(r / 1.3456))


def _sensitivity_mannos_sakrison(u: np.ndarray, v: np.ndarray, height: int, width: int) -> np.ndarray:
    r = np.hypot(u * (width / 8), v * (height / 8))
    return 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))


def _filter_frequencies(
    image: Float[Array, "P H W"], sensitivity: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]
) -> Float[Array, "P H W"]:
    """The image after a real, even filter given on frequencies in units of half the sampling rate, [-1, 1)."""
    height, width = image.shape[-2:]
    u, v = np.meshgrid(2 * np.fft.rfftfreq(width), 2 * np.fft.fftfreq(height))
    gain = jnp.asarray(sensitivity(u, v, height, width), image.dtype)
    return jnp.fft.irfft2(jnp.fft.rfft2(image) * gain, s=(height, width))
