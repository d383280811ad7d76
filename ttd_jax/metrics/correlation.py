"""Linear correlation between the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1 (2 for differences); see
:mod:`ttd_jax.metrics.levels` for dtypes. An image of one grey level has no correlation: the value is NaN.
"""

import operator
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, unknown_variant
from ttd_jax.ops.filters import centered, pixel_mean


def _pearson(x: Float[Array, "H W"], y: Float[Array, "H W"]) -> Score:
    x, y = centered(x), centered(y)
    return pixel_mean(x * y) / jnp.sqrt(pixel_mean(x * x) * pixel_mean(y * y))


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
    image, *stack = separate(fused, sources)
    return jnp.mean(jnp.stack([_pearson(image, source) for source in stack]))


@partial(jax.jit, static_argnames="variant")
def sum_of_correlations_of_differences(fused: Gray, sources: GrayStack, *, variant: str = "sum") -> Score:
    r"""How well what one source adds correlates with that source (SCD), summed: higher is better.

    :math:`\sum_m r(F - \bar S_{\setminus m}, S_m)`, in [-M, M], where :math:`\bar S_{\setminus m}` is the
    mean of the other sources; for two sources that is :math:`r(F - B, A) + r(F - A, B)` (Aslantas and Bendes
    2015).

    Args:
        fused: The fused image.
        sources: What it was fused from, at least 2.
        variant: ``"sum"``.
    """
    if variant != "sum":
        raise unknown_variant("SCD", variant, ["sum"])
    image, *stack = separate(fused, sources)
    total = reduce(operator.add, stack)
    others = [(total - source) / (len(stack) - 1) for source in stack]
    parts = [_pearson(image - other, source) for other, source in zip(others, stack, strict=True)]
    return jnp.sum(jnp.stack(parts))
