"""Linear correlation between the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1 (2 for differences); see
:mod:`ttd_jax.metrics.levels` for dtypes. An image of one grey level has no correlation: the value is NaN.
"""

import operator
from functools import partial, reduce
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.ops.statistics import pearson

_CC = Literal["mean"]


@partial(jax.jit, static_argnames="variant")
def correlation_coefficient(fused: Gray, sources: GrayStack, *, variant: _CC = "mean") -> Score:
    r"""Pearson's correlation of the fused image with its sources (CC), averaged: higher is better.

    :math:`\frac1M \sum_m r(F, S_m)`, in [-1, 1].

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"mean"``.

    Example:
        >>> import numpy as np
        >>> image = np.array([[0, 10], [20, 30]], np.uint8)
        >>> round(correlation_coefficient(image, np.stack([image, 2 * image])).item(), 3)
        1.0
    """
    check_variant("CC", variant, get_args(_CC))
    image, *stack = separate(fused, sources)
    return jnp.mean(jnp.stack([pearson(image, source) for source in stack]))


_SCD = Literal["sum"]


@partial(jax.jit, static_argnames="variant")
def sum_of_correlations_of_differences(fused: Gray, sources: GrayStack, *, variant: _SCD = "sum") -> Score:
    r"""How well what one source adds correlates with that source (SCD), summed: higher is better.

    :math:`\sum_m r(F - \bar S_{\setminus m}, S_m)`, in [-M, M], where :math:`\bar S_{\setminus m}` is the
    mean of the other sources; for two sources that is :math:`r(F - B, A) + r(F - A, B)` (Aslantas and Bendes
    2015).

    Args:
        fused: The fused image.
        sources: What it was fused from, at least 2.
        variant: ``"sum"``.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([[[0, 90], [0, 0]], [[0, 0], [60, 0]]], np.uint8)
        >>> round(sum_of_correlations_of_differences(a + b, np.stack([a, b])).item(), 3)
        2.0
    """
    check_variant("SCD", variant, get_args(_SCD))
    image, *stack = separate(fused, sources)
    total = reduce(operator.add, stack)
    others = [(total - source) / (len(stack) - 1) for source in stack]
    parts = [pearson(image - other, source) for other, source in zip(others, stack, strict=True)]
    return jnp.sum(jnp.stack(parts))


ROWS = (
    Metric(
        name="SCD",
        full_name="sum of the correlations of differences",
        function=sum_of_correlations_of_differences,
        needs_sources=True,
        direction="higher",
        variants={"sum": "sum over sources"},
        conventions=by_variant(sum="standard ttd cddfuse tang tang-published zoo"),
        source="Aslantas and Bendes, AEU Int. J. Electron. Commun. 69, 2015",
    ),
    Metric(
        name="CC",
        full_name="correlation coefficient",
        function=correlation_coefficient,
        needs_sources=True,
        direction="higher",
        variants={"mean": "mean over sources"},
        conventions=by_variant(mean="standard cddfuse tang tang-published zoo"),
        source="Pearson's correlation",
    ),
)
