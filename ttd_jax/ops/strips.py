"""Images some rows at a time: what lies between takes the memory of a strip, not of the image."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

Step = Callable[[PyTree, Any, Any], tuple[PyTree, PyTree]]
"""From what is carried, the first row of a strip and its first row that no strip before it had, to what is carried on
and arrays of the strip's rows."""

_whole: ContextVar[bool] = ContextVar("whole", default=False)


@contextmanager
def whole_images() -> Iterator[None]:
    """What is traced in here computes whole images in plain steps: for runtimes that are not XLA.

    Example:
        >>> with whole_images():
        ...     strips_pay()
        False
    """
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def strips_pay() -> bool:
    """Whether what is traced is for XLA on a CPU, where strips and zeros around maps save time.

    Example:
        >>> strips_pay()
        True
    """
    return jax.default_backend() == "cpu" and not _whole.get()


def in_whole() -> bool:
    """Whether strips are ruled out (:func:`whole_images`).

    Example:
        >>> in_whole()
        False
    """
    return _whole.get()


def scan_rows(
    step: Step, carry: PyTree, *, height: int, rows: int, axis: int, like: Array
) -> tuple[PyTree, PyTree[Array]]:
    """What strips of ``rows`` rows add up to, one after the other.

    The last strip ends with the image, so that it may go over rows which the one before it had.

    Args:
        step: What is done for a strip.
        carry: What the first one gets.
        height: Rows of the image, at least 1.
        rows: Rows of a strip; one strip if these are more.
        axis: Of the rows, in what a strip gives.
        like: Any numbers that the strips depend on.

    Returns:
        What the last strip carried on, and the strips' rows as arrays of the image's.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(5.0)
        >>> double = lambda total, first, new: (total, 2 * jax.lax.dynamic_slice_in_dim(x, first, 2))
        >>> scan_rows(double, (), height=5, rows=2, axis=0, like=x)[1].tolist()
        [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if rows >= height:
        return step(carry, 0, 0)

    def place(state: tuple[Any, Any], index: Array) -> tuple[tuple[Any, Any], None]:
        carried, whole = state
        first = jnp.minimum(index * rows, height - rows)
        carried, strip = step(carried, first, index * rows)
        put = jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, first, axis=axis), whole, strip)
        return (carried, put), None

    def buffer(strip: jax.ShapeDtypeStruct) -> Array:
        """Anything that depends on the data, here one of its numbers, to be overwritten in whole.

        XLA's CPU scheduler sets up constant buffers of all such loops at once, before the first loop runs.
        """
        at = axis % len(strip.shape)
        return jnp.full((*strip.shape[:at], height, *strip.shape[at + 1 :]), number, strip.dtype)

    number = like[(0,) * like.ndim]
    whole = jax.tree.map(buffer, jax.eval_shape(step, carry, 0, 0)[1])
    return jax.lax.scan(place, (carry, whole), jnp.arange(-(-height // rows)))[0]
