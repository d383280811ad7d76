"""The border of feature maps computed apart, so that large maps are not copied for their padding."""

from collections.abc import Callable
from typing import Any

from jax import lax
from jaxtyping import Array, Float

from ttd_jax.ops.strips import in_whole
from ttd_jax.ops.symbols import InconclusiveDimensionOperation

MEND_PIXELS = 2**14
"""Pixels from which on mirrored maps are not copied on CPU: mending their border takes longer to compile."""


def mend_border(
    y: Float[Array, "*B H W K"], x: Float[Array, "*B H W C"], compute: Callable[..., Array], context: int
) -> Float[Array, "*B H W K"]:
    """Maps with their outermost pixels replaced, on all four sides.

    Args:
        y: Maps that are right but along the border.
        x: The maps that they were made from.
        compute: From the ``context`` pixels of x next to one side, and a function ``near(maps, count)`` that keeps so
            many pixels of any maps next to that side, to the right values along it.
        context: Pixels from the border inwards that it takes to compute them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(4.0).reshape(2, 2, 1)
        >>> mend_border(jnp.zeros((2, 2, 1)), x, lambda maps, near: near(maps, 1), context=1)[..., 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    for axis in (-3, -2):
        for at_end in (False, True):

            def near(maps: Array, count: int, axis: int = axis, at_end: bool = at_end) -> Array:
                first = maps.shape[axis] - count if at_end else 0
                return lax.slice_in_dim(maps, first, first + count, axis=axis)

            right = compute(near(x, context), near)
            first = y.shape[axis] - right.shape[axis] if at_end else 0
            y = lax.dynamic_update_slice_in_dim(y, right, first, axis=axis)
    return y


def large_enough(x: Float[Array, "*B H W C"], least: int) -> bool:
    """Whether height and width are known while tracing to be at least so many pixels.

    Example:
        >>> import jax.numpy as jnp
        >>> large_enough(jnp.ones((4, 5, 1)), 5)
        False
    """
    return all(_at_least(n, least) for n in x.shape[-3:-1])


def _at_least(length: Any, least: int) -> bool:
    if isinstance(length, int) or not in_whole():  # XLA is given whole layers where a length has a symbol
        return isinstance(length, int) and length >= least
    try:
        return bool(length >= least)
    except InconclusiveDimensionOperation:
        return False


def worth_mending(x: Float[Array, "*B H W C"], least: int) -> bool:
    """Whether maps are large enough, and so large that it pays to mend their border (:func:`mend_border`).

    Other runtimes, which compile nothing, are spared the work on maps of any size.

    Example:
        >>> import jax.numpy as jnp
        >>> worth_mending(jnp.ones((4, 5, 1)), 2)
        False
    """
    return large_enough(x, least) and (in_whole() or x.shape[-3] * x.shape[-2] >= MEND_PIXELS)
