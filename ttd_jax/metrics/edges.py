"""How much of the sources' edges the fused image keeps, loses and invents.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Edge strength g and orientation come from Sobel kernels. NaN where
no image has an edge.

With the variant ``"petrovic"`` of Qabf and ``"kumar"`` of the other two, Qabf + Labf + Nabf = 1.
"""

import operator
from functools import partial, reduce
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels
from ttd_jax.metrics.record import Metric, by_variant, check_variant, unknown_variant
from ttd_jax.ops.elementary import arctan
from ttd_jax.ops.filters import pixel_mean, pixel_sum, sobel

_WEAK = 0.001  # the weight of an edge below strength 2 in the measures of Petrovic
_TINY = 1e-5  # what stands for a difference or strength of 0 in the form of Liu


class _Edges(NamedTuple):
    strength: Float[Array, "... H W"]
    orientation: Float[Array, "... H W"]  # of the gradient, in [-pi/2, pi/2]


class _Preservation(NamedTuple):
    kept: Float[Array, "M H W"]  # share of each source's edge that is kept, 0 to 1
    weight: Float[Array, "M H W"]  # how much that edge counts
    invented: Bool[Array, "H W"]  # whether the fused image's edge is stronger than every source's


def _sigmoid(x: Array, gain: float, slope: float, offset: float) -> Array:
    return gain / (1 + jnp.exp(-slope * (x - offset)))


_Qabf = Literal["xydeas", "vifb", "petrovic", "zl"]


def edge_preservation(fused: Gray, sources: GrayStack, *, variant: _Qabf = "xydeas") -> Score:
    r"""Share of the sources' edges, by strength, that the fused image keeps (Qabf): higher is better.

    :math:`\frac{\sum_p \sum_m Q_m w_m}{\sum_p \sum_m w_m}`, where
    :math:`Q_m = \frac{\Gamma_g}{1 + e^{\kappa_g (G_m - \sigma_g)}} \cdot
    \frac{\Gamma_a}{1 + e^{\kappa_a (A_m - \sigma_a)}}` of the relative strength G and orientation A of the
    edge (Xydeas and Petrović 2000). Identical images give 0.975, not 1.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: Constants and weights:

            - ``"xydeas"``: the published constants, weights g, zeros outside the image; where both strengths
              are equal their ratio is taken as the strength itself, as every implementation does;
            - ``"vifb"``: that on levels multiplied by 255, which only equal strengths notice;
            - ``"petrovic"``: the root of the product, other constants, Sobel / 8 with mirrored borders,
              weights g^1.5 from 2 on and 0.001 below;
            - ``"zl"``: other constants, and the mean of the ratio per pixel instead of the ratio of sums.

    Example:
        >>> import numpy as np
        >>> image = np.tile(np.arange(0, 120, 20, dtype=np.uint8), (6, 1))
        >>> round(edge_preservation(image, image[np.newaxis]).item(), 3)
        0.975
    """
    image, sources = levels(fused), levels(sources)
    match variant:
        case "xydeas" | "vifb":
            return _xydeas(_xydeas_edges(image), _xydeas_edges(sources), 1 if variant == "xydeas" else 255)
        case "petrovic":
            return _kept_share(_petrovic(_petrovic_edges(image), _petrovic_edges(sources), _WEAK))
        case "zl":
            return _liu(_liu_edges(image), _liu_edges(sources))
    raise unknown_variant("Qabf", variant, get_args(_Qabf))


@jax.jit
def _xydeas_edges(image: Float[Array, "... H W"]) -> _Edges:
    right, down = sobel(image, "constant")
    # The sign is that of a convolution, as in every implementation. It matters: the angle of a purely
    # vertical gradient is +pi/2, and an angle near it on the other side of the jump counts as the largest
    # turn.
    slope = -down / jnp.where(right == 0, 1, right)
    orientation = jnp.where(right == 0, jnp.pi / 2, arctan(slope))
    return _Edges(jnp.sqrt(right * right + down * down), orientation)


