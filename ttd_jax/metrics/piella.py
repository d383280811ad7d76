"""Structural similarity weighted by where the sources carry information.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image below 11 pixels gives NaN.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant
from ttd_jax.metrics.structural import GAUSSIAN_11, ssim_terms
from ttd_jax.ops.filters import local_covariance, prewitt


@partial(jax.jit, static_argnames="variant")
def piella(fused: Gray, sources: GrayStack, *, variant: str = "Qw") -> Score:
    r"""SSIM with each source, weighted by its local variance (Piella's Q, Qw and Qe): higher is better.

    :math:`Q = \sum_w c_w \sum_m \lambda_{mw} \mathrm{SSIM}_w(F, S_m)` over 11×11 Gaussian windows w with
    :math:`\lambda_m = \sigma_m^2 / \sum_n \sigma_n^2` (Piella and Heijmans 2003, Eq. 4 to 7; SSIM with its
    constants in the place of their universal quality index). 1 for identical images.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"Q"``, every window alike; ``"Qw"``, windows weighted by :math:`\max_m \sigma_m^2`;
            ``"Qe_mefb"``, Qw of the Prewitt gradient lengths, which MEFB calls Qw; ``"Qe"``, the product of the
            last two.
    """
    image, sources = levels(fused), levels(sources)
    if variant not in ("Q", "Qw", "Qe", "Qe_mefb"):
        raise unknown_variant("Qpiella", variant, ["Q", "Qw", "Qe", "Qe_mefb"])
    if min(image.shape) < len(GAUSSIAN_11):
        return jnp.full((), jnp.nan)
    value = jnp.ones((), image.dtype)
    if variant in ("Q", "Qw", "Qe"):
        value = _weighted(image, sources, by_variance=variant != "Q")
    if variant in ("Qe", "Qe_mefb"):
        value = value * _weighted(_gradient_length(image), _gradient_length(sources), by_variance=True)
    return value


def _weighted(fused: Float[Array, "H W"], sources: Float[Array, "M H W"], by_variance: bool) -> Score:
    variance = local_covariance(sources, sources, GAUSSIAN_11)
    variance = jnp.where(jnp.sum(variance, axis=0) == 0, 0.5, variance)
    luminance, structure = ssim_terms(jnp.broadcast_to(fused, sources.shape), sources, GAUSSIAN_11, 255)
    quality = jnp.sum(variance * luminance * structure, axis=0) / jnp.sum(variance, axis=0)
    if not by_variance:
        return jnp.mean(quality)
    saliency = jnp.max(variance, axis=0)
    return jnp.sum(saliency * quality) / jnp.sum(saliency)


def _gradient_length(image: Float[Array, "... H W"]) -> Float[Array, "... H W"]:
    right, down = prewitt(image, "constant")
    return jnp.sqrt(right * right + down * down)
