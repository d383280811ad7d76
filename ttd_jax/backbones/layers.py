"""Building blocks shared by the backbones, with PyTorch's defaults and channels last."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


def replicate_pad(x: Float[Array, "*B H W C"], radius: int) -> Float[Array, "*B H2 W2 C"]:
    """Both image axes extended by their outermost pixels (PyTorch's ``padding_mode="replicate"``)."""
    return _pad(x, radius, "edge")


def _pad(x: Array, radius: int, mode: str) -> Array:
    widths = [(0, 0)] * (x.ndim - 3) + [(radius, radius), (radius, radius), (0, 0)]
    return jnp.pad(x, widths, mode=mode)


def batch_norm(name: str | None = None) -> nn.BatchNorm:
    """Batch normalisation by its running statistics."""
    return nn.BatchNorm(use_running_average=True, epsilon=1e-5, name=name)