@jax.jit
def _xydeas(fused: _Edges, source: _Edges, equal: Array | float) -> Score:
    low = jnp.minimum(source.strength, fused.strength)
    high = jnp.maximum(source.strength, fused.strength)
    ratio = jnp.where(low == high, equal * low, low / jnp.where(high == 0, 1, high))
    turn = 1 - jnp.abs(source.orientation - fused.orientation) / (jnp.pi / 2)
    kept = _sigmoid(ratio, 0.9994, 15, 0.5) * _sigmoid(turn, 0.9879, 22, 0.8)
    return jnp.sum(pixel_sum(kept * source.strength)) / jnp.sum(pixel_sum(source.strength))


_Nabf = Literal["kumar", "petrovic", "zoo"]


def fusion_artifacts(fused: Gray, sources: GrayStack, *, variant: _Nabf = "kumar") -> Score:
    r"""Weight of the edges that are stronger in the fused image than in every source (Nabf): lower is better.

    :math:`\sum_{p \in N} \sum_m (1 - Q_m) w_m / \sum_p \sum_m w_m` over the pixels N where :math:`g_F > g_m`
    for all m, with the Q and w of Qabf's variant ``"petrovic"``.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"kumar"`` as above (Shreyamsha Kumar 2013); ``"petrovic"``, the sum of the (1 - Q) times
            the sum of the w (Petrović and Xydeas 2005), which can exceed 1; ``"zoo"``, ``"kumar"`` with
            weight 0 below 2.

    Example:
        >>> import numpy as np
        >>> image = np.tile(np.arange(0, 120, 20, dtype=np.uint8), (6, 1))
        >>> fusion_artifacts(image // 2, image[np.newaxis]).item()  # no edge is stronger than in the source
        0.0
    """
    check_variant("Nabf", variant, get_args(_Nabf))
    edges = _petrovic_edges(levels(fused)), _petrovic_edges(levels(sources))
    found = _petrovic(*edges, 0.0 if variant == "zoo" else _WEAK)
    return _lost_share(found, invented=True, by_sum=variant == "petrovic")


_Labf = Literal["kumar"]


def fusion_loss(fused: Gray, sources: GrayStack, *, variant: _Labf = "kumar") -> Score:
    r"""Weight of the sources' edges that the fused image does not keep (Labf): lower is better.

    :math:`\sum_{p \notin N} \sum_m (1 - Q_m) w_m / \sum_p \sum_m w_m`, the complement of
    :func:`fusion_artifacts` (Petrović and Xydeas 2005).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"kumar"``.

    Example:
        >>> import numpy as np
        >>> image = np.tile(np.arange(0, 120, 20, dtype=np.uint8), (6, 1))
        >>> (fusion_loss(image // 4, image[np.newaxis]) > fusion_loss(image, image[np.newaxis])).item()
        True
    """
    check_variant("Labf", variant, get_args(_Labf))
    found = _petrovic(_petrovic_edges(levels(fused)), _petrovic_edges(levels(sources)), _WEAK)
    return _lost_share(found, invented=False, by_sum=False)


@jax.jit
def _petrovic_edges(image: Float[Array, "... H W"]) -> _Edges:
    right, down = (part / 8 for part in sobel(image, "reflect"))
    slope = right / jnp.where(down == 0, 1, down)
    orientation = jnp.where(down == 0, jnp.sign(right) * (jnp.pi / 2), arctan(slope))
    return _Edges(jnp.sqrt(right * right + down * down), orientation)


