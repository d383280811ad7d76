"""Feature maps ``(..., H, W, C)`` with both image axes extended, as networks of PyTorch extend them."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def replicate_pad(x: Float[Array, "*B H W C"], radius: int) -> Float[Array, "*B H2 W2 C"]:
    """Both image axes extended by their outermost pixels (PyTorch's ``padding_mode="replicate"``).

    Example:
        >>> replicate_pad(jnp.array([[[1.0], [2.0]]]), 1)[1, :, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    return _pad(x, radius, "edge")


def reflect_pad(x: Float[Array, "*B H W C"], radius: int) -> Float[Array, "*B H2 W2 C"]:
    """Both image axes extended by their mirror image without its outermost pixels (``nn.ReflectionPad2d``).

    Example:
        >>> reflect_pad(jnp.arange(4.0).reshape(2, 2, 1), 1)[1, :, 0].tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    return _pad(x, radius, "reflect")


def zero_pad(x: Float[Array, "*B H W C"], radius: int) -> Float[Array, "*B H2 W2 C"]:
    """Both image axes extended by zeros.

    Example:
        >>> zero_pad(jnp.ones((1, 2, 1)), 1)[1, :, 0].tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    return _pad(x, radius, "constant")


def _pad(x: Array, radius: int, mode: str) -> Array:
    widths = [(0, 0)] * (x.ndim - 3) + [(radius, radius), (radius, radius), (0, 0)]
    return jnp.pad(x, widths, mode=mode)
