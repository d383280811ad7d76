"""Fusion quality after a model of human contrast sensitivity.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Every image is first stretched to 0 to 255, so these numbers do not
see a change of overall brightness or contrast; an image of one grey level gives NaN.
"""

import operator
from collections.abc import Callable
from functools import partial, reduce
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, stretch
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.ops.filters import gaussian_kernel, local_mean, pixel_mean, sobel

_FINE, _COARSE = (gaussian_kernel(31, sigma, normalize=False) for sigma in (2.0, 4.0))
_BLOCK = 16  # pixels to a side of the regions of Qcv
_SALIENCY_POWER = 5

Sensitivity: TypeAlias = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]
"""Gain of a filter at frequencies u, v of an image of a height and width."""


_Qcb = Literal["vifb", "mefb"]


def chen_blum(fused: Gray, sources: GrayStack, *, variant: _Qcb = "vifb") -> Score:
    r"""Share of the sources' visible contrast that the fused image keeps (Qcb): higher is better, 0 to 1.

    Images pass a contrast sensitivity filter :math:`e^{-(r/15.387)^2} - 0.7622 e^{-(r/1.3456)^2}`; with
    Gaussian means of deviations 2 and 4, the local contrast is :math:`C = |G_2 * I / G_4 * I - 1|`, masked as
    :math:`C' = C^3 / (C^2 + 10^{-4})`. The score is the mean of :math:`\sum_m \lambda_m \min(C'_m, C'_F) /
    \max(C'_m, C'_F)` with :math:`\lambda_m = C_m'^2 / \sum_n C_n'^2` (Chen and Blum 2009).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"vifb"``; ``"mefb"`` divides the images by 255 before the stretch, which can round a level
            the other way.

    Example:
        >>> image = np.zeros((8, 8), np.uint8)  # one level cannot be stretched
        >>> chen_blum(image, image[np.newaxis] + 9).item()
        nan
    """
    check_variant("Qcb", variant, get_args(_Qcb))
    unit = 255 if variant == "mefb" else 1
    images = [stretch(image, unit=unit) for image in separate(fused, sources)]
    return _preserved([_masked_contrast(_filtered(image, _sensitivity_chen_blum)) for image in images])


@jax.jit
def _preserved(contrasts: list[Float[Array, "H W"]]) -> Score:
    kept, *wanted = contrasts
    shares = [jnp.where(one < kept, one / kept, kept / one) for one in wanted]
    weights = [jnp.square(one) for one in wanted]
    weighted = reduce(operator.add, [a * b for a, b in zip(weights, shares, strict=True)])
    return pixel_mean(weighted / reduce(operator.add, weights))


@jax.jit
def _masked_contrast(image: Float[Array, "H W"]) -> Float[Array, "H W"]:
    padded = jnp.pad(image, 15)
    contrast = jnp.abs(local_mean(padded, _FINE) / local_mean(padded, _COARSE) - 1)
    return contrast**3 / (contrast**2 + 1e-4)


_Qcv = Literal["vifb"]


def chen_varshney(fused: Gray, sources: GrayStack, *, variant: _Qcv = "vifb") -> Score:
    r"""Visible squared difference from the sources where each is salient (Qcv): lower is better.

    0 for identical images. For 16×16 blocks, :math:`\sum_b \sum_m \lambda_{mb} D_{mb} / \sum_b \sum_m
    \lambda_{mb}`, where :math:`\lambda` sums the fifth powers of the Sobel strength of a source and D is the
    mean square of the difference from it after the contrast sensitivity filter of Mannos and Sakrison,
    :math:`2.6 (0.0192 + 0.144 r) e^{-(0.144 r)^{1.1}}` (Chen and Varshney 2007). Blocks that
    reach over the border are filled with zeros.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"vifb"``.

    Example:
        >>> image = np.tile(np.arange(0, 120, 20, dtype=np.uint8), (6, 1))
        >>> chen_varshney(image, image[np.newaxis]).item()
        0.0
    """
    check_variant("Qcv", variant, get_args(_Qcv))
    image, *stack = [stretch(image) for image in separate(fused, sources)]
    visible = [_filtered(source - image, _sensitivity_mannos_sakrison) for source in stack]
    return _salient_difference(stack, visible)


@jax.jit
def _salient_difference(sources: list[Float[Array, "H W"]], visible: list[Float[Array, "H W"]]) -> Score:
    total = difference = jnp.zeros(())
    for source, part in zip(sources, visible, strict=True):
        right, down = sobel(source, "constant")
        strength = jnp.sqrt(right * right + down * down) / 255  # the scale cancels in the ratio
        saliency = _block_sums(strength**_SALIENCY_POWER)
        total += jnp.sum(saliency)
        difference += jnp.sum(saliency * _block_sums(jnp.square(part)) / _BLOCK**2)
    return difference / total


def _block_sums(image: Float[Array, "H W"]) -> Float[Array, "h w"]:
    """Sums over blocks, with zeros outside, as products with two matrices of zeros and ones."""
    rows, columns = (jnp.asarray(_membership(size), image.dtype) for size in image.shape)
    of_rows = jnp.matmul(rows, image, precision=lax.Precision.HIGHEST)
    return jnp.matmul(of_rows, columns.T, precision=lax.Precision.HIGHEST)


def _membership(size: int) -> Bool[np.ndarray, "B N"]:
    return np.arange(size) // _BLOCK == np.arange(-(-size // _BLOCK))[:, np.newaxis]


def _sensitivity_chen_blum(u: np.ndarray, v: np.ndarray, height: int, width: int) -> np.ndarray:
    r = np.hypot(u * (width / 30), v * (height / 30))
    return np.exp(-np.square(r / 15.3870)) - 0.7622 * np.exp(-np.square(r / 1.3456))


def _sensitivity_mannos_sakrison(u: np.ndarray, v: np.ndarray, height: int, width: int) -> np.ndarray:
    r = np.hypot(u * (width / 8), v * (height / 8))
    return 2.6 * (0.0192 + 0.144 * r) * np.exp(-((0.144 * r) ** 1.1))


@partial(jax.jit, static_argnames="sensitivity")
def _filtered(image: Float[Array, "H W"], sensitivity: Sensitivity) -> Float[Array, "H W"]:
    """The image after a real, even filter given on frequencies in [-1, 1), 1 being half the sampling rate."""
    height, width = image.shape
    u, v = np.meshgrid(2 * np.fft.rfftfreq(width), 2 * np.fft.fftfreq(height))
    spectrum = jnp.fft.rfft2(image)
    gain = jnp.asarray(sensitivity(u, v, height, width), spectrum.dtype)
    return jnp.fft.irfft2(spectrum * gain, s=(height, width))


ROWS = (
    Metric(
        name="Qcb",
        full_name="Chen-Blum contrast preservation",
        function=chen_blum,
        needs_sources=True,
        direction="higher",
        variants={"vifb": "on stretched images", "mefb": "divided by 255 before the stretch"},
        conventions=by_variant(vifb="standard vifb", mefb="mefb"),
        source="Chen and Blum, Image Vis. Comput. 27, 2009",
    ),
    Metric(
        name="Qcv",
        full_name="Chen-Varshney visible difference",
        function=chen_varshney,
        needs_sources=True,
        direction="lower",
        variants={"vifb": "16x16 blocks, saliency to the fifth power"},
        conventions=by_variant(vifb="standard vifb mefb"),
        source="Chen and Varshney, Inf. Fusion 8, 2007",
    ),
)
