"""Information in the grey-level histograms of the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Histograms have 256 bins, one per whole level, and know nothing of
where a pixel is: a scrambled image has the entropy of the original.
"""

import math
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, stretch, whole_levels
from ttd_jax.metrics.record import Metric, by_variant, check_variant, unknown_variant

BINS = 256


def histogram(image: Int[Array, "H W"]) -> Float[Array, " 256"]:
    """Share of the pixels at each level.

    Example:
        >>> histogram(jnp.array([[0, 7], [7, 255]]))[7].item()
        0.5
    """
    return jnp.bincount(image.ravel(), length=BINS).astype(float) / image.size


def joint_histogram(x: Int[Array, "H W"], y: Int[Array, "H W"]) -> Float[Array, "256 256"]:
    """Share of the pixels at each pair of levels.

    Example:
        >>> joint_histogram(jnp.array([[0, 7]]), jnp.array([[3, 9]]))[7, 9].item()
        0.5
    """
    counts = jnp.bincount((BINS * x + y).ravel(), length=BINS * BINS)
    return counts.reshape(BINS, BINS).astype(float) / x.size


def _entropy_bits(shares: Float[Array, "..."]) -> Score:
    return jnp.sum(shares * jnp.log2(1 / jnp.where(shares > 0, shares, 1)))


_EN = Literal["shannon", "zoo"]


@partial(jax.jit, static_argnames="variant")
def entropy(fused: Gray, *, variant: _EN = "shannon") -> Score:
    r"""Shannon entropy of the grey-level histogram (EN), in bits: higher is better, 0 to 8.

    :math:`-\sum_k p_k \log_2 p_k`

    Args:
        fused: The fused image.
        variant: ``"shannon"``; ``"zoo"`` takes the logarithm of p + 1e-7, so that empty bins count a little.

    Example:
        >>> import numpy as np
        >>> entropy(np.array([[0, 255], [255, 0]], np.uint8)).item()
        1.0
    """
    shares = histogram(whole_levels(fused))
    match variant:
        case "shannon":
            return _entropy_bits(shares)
        case "zoo":
            return -jnp.sum(shares * jnp.log2(shares + 1e-7))
    raise unknown_variant("EN", variant, get_args(_EN))


_CE = Literal["tju_rms", "mean", "vifb", "zoo"]


@partial(jax.jit, static_argnames="variant")
def cross_entropy(fused: Gray, sources: GrayStack, *, variant: _CE = "tju_rms") -> Score:
    r"""How badly the fused image's histogram codes those of the sources (CE): lower is better.

    With histograms p of a source and q of the fused image,
    :math:`C_m = -\sum_k p_{mk} \log_2 (q_k + 10^{-7})` bits, and :math:`\sqrt{\frac1M \sum_m C_m^2}`.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"tju_rms"`` as above; ``"mean"``, the mean of the :math:`C_m`; ``"vifb"``, the mean of
            :math:`\sum_k p_k \log_2 (p_k / q_k)` over bins that are empty in neither, a divergence and not a
            cross entropy, which can be negative; ``"zoo"``, the binary cross entropy of the logistic
            functions of the levels, which says little on 0 to 255.

    Example:
        >>> import numpy as np
        >>> image = np.array([[0, 255], [255, 0]], np.uint8)
        >>> round(cross_entropy(image, image[np.newaxis]).item(), 3)  # that of the image itself: its entropy
        1.0
    """
    check_variant("CE", variant, get_args(_CE))
    if variant == "zoo":
        return _logistic_cross_entropy(levels(fused), levels(sources))
    q = histogram(whole_levels(fused))
    p = jax.vmap(histogram)(whole_levels(sources))
    if variant == "vifb":
        shared = (p > 0) & (q > 0)
        ratio = jnp.where(shared, p, 1) / jnp.where(shared, q, 1)
        return jnp.mean(jnp.sum(p * jnp.log2(ratio), axis=-1))
    bits = -jnp.sum(p * jnp.log2(q + 1e-7), axis=-1)
    return jnp.sqrt(jnp.mean(jnp.square(bits))) if variant == "tju_rms" else jnp.mean(bits)


def _logistic_cross_entropy(fused: Float[Array, "H W"], sources: Float[Array, "M H W"]) -> Score:
    # Written with 1 - sigmoid(x) = sigmoid(-x), which keeps its precision where sigmoid(x) rounds to 1.
    tiny = 1e-7
    fused_rest = jnp.clip(jax.nn.sigmoid(-fused), tiny, 1 - tiny)
    wanted_rest = jnp.clip(jnp.mean(jax.nn.sigmoid(-sources), axis=0), tiny, 1 - tiny)
    return -jnp.mean((1 - wanted_rest) * jnp.log1p(-fused_rest) + wanted_rest * jnp.log(fused_rest))


_MI = Literal["bits", "eval", "vifb", "lt"]


