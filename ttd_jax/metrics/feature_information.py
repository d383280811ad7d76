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
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.features import cosine_transform, edge_map, meyer_wavelet
from ttd_jax.metrics.levels import (
    Gray,
    GrayStack,
    Score,
    double_precision,
    separate,
    undefined,
)
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.ops.filters import central_differences, pixel_mean

_SIDE = 3
_CELLS = _SIDE**2

Planes: TypeAlias = list[Float[Array, "*B h w"]]
"""One plane for each cell of the window. Sums over cells are written out, since they then compile to one
vectorised loop, which a reduction over a leading axis does not."""

FEATURES: dict[str, Callable[[Array], Array]] = {
    "none": lambda image: image,
    "gradient": partial(central_differences, axis=-1),
    "edge": lambda image: edge_map(image).astype(image.dtype),
    "dct": cosine_transform,
    "wavelet": meyer_wavelet,
}
"""Feature map by variant."""


_FMI = Literal["none", "gradient", "edge", "dct", "wavelet"]


def feature_mutual_information(fused: Gray, sources: GrayStack, *, variant: _FMI = "none") -> Score:
    r"""Mutual information of 3×3 windows of features as a share of their entropies (FMI): higher is better.

    The mean over windows and sources of :math:`2 I(F, S_m) / (H(F) + H(S_m))`, 1 for identical images
    (Haghighat, Aghagolzadeh and Seyedarabi 2011; the fast form of Haghighat and Razian 2014).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: The feature: ``"none"``, grey levels, which is what "FMI_pixel" should mean; ``"gradient"``,
            differences along rows; ``"edge"``, thinned Sobel edges, which is what toolkits print as
            FMI_pixel; ``"dct"``, the cosine transform of the whole image; ``"wavelet"``, the discrete Meyer
            transform, always computed in double precision.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((2, 2), np.uint8)  # smaller than a window
        >>> feature_mutual_information(image, image[np.newaxis]).item()
        nan
    """
    check_variant("FMI", variant, FEATURES)
    images = separate(fused, sources)
    dtype = images[0].dtype
    if min(images[0].shape) < _SIDE:
        return undefined()
    # Wavelet coefficients beside flat regions are below float32's rounding error, and yet count.
    with double_precision() if variant == "wavelet" else nullcontext():
        if variant == "wavelet":
            images = [image.astype(float) for image in images]
        target, *others = [FEATURES[variant](image) for image in images]
        q = _distribution(target)
        means = [_mean_similarity(other, target, _distribution(other), q) for other in others]
        return jnp.mean(jnp.stack(means)).astype(dtype)


def _mean_similarity(source: Float[Array, "H W"], fused: Float[Array, "H W"], p: Planes, q: Planes) -> Score:
    pair = _paired(p, q)
    phi = _share_of_bound(pair)
    return _mean_share(pair, phi, _entropy_on_bound(pair, phi), source, fused)


class _Pair(NamedTuple):
    """Two distributions in every window, ordered so that the bound of interest is the upper one."""

    p: Planes
    q: Planes
    p_sums: Planes
    q_sums: Planes
    correlation: Float[Array, "h w"]


@jax.jit
def _paired(p: Planes, q: Planes) -> _Pair:
    correlation = _correlation(p, q)
    # The lower Fréchet bound is the upper bound with one order reversed.
    q = [jnp.where(correlation >= 0, a, b) for a, b in zip(q, q[::-1], strict=True)]
    return _Pair(p, q, list(accumulate(p)), list(accumulate(q)), jnp.abs(correlation))


@jax.jit
def _share_of_bound(pair: _Pair) -> Float[Array, "h w"]:
    """The share phi of the bound in the mixture."""
    p_sums, q_sums = pair.p_sums[:-1], pair.q_sums[:-1]
    # Covariance of the cell numbers under the bound (Hoeffding): the sum of min(P_i, Q_j) - P_i Q_j.
    covariance = _sum(jnp.minimum(a, b) for a in p_sums for b in q_sums) - _sum(p_sums) * _sum(q_sums)
    spread = _spread(pair.p) * _spread(pair.q)
    independent = (spread == 0) | (pair.correlation == 0)
    return jnp.where(independent, 0, pair.correlation * spread / jnp.where(independent, 1, covariance))


