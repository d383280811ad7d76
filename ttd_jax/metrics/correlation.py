"""Linear correlation between the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1 (2 for differences); see
:mod:`ttd_jax.metrics.levels` for dtypes. An image of one grey level has no correlation: the value is NaN.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant


def _pearson(x: Float[Array, "*B H W"], y: Float[Array, "*B H W"]) -> Float[Array, "*B"]:
    x = x - jnp.mean(x, axis=(-2, -1), keepdims=True)
    y = y - jnp.mean(y, axis=(-2, -1), keepdims=True)
    covariance = jnp.mean(x * y, axis=(-2, -1))
    return covariance / jnp.sqrt(jnp.mean(x * x, axis=(-2, -1)) * jnp.mean(y * y, axis=(-2, -1)))


@partial(jax.jit, static_argnames="variant")
def correlation_coefficient(fused: Gray, sources: GrayStack, *, variant: str = "mean") -> Score:
    r"""Pearson's correlation of the fused image with its sources (CC), averaged: higher is better.

    :math:`\frac1M \sum_m r(F, S_m)`, in [-1, 1].

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"mean"``.
    """
    if variant != "mean":
        raise unknown_variant("CC", variant, ["mean"])
    return jnp.mean(_pearson(levels(fused), levels(sources)))


@partial(jax.jit, static_argnames="variant")
def sum_of_correlations_of_differences(fused: Gray, sources: GrayStack, *, variant: str = "sum") -> Score:
    r"""How well what one source adds correlates with that source (SCD), summed: higher is better.

    :math:`\sum_m r(F - \bar S_{\setminus m}, S_m)`, in [-M, M], where :math:`\bar S_{\setminus m}` is the
    mean of the other sources; for two sources that is :math:`r(F - B, A) + r(F - A, B)` (Aslantas and Bendes
    2015, Eq. 3).

    Args:
        fused: The fused image.
        sources: What it was fused from, at least 2.
        variant: ``"sum"``.
    """
    if variant != "sum":
        raise unknown_variant("SCD", variant, ["sum"])
    sources = levels(sources)
    others = (jnp.sum(sources, axis=0) - sources) / (len(sources) - 1)
    return jnp.sum(_pearson(levels(fused) - others, sources))