@jax.jit
def _petrovic(target: _Edges, source: _Edges, weak: Array | float) -> _Preservation:
    low = jnp.minimum(source.strength, target.strength)
    high = jnp.maximum(source.strength, target.strength)
    ratio = low / jnp.where(high == 0, 1, high)
    turn = jnp.abs(jnp.abs(source.orientation - target.orientation) - jnp.pi / 2) * (2 / jnp.pi)
    kept = jnp.sqrt(_sigmoid(ratio, 0.9999, 19, 0.5) * _sigmoid(turn, 0.9995, 22, 0.5))
    strong = source.strength * jnp.sqrt(source.strength)
    weight = jnp.where(source.strength >= 2, strong, weak)
    invented = jnp.all(target.strength > source.strength, axis=0)
    return _Preservation(kept, weight, invented)


@jax.jit
def _kept_share(found: _Preservation) -> Score:
    return jnp.sum(pixel_sum(found.kept * found.weight)) / jnp.sum(pixel_sum(found.weight))


@partial(jax.jit, static_argnames=("invented", "by_sum"))
def _lost_share(found: _Preservation, invented: bool, by_sum: bool) -> Score:
    """Share of the weight that is not kept, where edges are invented or where they are not."""
    lost = [(1 - kept) * weight for kept, weight in zip(found.kept, found.weight, strict=True)]
    if by_sum:
        lost = [jnp.sum(1 - found.kept, axis=0) * jnp.sum(found.weight, axis=0)]
    counted = jnp.where(found.invented == invented, reduce(operator.add, lost), 0)
    return pixel_sum(counted) / jnp.sum(pixel_sum(found.weight))


@jax.jit
def _liu(target: _Edges, source: _Edges) -> Score:
    source_strength = jnp.where(source.strength == 0, _TINY, source.strength)
    fused_strength = jnp.where(target.strength == 0, _TINY, target.strength)
    weaker = target.strength / source_strength
    stronger = source_strength / fused_strength
    ratio = jnp.where(source.strength > target.strength, weaker, stronger)
    turn = jnp.abs(jnp.abs(source.orientation - target.orientation) - jnp.pi / 2) * (2 / jnp.pi)
    kept = _sigmoid(ratio, 1.0, 10, 0.5) * _sigmoid(turn, 1.0, 20, 0.75)
    weighted = reduce(operator.add, list(kept * source_strength))
    return pixel_mean(weighted / reduce(operator.add, list(source_strength)))


@jax.jit
def _liu_edges(image: Float[Array, "... H W"]) -> _Edges:
    right, down = sobel(image, "constant")
    orientation = arctan(down / jnp.where(right == 0, _TINY, right))
    return _Edges(jnp.sqrt(right * right + down * down), orientation)


ROWS = (
    Metric(
        name="Qabf",
        full_name="edge preservation",
        function=edge_preservation,
        needs_sources=True,
        direction="higher",
        variants={
            "xydeas": "product of sigmoids, weighted by edge strength",
            "vifb": "xydeas on levels times 255",
            "petrovic": "root of the product, weighted by strength^1.5",
            "zl": "other constants, mean of the ratio per pixel",
        },
        conventions=by_variant(xydeas="standard cddfuse tang zoo", vifb="vifb mefb"),
        source="Xydeas and Petrovic, Electron. Lett. 36, 2000",
    ),
    Metric(
        name="Nabf",
        full_name="fusion artifacts",
        function=fusion_artifacts,
        needs_sources=True,
        direction="lower",
        variants={
            "kumar": "weighted by each source's edge strength",
            "petrovic": "weighted by the sum of strengths",
            "zoo": "kumar, weak edges not counted",
        },
        conventions=by_variant(kumar="standard tang", zoo="zoo"),
        source="Shreyamsha Kumar, Signal Image Video Process. 7, 2013",
    ),
    Metric(
        name="Labf",
        full_name="fusion loss",
        function=fusion_loss,
        needs_sources=True,
        direction="lower",
        variants={"kumar": "1 - Qabf/petrovic - Nabf/kumar"},
        conventions=by_variant(kumar="standard"),
        source="Petrovic and Xydeas, ICCV 2005",
    ),
)
