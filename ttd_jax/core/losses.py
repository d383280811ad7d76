"""Per-pixel reconstruction losses: how badly a component explains its source.

Both arguments are ``(..., H, W, C)`` in the same space; the loss is averaged over channels, one value a pixel.
A component with more channels than its source (a 3-channel network on a grey source) is compared with the
source repeated.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float


def squared_error(component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]) -> Float[Array, "*B H W"]:
    r"""Squared difference, averaged over channels: :math:`\ell = \frac1C \sum_c (u_c - x_c)^2`."""
    return jnp.mean(jnp.square(component - source), axis=-1)


def absolute_error(component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]) -> Float[Array, "*B H W"]:
    r"""Absolute difference, averaged over channels: :math:`\ell = \frac1C \sum_c |u_c - x_c|`."""
    return jnp.mean(jnp.abs(component - source), axis=-1)


RECONSTRUCTION_LOSSES: dict[str, Callable[..., Array]] = {"mse": squared_error, "l1": absolute_error}
"""Loss by the name that :class:`~ttd_jax.core.weighting.LossWeighting` takes."""
