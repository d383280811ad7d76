"""Quality of a fused exposure bracket.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 2; see
:mod:`ttd_jax.metrics.levels` for dtypes.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant
from ttd_jax.metrics.structural import GAUSSIAN_11, halve
from ttd_jax.ops.filters import box_kernel, local_covariance

_SIZE = 11
_TINY = 2.0**-52  # double precision's epsilon, as published, whatever the dtype here
_WEIGHTS = (0.0448, 0.2856, 0.3001)


@partial(jax.jit, static_argnames="variant")
def multi_exposure_structural_similarity(fused: Gray, sources: GrayStack, *, variant: str = "multiscale") -> Score:
    r"""Similarity of the fused image to the best structure that the sources offer (MEF-SSIM): higher is
    better.

    In each 11×11 window the wanted structure is :math:`\hat r = \sum_m w_m \tilde s_m / \|\sum_m w_m \tilde
    s_m\|` times the highest contrast :math:`\max_m \|\tilde x_m\|`, with :math:`\tilde x` a window less its
    mean, :math:`\tilde s = \tilde x / \|\tilde x\|` and :math:`w_m \propto \|\tilde x_m\|^p`, where p grows
    with the agreement of the sources. The score of the window is :math:`(2\sigma_{rF} + C)/(\sigma_r^2 +
    \sigma_F^2 + C)` with :math:`C = (0.03 \cdot 255)^2` (Ma, Zeng and Wang 2015, Eq. 4 to 11; no luminance
    term). At most 1.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"multiscale"``, the product over three scales with exponents 0.0448, 0.2856 and 0.3001
            brought to the sum 1; ``"single"``, the finest scale only. NaN where the coarsest scale is below
            11 pixels.
    """
    if variant not in ("multiscale", "single"):
        raise unknown_variant("MEF-SSIM", variant, ["multiscale", "single"])
    image, sources = levels(fused), levels(sources)
    scales = len(_WEIGHTS) if variant == "multiscale" else 1
    if min(image.shape) < _SIZE * 2 ** (scales - 1):
        return jnp.full((), jnp.nan)
    if variant == "single":
        return jnp.mean(_similarity_map(image, sources))
    value = jnp.ones((), image.dtype)
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            image, sources = halve(image), halve(sources)
        mean = jnp.mean(_similarity_map(image, sources))
        value = value * jnp.maximum(mean, 0) ** (weight / sum(_WEIGHTS))
    return value


def _similarity_map(fused: Float[Array, "H W"], sources: Float[Array, "M H W"]) -> Float[Array, "h w"]:
    """The score of every window.

    The wanted block is a sum of centred source windows with factors a_m, so every moment that the score needs
    is a form in the factors: its variance is sum_mn a_m a_n cov(x_m, x_n), its covariance with F sum_m a_m
    cov(x_m, F).
    """
    count = len(sources)
    box = box_kernel(_SIZE)
    area = _SIZE**2
    pairs = [(m, n) for m in range(count) for n in range(m, count)]
    first = jnp.stack([sources[m] for m, _ in pairs])
    second = jnp.stack([sources[n] for _, n in pairs])
    products = dict(zip(pairs, area * local_covariance(first, second, box), strict=True))  # <x_m, x_n>, centred

    norms = jnp.stack([jnp.sqrt(products[m, m]) for m in range(count)])
    contrast = norms + 0.001
    sum_norm = jnp.sqrt(jnp.maximum(_quadratic_form(products, jnp.ones_like(norms)), 0))
    agreement = jnp.minimum((sum_norm + _TINY) / (jnp.sum(norms, axis=0) + _TINY), 1)
    power = jnp.minimum(jnp.tan(jnp.pi / 2 * jnp.minimum(agreement, 0.95)), 10)  # tan(0.95 pi / 2) > 10
    weights = (contrast / _SIZE) ** power + _TINY
    factors = weights / jnp.sum(weights, axis=0) / contrast

    length = jnp.sqrt(jnp.maximum(_quadratic_form(products, factors), 0))
    factors = factors * jnp.where(length > 0, jnp.max(contrast, axis=0) / jnp.where(length > 0, length, 1), 0)

    windowed = dict(zip(pairs, local_covariance(first, second, GAUSSIAN_11), strict=True))
    wanted_variance = _quadratic_form(windowed, factors)
    with_fused = local_covariance(jnp.broadcast_to(fused, sources.shape), sources, GAUSSIAN_11)
    covariance = jnp.sum(factors * with_fused, axis=0)
    constant = (0.03 * 255) ** 2
    variances = wanted_variance + local_covariance(fused, fused, GAUSSIAN_11)
    return (2 * covariance + constant) / (variances + constant)


def _quadratic_form(
    products: dict[tuple[int, int], Float[Array, "h w"]], factors: Float[Array, "M h w"]
) -> Float[Array, "h w"]:
    """Sum over m, n of a_m a_n P_mn, from the upper triangle of the symmetric P."""
    terms = [(1 if m == n else 2) * factors[m] * factors[n] * p for (m, n), p in products.items()]
    return sum(terms[1:], start=terms[0])