@jax.jit
def _mean_share(pair: _Pair, phi: Array, on_bound: Array, source: Array, fused: Array) -> Score:
    entropies = _sum(_plogp(cell) for cell in pair.p + pair.q)
    # H(p) + H(q) less the joint entropy, after the closed form for the cells outside the bound.
    shared = phi * entropies - _plogp(1 - phi) - on_bound
    equal = reduce(jnp.logical_and, [a == b for a, b in zip(_windows(source), _windows(fused), strict=True)])
    return pixel_mean(jnp.where(equal, 1, 2 * shared / jnp.where(entropies == 0, 1, entropies)))


def _sum(planes: Iterable[Array]) -> Array:
    return reduce(operator.add, planes)


def _plogp(p: Array) -> Array:
    """-p log |p|, and 0 at 0; where phi exceeds 1 the mixture is slightly negative."""
    return -p * jnp.log(jnp.maximum(jnp.abs(p), jnp.finfo(p.dtype).tiny))


def _windows(feature: Float[Array, "*B H W"]) -> Planes:
    """The pixels of each window, column by column."""
    height, width = feature.shape[-2] - _SIDE + 1, feature.shape[-1] - _SIDE + 1
    offsets = [(down, right) for right in range(_SIDE) for down in range(_SIDE)]
    return [feature[..., y : y + height, x : x + width] for y, x in offsets]


def _distribution(feature: Float[Array, "H W"]) -> Planes:
    """Each window less its minimum, with sum 1; uniform where the window is flat."""
    return _shares(feature, *_extent(feature))


@jax.jit
def _extent(feature: Array) -> tuple[Array, Array]:
    """The minimum of each window, and what the sum of the rest is; 0 where the window is flat."""
    window = _windows(feature)
    low = reduce(jnp.minimum, window)
    return low, _sum(cell - low for cell in window)


@jax.jit
def _shares(feature: Array, low: Array, total: Array) -> Planes:
    flat = total == 0
    return [jnp.where(flat, 1 / _CELLS, (cell - low) / jnp.where(flat, 1, total)) for cell in _windows(feature)]


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


@jax.jit
def _entropy_on_bound(pair: _Pair, phi: Array) -> Float[Array, "h w"]:
    """What the bound adds to the entropy of the cells (1 - phi) p_i q_j.

    The pieces into which both sets of cumulative sums cut [0, 1] are found by where they end: one ends at
    every P_i and at every Q_j, and begins at the sum before it in either set. Where a P_i equals a Q_j, the
    piece is the one that ends at P_i, and that at Q_j has no length.
    """
    p, q, p_sums, q_sums, _ = pair
    terms = []
    q_before_p = [[end < other for other in p_sums] for end in q_sums]
    cuts = (
        (p_sums, p, q_sums, q, lambda i, j: q_before_p[j][i]),
        (q_sums, q, p_sums, p, lambda j, i: ~q_before_p[j][i]),
    )
    for ends, shares, other_ends, other_shares, is_before in cuts:
        for i in range(_CELLS):
            start = jnp.zeros_like(phi)
            other_share = other_shares[0]  # of the cell that the piece lies in
            for j in range(_CELLS):
                before = is_before(i, j)
                start = jnp.where(before, other_ends[j], start)
                if j + 1 < _CELLS:
                    other_share = jnp.where(before, other_shares[j + 1], other_share)
            length = ends[i] - (jnp.maximum(start, ends[i - 1]) if i else start)
            rest = (1 - phi) * shares[i] * other_share
            terms.append(_plogp(phi * length + rest) - _plogp(rest))
    return _sum(terms)


ROWS = (
    Metric(
        name="FMI",
        full_name="feature mutual information",
        function=feature_mutual_information,
        needs_sources=True,
        direction="higher",
        variants={
            "none": "grey levels",
            "gradient": "differences along rows",
            "edge": "Sobel edges",
            "dct": "cosine transform",
            "wavelet": "discrete Meyer transform",
        },
        conventions=by_variant(none="standard", edge="mefb tang"),
        source="Haghighat and Razian, AICT 2014",
    ),
)
