"""Relative dominability: components, losses, scores and weights, one value per source and pixel.

``sources`` is ``(M, H, W, C)`` float32 in [0, 1]; losses, scores and weights are ``(M, H, W)``.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.losses import RECONSTRUCTION_LOSSES
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.weighting import LossWeighting, smoothing_radius
from ttd_jax.ops.filters import gaussian_kernel, local_mean

LOSS_FLOOR = 1 / 255
"""Losses below one level of 8 bits do not count for ``form="log"``."""


def uni_source_components(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    features: PyTree,
    kind: str = "alone",
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
    if kind == "fused":
        fused = model.decode(variables, model.merge(features))
        return jnp.broadcast_to(fused, (count, *fused.shape))

    def alone(m: Array) -> PyTree:
        if model.independent:  # the others' features need not be read
            own = jax.tree.map(lambda leaf: leaf[m][jnp.newaxis], features)
            return model.merge(own, jnp.full((1, 1, 1, 1), 1 / model.gain(1), sources.dtype))
        only_m = jax.nn.one_hot(m, count, dtype=sources.dtype)[:, None, None, None]
        return model.merge(features, only_m / model.gain(count))

    def beside(m: Array, partner: PyTree | None) -> PyTree:
        if model.independent:
            return model.merge(_replace_others(features, m, partner))
        return model.merge(model.encode(variables, _replace_others(sources, m, partner)))

    black = None
    if kind == "black":
        blank = jnp.zeros_like(sources[0])
        if getattr(model, "constant_features", False):  # one pixel stands for all
            blank = blank[:1, :1]
        black = _only(model.encode(variables, blank[jnp.newaxis])) if model.independent else blank
    beside_black, beside_itself = partial(beside, partner=black), partial(beside, partner=None)
    ways: dict[str, Callable[[Array], PyTree]] = {"alone": alone, "scaled": beside_itself, "black": beside_black}
    latent_of = ways[kind]
    return jax.lax.map(lambda m: model.decode(variables, latent_of(m)), jnp.arange(count))


def _only(stack: PyTree) -> PyTree:
    """The entry of a stack of one."""
    return jax.tree.map(lambda leaf: leaf[0], stack)


def _replace_others(stack: PyTree, m: Array, partner: PyTree | None) -> PyTree:
    """The stack with all but entry ``m`` replaced by ``partner``, or by entry ``m`` itself."""

    def replace(leaf, other):
        own = (jnp.arange(len(leaf)) == m).reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(own, leaf[m], other)

    return jax.tree.map(replace, stack, jax.tree.map(lambda leaf: leaf[m], stack) if partner is None else partner)


def reconstruction_losses(
    model: FusionModel,
    components: Float[Array, "M H W K"],
    sources: Float[Array, "M H W C"],
    weighting: LossWeighting,
) -> Float[Array, "M H W"]:
    """How far each component is from its source, measured as ``weighting.loss`` and ``weighting.space`` say."""
    if weighting.space != "image":
        components = model.normalize(components)
    if weighting.space == "normalized":
        sources = model.normalize(sources)
    return RECONSTRUCTION_LOSSES[str(weighting.loss)](components, sources)


def relative_dominability(
    losses: Float[Array, "M H W"], scale: Float[Array, ""] | float = 1.0, form: str = "exp"
) -> Float[Array, "M H W"]:
    r"""The score before the softmax (TTD, Eq. 6 and Table 4): larger where a source explains itself better.

    :math:`d = e^{-k\ell}` for ``"exp"``, :math:`-k\ell` for ``"linear"``, :math:`\sigma(-k\ell)` for
    ``"sigmoid"``, with scale k. ``"exp"`` lies in (0, 1], so that a softmax over two sources stays within
    (0.27, 0.73); ``"linear"`` reaches from the average (k = 0) to the selection of one source (k → ∞).
    ``"log"`` is :math:`-k\log(\ell + 1/255)`, with which the softmax gives weights proportional to
    :math:`(\ell + 1/255)^{-k}`: sources are weighed by the ratio of their losses, whether these are large, as in
    exposure, or small, as in defocus. With l1 losses and k = 2 this is the inverse-variance rule for averaging.
    """
    if form == "log":
        return -scale * jnp.log(losses + LOSS_FLOOR)
    exponent = -scale * losses
    return {"exp": jnp.exp, "linear": lambda x: x, "sigmoid": jax.nn.sigmoid}[form](exponent)


def weights_from_losses(losses: Float[Array, "M H W"], weighting: LossWeighting) -> Float[Array, "M H W"]:
    r"""Fusion weights over the sources (TTD, Eq. 6): :math:`w_m = e^{d_m} / \sum_i e^{d_i}`.

    With ``normalization="proportional"`` :math:`w_m = d_m / \sum_i d_i`, with ``"none"`` :math:`w_m = d_m`,
    which do not sum to 1 (Table 5). ``correlation="positive"`` negates the score: for two sources it exchanges
    their weights. With ``smoothing`` the losses are filtered first.
    """
    losses = smooth_losses(losses, float(weighting.smoothing or 0))
    score = relative_dominability(losses, weighting.scale, str(weighting.form))
    if weighting.normalization == "none":
        return score
    if weighting.normalization == "proportional":
        return score / jnp.sum(score, axis=0, keepdims=True)
    return jax.nn.softmax(-score if weighting.correlation == "positive" else score, axis=0)


def smooth_losses(losses: Float[Array, "M H W"], sigma: float) -> Float[Array, "M H W"]:
    """Losses averaged over their neighbourhood by a Gaussian, the image continued by its outermost pixels."""
    if sigma == 0:
        return losses
    radius = smoothing_radius(sigma)
    padded = jnp.pad(losses, ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    return local_mean(padded, gaussian_kernel(2 * radius + 1, sigma))
