"""Relative dominability: components, losses, scores and weights, one value per source and pixel.

``sources`` is ``(M, H, W, C)`` float32 in [0, 1]; losses, scores and weights are ``(M, H, W)``.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.losses import reconstruction_loss
from ttd_jax.core.model import FusionModel, Variables, check_image
from ttd_jax.core.scoring import Scoring, smoothing_radius
from ttd_jax.ops.filters import gaussian_kernel, local_mean
from ttd_jax.ops.sources import softmax, total
from ttd_jax.options import Component, Form, Space

LOSS_FLOOR = 1 / 255
"""Losses below one level of 8 bits do not count for ``form="log"``."""


def uni_source_components(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    features: PyTree,
    *,
    kind: Component = "alone",
) -> Float[Array, "M H W K"]:
    """The image decoded from each source alone, without the model's residual.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        features: What ``model.encode`` made of them.
        kind: ``"alone"``, the source's features and nothing else; ``"scaled"``, the static fusion of M copies of
            the source; ``"black"``, its static fusion with M - 1 black images; ``"fused"``, the static fusion of
            all sources, the same image for each. "scaled" and "black" keep a decoder that was trained on merged
            features in the range it was trained on; "alone" does so only when the gain is 1.

    Returns:
        One component per source, in image space, not clipped.
    """
    count = sources.shape[0]

    def decode(latent: PyTree) -> Array:
        image = model.decode(variables, latent)
        check_image(model, "decode", image, sources.shape[1:3])
        return image

    if kind == "fused":
        fused = decode(model.merge(features))
        return jnp.broadcast_to(fused, (count, *fused.shape))
    stack_of = component_stacks(model, variables, sources, features, kind)
    return jax.lax.map(lambda m: decode(merge_component(model, stack_of(m), m, count, kind)), jnp.arange(count))


def component_stacks(
    model: FusionModel, variables: Variables, sources: Float[Array, "M H W C"], features: PyTree, kind: Component
) -> Callable[[Array], PyTree]:
    """From the index of a source to the M features that its component is merged from; see uni_source_components.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        features: What ``model.encode`` made of them.
        kind: Which component.
    """

    def beside(m: Array, partner: PyTree | None) -> PyTree:
        if model.facts.independent:
            return _replace_others(features, m, partner)
        return model.encode(variables, _replace_others(sources, m, partner))

    black = None
    if kind == "black":
        blank = jnp.zeros_like(sources[0])
        if model.facts.constant_features:  # one pixel stands for all
            blank = blank[:1, :1]
        black = _only(model.encode(variables, blank[jnp.newaxis])) if model.facts.independent else blank
    ways: dict[str, Callable[[Array], PyTree]] = {
        "alone": lambda m: features,
        "scaled": partial(beside, partner=None),
        "black": partial(beside, partner=black),
        "fused": lambda m: features,
    }
    return ways[kind]


def merge_component(model: FusionModel, stack: PyTree, m: Array, count: int, kind: Component) -> PyTree:
    """The latent of source m's component: entry m of the stack without gain if ``"alone"``, else its static fusion.

    Args:
        model: The fusion network.
        stack: M features.
        m: Index of the source.
        count: M.
        kind: Which component.
    """
    if kind != "alone":
        return model.merge(stack)
    dtype = jax.tree.leaves(stack)[0].dtype
    if model.facts.independent:  # the others' features need not be read
        own = jax.tree.map(lambda leaf: leaf[m][jnp.newaxis], stack)
        return model.merge(own, jnp.full((1, 1, 1, 1), 1 / model.facts.gain(1), dtype))
    only_m = jax.nn.one_hot(m, count, dtype=dtype)[:, None, None, None]
    return model.merge(stack, only_m / model.facts.gain(count))


def _only(stack: PyTree) -> PyTree:
    """The entry of a stack of one."""
    return jax.tree.map(lambda leaf: leaf[0], stack)


def _replace_others(stack: PyTree, m: Array, partner: PyTree | None) -> PyTree:
    """The stack with all but entry ``m`` replaced by ``partner``, or by entry ``m`` itself."""

    def replace(leaf: Array, other: Array) -> Array:
        return jnp.broadcast_to(other, leaf.shape).at[m].set(leaf[m])

    return jax.tree.map(replace, stack, jax.tree.map(lambda leaf: leaf[m], stack) if partner is None else partner)


def reconstruction_losses(
    model: FusionModel,
    components: Float[Array, "M H W K"],
    sources: Float[Array, "M H W C"],
    weighting: Scoring,
) -> Float[Array, "M H W"]:
    """How far each component is from its source, measured as ``weighting.loss`` and ``weighting.space`` say.

    Args:
        model: The fusion network, which knows its normalisation.
        components: Uni-source components.
        sources: Sources in [0, 1].
        weighting: Complete options.
    """
    return reconstruction_loss(weighting.loss)(*in_space(model, components, sources, weighting.space))


def in_space(
    model: FusionModel, components: Float[Array, "*M H W K"], sources: Float[Array, "*M H W C"], space: Space
) -> tuple[Float[Array, "*M H W K"], Float[Array, "*M H W D"]]:
    """Components and sources as they are compared in ``"image"``, ``"normalized"`` or ``"mixed"`` space.

    Args:
        model: The fusion network, which knows its normalisation.
        components: Uni-source components.
        sources: Sources in [0, 1].
        space: Which of the three.
    """
    if space != "image":
        components = model.facts.normalize(components)
    if space == "normalized":
        sources = model.facts.normalize(sources)
    return components, sources


def relative_dominability(
    losses: Float[Array, "M H W"],
    *,
    scale: Float[Array, ""] | float = 1.0,
    form: Form = "exp",
    floor: float = LOSS_FLOOR,
) -> Float[Array, "M H W"]:
    r"""The score before the softmax (TTD, Eq. 6 and Table 4): larger where a source explains itself better.

    :math:`d = e^{-k\ell}` for ``"exp"``, :math:`-k\ell` for ``"linear"``, :math:`\sigma(-k\ell)` for
    ``"sigmoid"``, with scale k. ``"exp"`` lies in (0, 1], so that a softmax over two sources stays within
    (0.27, 0.73); ``"linear"`` reaches from the average (k = 0) to the selection of one source (k → ∞).
    ``"log"`` is :math:`-k\log(\ell + 1/255)`, with which the softmax gives weights proportional to
    :math:`(\ell + 1/255)^{-k}`: sources are weighed by the ratio of their losses, whether these are large, as in
    exposure, or small, as in defocus. With l1 losses and k = 2 this is the inverse-variance rule for averaging. Another
    ``floor`` than 1/255 suits losses in other units.

    Args:
        losses: What each source misses, not below 0.
        scale: k.
        form: ``"exp"``, ``"linear"``, ``"sigmoid"`` or ``"log"``.
        floor: What is added to a loss before its logarithm.
    """
    if form == "log":
        return -scale * jnp.log(losses + floor)
    exponent = -scale * losses
    return {"exp": jnp.exp, "linear": lambda x: x, "sigmoid": jax.nn.sigmoid}[form](exponent)


def weights_from_losses(losses: Float[Array, "M H W"], weighting: Scoring) -> Float[Array, "M H W"]:
    r"""Fusion weights over the sources (TTD, Eq. 6): :math:`w_m = e^{d_m} / \sum_i e^{d_i}`.

    With ``normalization="proportional"`` :math:`w_m = d_m / \sum_i d_i`, with ``"none"`` :math:`w_m = d_m`,
    which do not sum to 1 (Table 5). ``correlation="positive"`` negates the score: for two sources it exchanges
    their weights. With ``smoothing`` the losses are filtered first.
    """
    losses = smooth_losses(losses, weighting.smoothing or 0.0)
    return weights_from_scores(relative_dominability(losses, scale=weighting.scale, form=weighting.form), weighting)


def weights_from_scores(score: Float[Array, "M H W"], weighting: Scoring) -> Float[Array, "M H W"]:
    """The last step of :func:`weights_from_losses`: what makes weights of the scores of all sources."""
    if weighting.normalization == "none":
        return score
    if weighting.normalization == "proportional":
        return score / total(score)
    return softmax(-score if weighting.correlation == "positive" else score)


def smooth_losses(losses: Float[Array, "M H W"], sigma: float) -> Float[Array, "M H W"]:
    """Losses averaged over their neighbourhood by a Gaussian, the image continued by its outermost pixels."""
    if sigma == 0:
        return losses
    radius = smoothing_radius(sigma)
    padded = jnp.pad(losses, ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    return local_mean(padded, gaussian_kernel(2 * radius + 1, sigma))
