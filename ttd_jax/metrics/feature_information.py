r"""Mutual information of local features between the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes.

In each 3×3 window the nine values, less their minimum and divided by their sum, are read as a distribution
over the cell number, column by column. Of the joint distribution of two such windows p and q only the
correlation c is known, so it is modelled as a mixture :math:`\varphi\, b_{ij} + (1 - \varphi)\, p_i q_j` of
independence and the Fréchet bound b, the joint distribution of the highest correlation possible (of the
lowest where c < 0), with :math:`\varphi = c / c_b` (Nelsen 1987; Haghighat and Razian 2014).

The sum over 81 cells that the joint entropy needs is not taken cell by cell. The bound couples p and q by the
order of their cumulative sums P and Q: it puts on cell (i, j) the length that :math:`[P_{i-1}, P_i]` and
:math:`[Q_{j-1}, Q_j]` have in common, so at most 17 cells have any, and all others hold
:math:`(1 - \varphi) p_i q_j`, whose entropy has a closed form.
"""

import operator
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial, reduce
from itertools import accumulate
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ttd_jax.metrics.features import cosine_transform, edge_map, meyer_wavelet
from ttd_jax.metrics.levels import Gray, GrayStack, Score, double_precision, levels, unknown_variant
from ttd_jax.ops.filters import central_differences

_SIDE = 3
_CELLS = _SIDE**2

Planes: TypeAlias = list[Float[Array, "*B h w"]]
"""One plane for each cell of the window. Sums over cells are written out, since they then compile to one
loop; a reduction over a leading axis takes some fifty times as long on a CPU."""

FEATURES: dict[str, Callable[[Array], Array]] = {
    "none": lambda image: image,
    "gradient": lambda image: central_differences(image, -1),
    "edge": lambda image: edge_map(image).astype(image.dtype),
    "dct": cosine_transform,
    "wavelet": meyer_wavelet,
}


@partial(jax.jit, static_argnames="variant")
def feature_mutual_information(fused: Gray, sources: GrayStack, *, variant: str = "none") -> Score:
    r"""Mutual information of 3×3 windows of features as a share of their entropies (FMI): higher is better.

    The mean over windows and sources of :math:`2 I(F, S_m) / (H(F) + H(S_m))`, 1 for identical images
    (Haghighat, Aghagolzadeh and Seyedarabi 2011; the fast form of Haghighat and Razian 2014).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: The feature: ``"none"``, grey levels, which is what "FMI_pixel" should mean; ``"gradient"``,
            differences along rows; ``"edge"``, thinned Sobel edges, which is what toolkits print as
            FMI_pixel; ``"dct"``, the cosine transform of the whole image; ``"wavelet"``, the discrete Meyer
            transform.
    """
    if variant not in FEATURES:
        raise unknown_variant("FMI", variant, FEATURES)
    image, sources = levels(fused), levels(sources)
    if min(image.shape) < _SIDE:
        return jnp.full((), jnp.nan)
    dtype = image.dtype
    # Wavelet coefficients beside flat regions are below float32's rounding error, and yet count.
    with double_precision() if variant == "wavelet" else nullcontext():
        if variant == "wavelet":
            image, sources = image.astype(float), sources.astype(float)
        image, sources = FEATURES[variant](image), FEATURES[variant](sources)
        similarity = jnp.mean(_similarity_map(sources, jnp.broadcast_to(image, sources.shape)))
        return similarity.astype(dtype)


