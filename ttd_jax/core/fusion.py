"""Static and test-time dynamic fusion as pure functions, safe under jit, vmap and grad.

``sources`` is ``(M, H, W, C)`` float32 in [0, 1] with M of at least 2; a batch is a ``vmap`` on top.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ttd_jax.core.dominability import reconstruction_losses, uni_source_components, weights_from_losses
from ttd_jax.core.gradients import channel_mix, channel_sums, component_gradients
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.weighting import GradientWeighting, LossWeighting


class Fused(NamedTuple):
    """What a fusion computed.

    Attributes:
        image: The fused image ``(H, W, K)``, not clipped.
        weights: Fusion weights ``(M, H, W)``; 1/M for a static rule that uniform weights reproduce, None for one
            that they do not (maximum).
        losses: Reconstruction losses ``(M, H, W)``, or the gradients that stand for them, with mean 1; None for static
            fusion.
        components: Uni-source components ``(M, H, W, K)``; None for static fusion.
        channel: The feature channel that ``channel="auto"`` chose; None otherwise.
    """

    image: Float[Array, "H W K"]
    weights: Float[Array, "M H W"] | None
    losses: Float[Array, "M H W"] | None
    components: Float[Array, "M H W K"] | None
    channel: Int[Array, ""] | None = None


def fuse_static(model: FusionModel, variables: Variables, sources: Float[Array, "M H W C"]) -> Fused:
    """Fusion by the network's own rule: D(merge(E(x_1), ..., E(x_M))).

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].

    Returns:
        The fused image with its uniform weights, if the rule has any.
    """
    latent = model.merge(model.encode(variables, sources))
    image = model.finish(model.decode(variables, latent, model.residual(sources)))
    weights = jnp.full(sources.shape[:3], 1 / sources.shape[0]) if model.uniform_is_static else None
    return Fused(image, weights, None, None)


def ttd(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    weighting: LossWeighting | GradientWeighting,
    mix: Float[Array, " F"] | None = None,
) -> Fused:
    r"""Test-time dynamic fusion (TTD, Eq. 1, 6 and 7, Algorithm 1).

    :math:`I_F = D(\sum_m \omega_m E(x_m))` with :math:`\omega = \mathrm{softmax}_m(e^{-k \ell_m})`, where
    :math:`\ell_m` is the reconstruction loss of the component of source m, or the size of the gradient of a loss.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        weighting: How weights follow from losses or gradients; no option may be None (``weighting.resolve(recipe)``).
        mix: For gradients, what each channel is multiplied by; None to find it from these sources (``channel_mix``).

    Returns:
        The fused image with its weights, losses and components.
    """
    features = model.encode(variables, sources)
    channel = None
    if isinstance(weighting, GradientWeighting):
        components, magnitudes = component_gradients(model, variables, sources, features, weighting)
        if mix is None:
            every_row = jnp.ones(sources.shape[1], bool)
            mix, channel = channel_mix(
                weighting, channel_sums(magnitudes, sources, every_row, score=weighting.channel == "auto")
            )
        losses = jnp.matmul(magnitudes, mix, precision="highest")
    else:
        components = uni_source_components(model, variables, sources, features, str(weighting.component))
        losses = reconstruction_losses(model, components, sources, weighting)
    weights = weights_from_losses(losses, weighting)
    latent = model.merge(features, weights[..., jnp.newaxis])
    image = model.finish(model.decode(variables, latent, model.residual(sources)))
    return Fused(image, weights, losses, components, channel)
