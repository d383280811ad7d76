r"""The terms of TTD's generalisation bound, measured on images: what Theorem 3.1 (Eq. 4, 10) says of one fusion.

``sources`` and components are ``(M, H, W, C)``, weights ``(M, H, W)``; the expectations and covariances of the paper
are means over pixels. :math:`\ell_{im} = |u_i - x_m|`, averaged over channels, is the distance of component i from
source m: a norm, since the step from Eq. 9 to Eq. 10 needs the triangle inequality, which squared errors do not have.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.core.losses import absolute_error

_ROUNDING = 1e-6  # of the largest value


class Bound(NamedTuple):
    r"""One chain of inequalities, each entry a scalar; for weights of at least 0 that sum to 1 ``decomposed <= bound``.

    Attributes:
        error: :math:`\sum_m \mathrm E|I - x_m|`, the error of the fused image (left of Eq. 4).
        decomposed: :math:`\sum_m \sum_i \mathrm E[\omega_i \ell_{im}]` (right of Eq. 9). At least ``error`` if the
            fused image is the weighted mean of the components; for a real network the paper assumes so (Eq. 8).
        covariance: :math:`\sum_m \mathrm{Cov}(\omega_m, \ell_{mm})` (Eq. 4).
        constant: :math:`C` of Eq. 10, which no weight enters.
        bound: ``covariance + constant`` (Eq. 10).
    """

    error: Float[Array, ""]
    decomposed: Float[Array, ""]
    covariance: Float[Array, ""]
    constant: Float[Array, ""]
    bound: Float[Array, ""]


def covariance(weights: Float[Array, "M H W"], losses: Float[Array, "M H W"]) -> Float[Array, " M"]:
    r"""Covariance of weight and loss over the pixels, for each source (the last term of TTD, Eq. 4).

    :math:`\mathrm{Cov}(\omega_m, \ell_m) = \mathrm E[(\omega_m - \mathrm E\omega_m)(\ell_m - \mathrm E\ell_m)]`, with
    division by the number of pixels. Its sum over the sources is what the paper wants negative (Eq. 5). For
    weights softmax(-k losses) the sum can not be positive, whatever the losses are.
    """
    return pixel_mean(_centered(weights) * _centered(losses))


def correlation(weights: Float[Array, "M H W"], losses: Float[Array, "M H W"]) -> Float[Array, " M"]:
    """Covariance of weight and loss over the product of their standard deviations, in [-1, 1]; 0 if one is constant."""
    product = _spread(weights) * _spread(losses)
    return jnp.clip(covariance(weights, losses) / jnp.where(product > 0, product, jnp.inf), -1, 1)


def cross_losses(components: Float[Array, "M H W C"], sources: Float[Array, "M H W #C"]) -> Float[Array, "M M"]:
    r"""Mean distance of every component (rows) from every source (columns): :math:`\mathrm E\,\ell_{im}`."""
    return jax.lax.map(lambda component: pixel_mean(_distances(component, sources)), components)


def generalization_bound(
    fused: Float[Array, "H W C"],
    weights: Float[Array, "M H W"],
    components: Float[Array, "M H W C"],
    sources: Float[Array, "M H W #C"],
) -> Bound:
    r"""The terms of the bound for one fusion (TTD, Eq. 4, 9 and 10).

    .. math:: C = \sum_m \mathrm E\Big[\frac{2M-1}{M} \ell_{mm} + \frac{M-1}{M} \sum_{i \ne m} \ell_{im}\Big]

    Args:
        fused: The fused image, dynamic or static.
        weights: Its weights, which sum to 1 over the sources; 1/M for a static rule, whose covariance is then 0.
        components: Uni-source components.
        sources: Sources.

    Returns:
        Every term. Between two fusions of the same components ``constant`` is the same, so that ``bound`` orders them
        by their covariance alone.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([0.0, 1.0]).reshape(2, 1, 1, 1)  # two sources of one pixel, components without error
        >>> print(*generalization_bound(x[0], jnp.array([1.0, 0.0]).reshape(2, 1, 1), x, x))
        1.0 1.0 0.0 1.0 1.0
    """
    count = len(sources)
    cross = cross_losses(components, sources)
    own = absolute_error(components, sources)

    def share(component: Array, weight: Array) -> Array:
        return pixel_mean(weight * jnp.sum(_distances(component, sources), axis=0))

    decomposed = jnp.sum(jax.lax.map(lambda both: share(*both), (components, weights)))
    total_covariance = jnp.sum(covariance(weights, own))
    constant = (jnp.sum(cross) * (count - 1) + jnp.trace(cross) * count) / count
    error = jnp.sum(pixel_mean(_distances(fused, sources)))
    return Bound(error, decomposed, total_covariance, constant, total_covariance + constant)


def pixel_mean(maps: Float[Array, "*B H W"]) -> Float[Array, "*B"]:
    """Mean over the pixels."""
    return jnp.mean(maps, axis=(-2, -1))


def _distances(image: Float[Array, "H W C"], sources: Float[Array, "M H W #C"]) -> Float[Array, "M H W"]:
    return jax.vmap(partial(absolute_error, image))(sources)


def _centered(maps: Float[Array, "M H W"]) -> Float[Array, "M H W"]:
    """Maps less their means, exactly 0 for a constant one: its mean would be off by rounding, so a pixel goes first."""
    shifted = maps - maps[:, :1, :1]
    return shifted - pixel_mean(shifted)[:, jnp.newaxis, jnp.newaxis]


def _spread(maps: Float[Array, "M H W"]) -> Float[Array, " M"]:
    """Standard deviation over the pixels, 0 where it is no more than rounding."""
    spread = jnp.sqrt(pixel_mean(jnp.square(_centered(maps))))
    return jnp.where(spread > _ROUNDING * jnp.max(jnp.abs(maps), axis=(-2, -1)), spread, 0)
