"""What a fused image is trained for: closeness to a known target, and to its sources in structure, edges and contrast.

Images are ``(H, W)`` and sources ``(M, H, W)`` in [0, 1]; each term is a scalar, 0 at best.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.ops.filters import box_kernel, local_mean, sobel
from ttd_jax.ops.statistics import PairMoments, halve, pearson, ssim_terms

Image = Float[Array, "H W"]
Stack = Float[Array, "M H W"]
Scalar = Float[Array, ""]


class Terms(NamedTuple):
    """Weights of the terms, or their values.

    Attributes:
        target: l1 distance from the target.
        structure: 1 - SSIM, averaged over the sources (7x7 windows).
        edges: l1 distance between the Sobel gradient and, pixel by pixel, the strongest one of the sources.
        detail: 1 - similarity of patches, their mean left out, with the sources' strongest ones, at three scales.
        contrast: How little of each source the fused image adds to the other ones (1 - SCD / M).
        range: l1 distance from [0, 1].
    """

    target: Any
    structure: Any
    edges: Any
    detail: Any
    contrast: Any
    range: Any


def fusion_terms(fused: Image, sources: Stack, target: Image) -> Terms:
    """All terms for one fused image."""
    return Terms(
        jnp.mean(jnp.abs(fused - target)),
        1 - jnp.mean(jax.vmap(lambda source: ssim(fused, source))(sources)),
        edge_distance(fused, sources),
        1 - detail_similarity(fused, sources),
        1 - jnp.mean(differences_correlation(fused, sources)),
        jnp.mean(jnp.maximum(fused - 1, 0) + jnp.maximum(-fused, 0)),
    )


def ssim(x: Image, y: Image) -> Scalar:
    """Structural similarity with a 7x7 moving window and data range 1 (Wang et al. 2004, Eq. 13)."""
    window = box_kernel(7)
    mean_x, mean_y = local_mean(x, window), local_mean(y, window)
    x, y = x - 0.5, y - 0.5  # moments about the middle of the range keep their precision
    shift_x, shift_y = mean_x - 0.5, mean_y - 0.5
    unbiased = 49 / 48
    var_x = unbiased * (local_mean(x * x, window) - shift_x**2)
    var_y = unbiased * (local_mean(y * y, window) - shift_y**2)
    covariance = unbiased * (local_mean(x * y, window) - shift_x * shift_y)
    luminance, structure = ssim_terms(PairMoments(mean_x, mean_y, var_x, var_y, covariance), data_range=1)
    return jnp.mean(luminance * structure)


def detail_similarity(fused: Image, sources: Stack, scales: int = 3) -> Scalar:
    r"""Similarity of local detail with what the sources show best (after MEF-SSIM, Ma et al. 2015, Eq. 2-8).

    Where :math:`\tilde x_m` is a 7x7 patch of source m less its mean, the wanted patch has the largest of their
    standard deviations :math:`\sigma_m`, and the direction of :math:`\sum_m \sigma_m^3 \tilde x_m`, in which the
    strongest one decides. Averaged over scales of 1, 1/2, 1/4.
    """
    found = [_detail_similarity(fused, sources)]
    for _ in range(scales - 1):
        fused, sources = halve(fused), halve(sources)
        found.append(_detail_similarity(fused, sources))
    return jnp.mean(jnp.array(found))


def _detail_similarity(fused: Image, sources: Stack) -> Scalar:
    window = box_kernel(7)

    def covariance(x: Array, y: Array) -> Array:
        x, y = x - 0.5, y - 0.5
        return local_mean(x * y, window) - local_mean(x, window) * local_mean(y, window)

    among = jax.vmap(lambda x: jax.vmap(lambda y: covariance(x, y))(sources))(sources)
    with_fused = jax.vmap(lambda x: covariance(x, fused))(sources)
    variance = jnp.maximum(jnp.stack([among[m, m] for m in range(len(sources))]), 0)
    share = (variance + 1e-6) ** 1.5
    share = share / jnp.sum(share, axis=0)
    direction = jnp.einsum("mhw,nhw,mnhw->hw", share, share, among)
    strongest = jnp.max(variance, axis=0)
    gain = jnp.sqrt((strongest + 1e-6) / (jnp.maximum(direction, 0) + 1e-6))
    wanted = gain * jnp.sum(share * with_fused, axis=0)
    return jnp.mean((2 * wanted + 0.03**2) / (strongest + covariance(fused, fused) + 0.03**2))


def edge_distance(fused: Image, sources: Stack) -> Scalar:
    """Mean l1 distance of the fused gradient from the strongest of the sources' gradients."""
    right, down = sobel(sources, "edge")
    strength = right**2 + down**2
    strongest = strength == jnp.max(strength, axis=0)
    share = strongest / jnp.sum(strongest, axis=0)
    wanted = [jnp.sum(share * part, axis=0) for part in (right, down)]
    found = sobel(fused, "edge")
    right, down = (jnp.mean(jnp.abs(a - b)) for a, b in zip(found, wanted, strict=True))
    return (right + down) / 8


def differences_correlation(fused: Image, sources: Stack) -> Float[Array, " M"]:
    """Correlation of every source with the fused image less the mean of the other sources (SCD's terms for M = 2)."""
    others = (jnp.sum(sources, axis=0) - sources) / (len(sources) - 1)
    return pearson(fused - others, sources, floor=1e-6)
