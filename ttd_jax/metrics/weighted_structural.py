"""Structural similarity weighted by where the sources carry information.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image below 11 pixels gives NaN.
"""

import operator
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined, unknown_variant
from ttd_jax.metrics.structural import GAUSSIAN_11, SsimMoments, by_source, ssim_terms
from ttd_jax.ops.filters import pixel_mean, pixel_sum, prewitt


def piella(fused: Gray, sources: GrayStack, *, variant: str = "Qw") -> Score:
    r"""SSIM with each source, weighted by its local variance (Piella's Q, Qw and Qe): higher is better.

    :math:`Q = \sum_w c_w \sum_m \lambda_{mw} \mathrm{SSIM}_w(F, S_m)` over 11×11 Gaussian windows w with
    :math:`\lambda_m = \sigma_m^2 / \sum_n \sigma_n^2` (Piella and Heijmans 2003; SSIM with its
    constants in the place of their universal quality index). 1 for identical images.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"Q"``, every window alike; ``"Qw"``, windows weighted by :math:`\max_m \sigma_m^2`;
            ``"Qe_mefb"``, Qw of the Prewitt gradient lengths, which MEFB calls Qw; ``"Qe"``, the product of
            the last two.
    """
    if variant not in ("Q", "Qw", "Qe", "Qe_mefb"):
        raise unknown_variant("Qw", variant, ["Qw", "Q", "Qe", "Qe_mefb"])
    images = separate(fused, sources)
    if min(images[0].shape) < len(GAUSSIAN_11):
        return undefined()
    value = jnp.ones((), images[0].dtype)
    if variant != "Qe_mefb":
        value = _quality(images, by_variance=variant != "Q")
    if variant in ("Qe", "Qe_mefb"):
        value = value * _quality([_gradient_length(image) for image in images], by_variance=True)
    return value


def _quality(images: list[Float[Array, "H W"]], by_variance: bool) -> Score:
    return _weighted(by_source(images, GAUSSIAN_11), by_variance)


@partial(jax.jit, static_argnames="by_variance")
def _weighted(pairs: list[SsimMoments], by_variance: bool) -> Score:
    flat = reduce(operator.add, [moments.variance_y for moments in pairs]) == 0
    variances = [jnp.where(flat, 0.5, moments.variance_y) for moments in pairs]
    terms = [ssim_terms(moments, 255) for moments in pairs]
    weighted = [v * luminance * structure for v, (luminance, structure) in zip(variances, terms, strict=True)]
    quality = reduce(operator.add, weighted) / reduce(operator.add, variances)
    if not by_variance:
        return pixel_mean(quality)
    saliency = reduce(jnp.maximum, variances)
    return pixel_sum(saliency * quality) / pixel_sum(saliency)


@jax.jit
def _gradient_length(image: Float[Array, "H W"]) -> Float[Array, "H W"]:
    right, down = prewitt(image, "constant")
    return jnp.sqrt(right * right + down * down)
