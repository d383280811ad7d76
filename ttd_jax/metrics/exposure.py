"""Quality of a fused exposure bracket.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 2; see
:mod:`ttd_jax.metrics.levels` for dtypes.
"""

import operator
from functools import partial, reduce
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.metrics.structural import GAUSSIAN_11, shrink, with_first
from ttd_jax.ops.elementary import tan_half_turn
from ttd_jax.ops.filters import Moments, box_kernel, local_moments, pixel_mean

_SIZE = 11
_BOX = box_kernel(_SIZE)
_TINY = 2.0**-52  # double precision's epsilon, as published, whatever the dtype here
_WEIGHTS = (0.0448, 0.2856, 0.3001)

Covariances: TypeAlias = dict[tuple[int, int], Float[Array, "h w"]]
"""Local covariance of sources m and n by (m, n), m <= n."""


_MEF_SSIM = Literal["multiscale", "single"]


def multi_exposure_structural_similarity(
    fused: Gray, sources: GrayStack, *, variant: _MEF_SSIM = "multiscale"
) -> Score:
    r"""Similarity of the fused image to the best structure that sources offer (MEF-SSIM): higher is better.

    In each 11×11 window the wanted structure is
    :math:`\hat r = \sum_m w_m \tilde s_m / \|\sum_m w_m \tilde s_m\|` times the highest contrast
    :math:`\max_m \|\tilde x_m\|`, with :math:`\tilde x` a window less its mean,
    :math:`\tilde s = \tilde x / \|\tilde x\|` and :math:`w_m \propto \|\tilde x_m\|^p`, where p grows with
    the agreement of the sources. The score of the window is
    :math:`(2\sigma_{rF} + C)/(\sigma_r^2 + \sigma_F^2 + C)` with :math:`C = (0.03 \cdot 255)^2` (Ma, Zeng
    and Wang 2015; no luminance term). At most 1.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"multiscale"``, the product over three scales with exponents 0.0448, 0.2856 and 0.3001
            brought to the sum 1; ``"single"``, the finest scale only. NaN where the coarsest scale is below
            11 pixels.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((8, 8), np.uint8)  # smaller than a window
        >>> multi_exposure_structural_similarity(image, np.stack([image, image])).item()
        nan
    """
    check_variant("MEF-SSIM", variant, get_args(_MEF_SSIM))
    images = separate(fused, sources)
    weights = _WEIGHTS if variant == "multiscale" else (1.0,)
    if min(images[0].shape) < _SIZE * 2 ** (len(weights) - 1):
        return undefined()
    value = jnp.ones((), images[0].dtype)
    for scale, weight in enumerate(weights):
        images = [shrink(image) for image in images] if scale else images
        value = value * jnp.maximum(_mean_score(images), 0) ** (weight / sum(weights))
    return value


def _mean_score(images: list[Float[Array, "H W"]]) -> Score:
    """The mean score of all windows, of the fused image and its sources.

    The wanted block is a sum of centred source windows with factors a_m, so every moment that the score needs
    is a form in the factors: the variance of the block is the sum of a_m a_n cov(x_m, x_n), its covariance
    with F the sum of a_m cov(x_m, F).
    """
    count = len(images) - 1
    among = tuple(combinations(range(count), 2))
    boxed = local_moments(images[1:], _BOX, pairs=among)
    factors = _factors(_covariances(boxed.variances, boxed.covariances, among))
    windowed = local_moments(images, GAUSSIAN_11, pairs=(*with_first(count), *((m + 1, n + 1) for m, n in among)))
    return _score(factors, windowed, among)


def _covariances(variances: list[Array], covariances: list[Array], pairs: tuple[tuple[int, int], ...]) -> Covariances:
    return {(m, m): variance for m, variance in enumerate(variances)} | dict(zip(pairs, covariances, strict=True))


@jax.jit
def _factors(covariances: Covariances) -> list[Float[Array, "h w"]]:
    """What each centred source window is multiplied by to give the wanted block."""
    products = {pair: _SIZE**2 * value for pair, value in covariances.items()}  # <x_m, x_n>, centred
    norms = [jnp.sqrt(product) for (m, n), product in products.items() if m == n]
    contrasts = [norm + 0.001 for norm in norms]
    norm_of_sum = jnp.sqrt(jnp.maximum(_quadratic_form(products, [jnp.ones_like(norms[0])] * len(norms)), 0))
    agreement = jnp.minimum((norm_of_sum + _TINY) / (_sum(norms) + _TINY), 1)
    power = jnp.minimum(tan_half_turn(jnp.minimum(agreement, 0.95)), 10)  # tan(0.95 pi / 2) > 10
    weights = [jnp.exp(power * jnp.log(contrast / _SIZE)) + _TINY for contrast in contrasts]
    total = _sum(weights)
    factors = [weight / total / contrast for weight, contrast in zip(weights, contrasts, strict=True)]
    length = jnp.sqrt(jnp.maximum(_quadratic_form(products, factors), 0))
    highest = reduce(jnp.maximum, contrasts)
    scale = jnp.where(length > 0, highest / jnp.where(length > 0, length, 1), 0)
    return [factor * scale for factor in factors]


@partial(jax.jit, static_argnames="among")
def _score(factors: list[Array], windowed: Moments, among: tuple[tuple[int, int], ...]) -> Score:
    count = len(factors)
    with_fused, of_sources = windowed.covariances[:count], windowed.covariances[count:]
    wanted = _quadratic_form(_covariances(windowed.variances[1:], of_sources, among), factors)
    covariance = _sum([a * b for a, b in zip(factors, with_fused, strict=True)])
    constant = (0.03 * 255) ** 2
    return pixel_mean((2 * covariance + constant) / (wanted + windowed.variances[0] + constant))


def _quadratic_form(products: Covariances, factors: list[Array]) -> Float[Array, "h w"]:
    """Sum over m, n of a_m a_n P_mn, from the upper triangle of the symmetric P."""
    return _sum([(1 if m == n else 2) * factors[m] * factors[n] * p for (m, n), p in products.items()])


def _sum(planes: list[Array]) -> Array:
    return reduce(operator.add, planes)


ROWS = (
    Metric(
        name="MEF-SSIM",
        full_name="multi-exposure structural similarity",
        function=multi_exposure_structural_similarity,
        needs_sources=True,
        direction="higher",
        variants={"multiscale": "three scales", "single": "finest scale"},
        conventions=by_variant(multiscale="standard mefb tang"),
        source="Ma, Zeng and Wang, IEEE Trans. Image Process. 24, 2015",
        per_channel=False,
    ),
)
