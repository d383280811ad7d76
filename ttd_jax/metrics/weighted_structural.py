"""Structural similarity weighted by where the sources carry information.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image below 11 pixels gives NaN.
"""

import operator
from functools import partial, reduce
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.metrics.structural import GAUSSIAN_11, by_source
from ttd_jax.ops.filters import pixel_mean, pixel_sum, prewitt
from ttd_jax.ops.statistics import PairMoments, ssim_terms

_Qw = Literal["Qw", "Q", "Qe", "Qe_mefb"]


def piella(fused: Gray, sources: GrayStack, *, variant: _Qw = "Qw") -> Score:
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

    Example:
        >>> import numpy as np
        >>> image = np.arange(144, dtype=np.uint8).reshape(12, 12)
        >>> round(piella(image, np.stack([image, image])).item(), 3)
        1.0
    """
    check_variant("Qw", variant, get_args(_Qw))
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
def _weighted(pairs: list[PairMoments], by_variance: bool) -> Score:
    flat = reduce(operator.add, [moments.variance_y for moments in pairs]) == 0
    variances = [jnp.where(flat, 0.5, moments.variance_y) for moments in pairs]
    terms = [ssim_terms(moments, data_range=255) for moments in pairs]
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


ROWS = (
    Metric(
        name="Qw",
        full_name="Piella's weighted fusion quality",
        function=piella,
        needs_sources=True,
        direction="higher",
        variants={
            "Qw": "SSIM weighted by local variance",
            "Q": "windows alike",
            "Qe": "Qw times Qw of gradients",
            "Qe_mefb": "Qw of gradients",
        },
        conventions=by_variant(Qw="standard", Qe_mefb="mefb"),
        source="Piella and Heijmans, ICIP 2003",
    ),
)