def _similarity_map(source: Float[Array, "*B H W"], fused: Float[Array, "*B H W"]) -> Float[Array, "*B h w"]:
    x, y = _windows(source), _windows(fused)
    equal = reduce(jnp.logical_and, [a == b for a, b in zip(x, y, strict=True)])
    # The barriers keep the compiler from repeating an earlier step for every term of a later one.
    p, q = lax.optimization_barrier((_distribution(x), _distribution(y)))
    correlation = lax.optimization_barrier(_correlation(p, q))
    # The lower Fréchet bound is the upper bound with one order reversed.
    q = [jnp.where(correlation >= 0, a, b) for a, b in zip(q, q[::-1], strict=True)]
    p_sums, q_sums = list(accumulate(p)), list(accumulate(q))
    q, p_sums, q_sums = lax.optimization_barrier((q, p_sums, q_sums))

    # Covariance of the cell numbers under the bound (Hoeffding): the sum of min(P_i, Q_j) - P_i Q_j.
    covariance = _sum(jnp.minimum(a, b) for a in p_sums[:-1] for b in q_sums[:-1])
    covariance -= _sum(p_sums[:-1]) * _sum(q_sums[:-1])
    spread = _spread(p) * _spread(q)
    independent = (spread == 0) | (correlation == 0)
    phi = jnp.where(independent, 0, jnp.abs(correlation) * spread / jnp.where(independent, 1, covariance))
    phi = lax.optimization_barrier(phi)

    entropies = _sum(_plogp(cell) for cell in p + q)
    # H(p) + H(q) less the joint entropy, after the closed form for the cells outside the bound.
    shared = phi * entropies - _plogp(1 - phi) - _entropy_on_bound(p, q, p_sums, q_sums, phi)
    return jnp.where(equal, 1, 2 * shared / jnp.where(entropies == 0, 1, entropies))


def _sum(planes: Iterable[Array]) -> Array:
    return reduce(operator.add, planes)


def _plogp(p: Array) -> Array:
    """-p log2 |p|, and 0 at 0; where phi exceeds 1 the mixture is slightly negative."""
    return -p * jnp.log2(jnp.where(p == 0, 1, jnp.abs(p)))


def _windows(feature: Float[Array, "*B H W"]) -> Planes:
    """The pixels of each window, column by column."""
    height, width = feature.shape[-2] - _SIDE + 1, feature.shape[-1] - _SIDE + 1
    offsets = [(down, right) for right in range(_SIDE) for down in range(_SIDE)]
    return [feature[..., y : y + height, x : x + width] for y, x in offsets]


def _distribution(window: Planes) -> Planes:
    """The window less its minimum, with sum 1; uniform where the window is flat."""
    low, high = reduce(jnp.minimum, window), reduce(jnp.maximum, window)
    share = [jnp.where(low == high, 1, (cell - low)) for cell in window]
    total = _sum(share)
    return [cell / total for cell in share]


def _correlation(p: Planes, q: Planes) -> Array:
    """Pearson's correlation of the values of two distributions, 0 where one is uniform."""
    dp, dq = [cell - 1 / _CELLS for cell in p], [cell - 1 / _CELLS for cell in q]
    norm = jnp.sqrt(_sum(a * a for a in dp) * _sum(b * b for b in dq))
    covariance = _sum(a * b for a, b in zip(dp, dq, strict=True))
    return jnp.where(norm == 0, 0, covariance / jnp.where(norm == 0, 1, norm))


def _spread(p: Planes) -> Array:
    """Standard deviation of the cell number."""
    mean = _sum(i * cell for i, cell in enumerate(p))
    return jnp.sqrt(_sum(jnp.square(i - mean) * cell for i, cell in enumerate(p)))


def _entropy_on_bound(p: Planes, q: Planes, p_sums: Planes, q_sums: Planes, phi: Array) -> Array:
    """What the bound adds to the entropy of the cells (1 - phi) p_i q_j.

    The pieces into which both sets of cumulative sums cut [0, 1] are found by where they end: one ends at
    every P_i and at every Q_j, and begins at the sum before it in either set. Where a P_i equals a Q_j, the
    piece is the one that ends at P_i, and that at Q_j has no length.
    """
    cuts = (p_sums, p, q_sums, q, jnp.less), (q_sums, q, p_sums, p, jnp.less_equal)
    terms = []
    for ends, shares, other_ends, other_shares, is_before in cuts:
        for i in range(_CELLS):
            start = ends[i - 1] if i else jnp.zeros_like(ends[0])
            other_share = other_shares[0]  # of the cell that the piece lies in
            for j in range(_CELLS):
                before = is_before(other_ends[j], ends[i])
                start = jnp.where(before, jnp.maximum(start, other_ends[j]), start)
                if j + 1 < _CELLS:
                    other_share = jnp.where(before, other_shares[j + 1], other_share)
            rest = (1 - phi) * shares[i] * other_share
            terms.append(_plogp(phi * (ends[i] - start) + rest) - _plogp(rest))
    return _sum(terms)