@partial(jax.jit, static_argnames="variant")
def mutual_information(fused: Gray, sources: GrayStack, *, variant: _MI = "bits") -> Score:
    r"""Mutual information of the fused image with its sources (MI), summed: higher is better.

    :math:`\sum_m I(F, S_m)` with :math:`I = H(F) + H(S) - H(F, S)` (Qu, Zhang and Yan 2002).

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"bits"``; ``"eval"`` in nats; ``"vifb"`` in nats, with every image first stretched to 0 to
            255; ``"lt"`` in bits, with levels 254 and 255 merged in the joint histogram only.

    Example:
        >>> import numpy as np
        >>> image = np.array([[0, 255], [255, 0]], np.uint8)
        >>> mutual_information(image, np.stack([image, 255 - image])).item()
        2.0
    """
    check_variant("MI", variant, get_args(_MI))
    merge_top = variant == "lt"
    if variant == "vifb":
        stretched = [jnp.nan_to_num(stretch(image)) for image in (levels(fused), *levels(sources))]
        x, *y = [image.astype(jnp.int32) for image in stretched]
    else:
        x, *y = [whole_levels(image) for image in (fused, *sources)]
    bits = sum(_information(x, source, merge_top).shared for source in y)
    return jnp.asarray(bits) * (math.log(2) if variant in ("eval", "vifb") else 1)


_NMI = Literal["zoo", "raw", "hossny"]


@partial(jax.jit, static_argnames="variant")
def normalized_mutual_information(fused: Gray, sources: GrayStack, *, variant: _NMI = "zoo") -> Score:
    r"""Mutual information as a share of the entropies (NMI): higher is better.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"zoo"``, :math:`2 \sum_m I(F, S_m) / \sum_m H(S_m)`, which is 2 for identical images;
            ``"raw"``, :math:`2 \sum_m I(F, S_m) / (H(F) + H(S_m))`, which is M for them; ``"hossny"``, that
            with every image first stretched to 0 to 255 (Hossny, Nahavandi and Creighton 2008). NaN where
            an image has one level.

    Example:
        >>> import numpy as np
        >>> image = np.array([[0, 255], [255, 0]], np.uint8)
        >>> normalized_mutual_information(image, image[np.newaxis]).item()
        2.0
    """
    check_variant("NMI", variant, get_args(_NMI))
    valid: bool | Array = True
    if variant == "hossny":
        stretched = [stretch(image) for image in (levels(fused), *levels(sources))]
        valid = ~jnp.any(jnp.stack([jnp.isnan(image[0, 0]) for image in stretched]))
        x, *y = [jnp.nan_to_num(image).astype(jnp.int32) for image in stretched]
    else:
        x, *y = [whole_levels(image) for image in (fused, *sources)]
    found = [_information(x, source) for source in y]
    if variant == "zoo":
        return 2 * jnp.asarray(sum(i.shared for i in found)) / sum(i.source for i in found)
    shares = [2 * i.shared / (i.fused + i.source) for i in found]
    return jnp.where(valid, jnp.asarray(sum(shares)), jnp.nan)


class _Information(NamedTuple):
    """Bits."""

    shared: Score
    fused: Score
    source: Score


def _information(fused: Int[Array, "H W"], source: Int[Array, "H W"], merge_top: bool = False) -> _Information:
    joint = joint_histogram(fused, source)
    of_fused, of_source = jnp.sum(joint, axis=1), jnp.sum(joint, axis=0)
    entropies = _entropy_bits(of_fused), _entropy_bits(of_source)
    if merge_top:
        joint = joint.at[254, :].add(joint[255, :]).at[255, :].set(0)
        joint = joint.at[:, 254].add(joint[:, 255]).at[:, 255].set(0)
        return _Information(entropies[0] + entropies[1] - _entropy_bits(joint), *entropies)
    # As a divergence from independence, which is exactly 0 for an image of one level.
    ratio = joint / jnp.where(joint > 0, of_fused[:, jnp.newaxis] * of_source, 1)
    return _Information(jnp.sum(joint * jnp.log2(jnp.where(joint > 0, ratio, 1))), *entropies)


ROWS = (
    Metric(
        name="EN",
        full_name="entropy",
        function=entropy,
        needs_sources=False,
        direction="higher",
        variants={"shannon": "in bits", "zoo": "log2(p + 1e-7)"},
        conventions=by_variant(shannon="standard ttd cddfuse vifb mefb tang tang-published", zoo="zoo"),
        source="Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2, 2008",
    ),
    Metric(
        name="CE",
        full_name="cross entropy",
        function=cross_entropy,
        needs_sources=True,
        direction="lower",
        variants={
            "tju_rms": "bits, root mean square over sources",
            "mean": "bits, mean over sources",
            "vifb": "divergence over shared bins, mean over sources",
            "zoo": "binary, of logistic levels",
        },
        conventions=by_variant(tju_rms="standard ttd", vifb="vifb mefb", zoo="zoo"),
        source="Bulanon, Burks and Alchanatis, Biosyst. Eng. 103, 2009",
    ),
    Metric(
        name="MI",
        full_name="mutual information",
        function=mutual_information,
        needs_sources=True,
        direction="higher",
        variants={
            "bits": "bits, sum over sources",
            "eval": "nats, sum over sources",
            "vifb": "nats, stretched images, sum over sources",
            "lt": "bits, levels 254 and 255 merged in the joint histogram",
        },
        conventions=by_variant(bits="standard zoo", eval="cddfuse", vifb="vifb", lt="tang tang-published"),
        source="Qu, Zhang and Yan, Electron. Lett. 38, 2002",
    ),
    Metric(
        name="NMI",
        full_name="normalized mutual information",
        function=normalized_mutual_information,
        needs_sources=True,
        direction="higher",
        variants={
            "zoo": "by the entropies of the sources",
            "raw": "by both entropies, sum over sources",
            "hossny": "by both entropies, stretched images, sum over sources",
        },
        conventions=by_variant(zoo="standard zoo", hossny="mefb"),
        source="Hossny, Nahavandi and Creighton, Electron. Lett. 44, 2008",
    ),
)
