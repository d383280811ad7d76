"""Fusion as one pure function, safe under jit, vmap and grad.

``sources`` is ``(M, H, W, C)`` float32 in [0, 1] with M of at least 2; a batch is a ``vmap`` on top.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.model import FusionModel, Variables, check_image
from ttd_jax.core.protocol import Weighting, check_weighed


class Fused(NamedTuple):
    """What a fusion computed.

    Attributes:
        image: The fused image ``(H, W, K)``, not clipped.
        weights: Fusion weights ``(M, H, W)``; 1/M for a static rule that uniform weights reproduce, None for one
            that they do not (maximum).
        losses: Reconstruction losses ``(M, H, W)``, or the gradients that stand for them, with mean 1; None for static
            fusion.
        components: Uni-source components ``(M, H, W, K)``; None for static fusion.
        bands: What was merged by, if that was not the weights.
        found: What the weighting found besides, scalars by name, such as the channel that ``"auto"`` chose.
    """

    image: Float[Array, "H W K"]
    weights: Float[Array, "M H W"] | None
    losses: Float[Array, "M H W"] | None
    components: Float[Array, "M H W K"] | None
    bands: PyTree = None
    found: Mapping[str, Array] | None = None


def fuse(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    weighting: Weighting,
    *,
    surveyed: PyTree = None,
) -> Fused:
    r"""One set of sources fused (TTD, Eq. 1, 6 and 7, Algorithm 1).

    :math:`I_F = D(\sum_m \omega_m E(x_m))`, where the weights :math:`\omega` are what the weighting makes of the
    sources: by reconstruction losses :math:`\omega = \mathrm{softmax}_m(e^{-k \ell_m})`; by the network's own rule, no
    weights at all, :math:`I_F = D(\mathrm{merge}(E(x_1), \ldots, E(x_M)))`.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        weighting: Where weights come from; no option may be open (``weighting.complete(recipe)``).
        surveyed: What the weighting's ``survey`` found in the whole image, if these sources are a part of it.

    Returns:
        The fused image with its weights, and the losses and components they follow from.

    Raises:
        InputError: The weighting or the model returned something else than it should; says which.
    """
    features = model.encode(variables, sources)
    weighed = check_weighed(weighting, weighting.weigh(model, variables, sources, features, surveyed), sources)
    weights, by = weighed.weights, weighed.bands
    if weights is not None and by is None:
        by = weights[..., jnp.newaxis]
    image = model.render(variables, model.merge(features, by), sources)
    check_image(model, "render", image, sources.shape[1:3])
    if weights is None and model.facts.uniform_is_static:
        weights = jnp.full(sources.shape[:3], 1 / sources.shape[0])
    return Fused(image, weights, weighed.losses, weighed.components, weighed.bands, weighed.found)
