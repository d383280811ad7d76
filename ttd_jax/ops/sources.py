"""Sums, extremes, softmax and what the others have over the sources, the leading axis, source by source.

There are few of them. XLA makes a reduction over a leading axis a loop of its own on CPU, on one core, with what it
sums stored before; a sum of terms becomes part of the loops around it.
"""

import operator
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MOST = 16  # terms; a program grows with them


def total(x: Float[Array, "M ..."]) -> Float[Array, "..."]:
    """The sum over the sources.

    Example:
        >>> total(jnp.array([[1.0, 2.0], [3.0, 5.0]])).tolist()
        [4.0, 7.0]
    """
    return reduce(operator.add, list(x)) if len(x) <= _MOST else jnp.sum(x, axis=0)


def lowest(x: Float[Array, "M ..."]) -> Float[Array, "..."]:
    """The lowest of the sources.

    Example:
        >>> lowest(jnp.array([[1.0, 2.0], [3.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    return reduce(jnp.minimum, list(x)) if len(x) <= _MOST else jnp.min(x, axis=0)


def highest(x: Float[Array, "M ..."]) -> Float[Array, "..."]:
    """The highest of the sources.

    Example:
        >>> highest(jnp.array([[1.0, 2.0], [3.0, 0.0]])).tolist()
        [3.0, 2.0]
    """
    return reduce(jnp.maximum, list(x)) if len(x) <= _MOST else jnp.max(x, axis=0)


def softmax(x: Float[Array, "M ..."]) -> Float[Array, "M ..."]:
    """Shares of the sources, by the exponential.

    Example:
        >>> softmax(jnp.array([[0.0], [0.0]])).tolist()
        [[0.5], [0.5]]
    """
    if len(x) > _MOST:
        return jax.nn.softmax(x, axis=0)
    top = jax.lax.stop_gradient(highest(x))
    powers = [jnp.exp(one - top) for one in x]
    whole = reduce(operator.add, powers)
    return jnp.stack([power / whole for power in powers])


def mean_other(x: Float[Array, "M ..."]) -> Float[Array, "M ..."]:
    """The mean of the other sources.

    Example:
        >>> mean_other(jnp.array([1.0, 2.0, 6.0])).tolist()
        [4.0, 3.5, 1.5]
    """
    return (total(x) - x) / (len(x) - 1)


def highest_other(x: Float[Array, "M ..."]) -> Float[Array, "M ..."]:
    """The highest of the other sources: of those before each one and of those after it.

    Nobody asks which one is the highest: a compiler may compute a number twice, and it need not equal itself then.

    Example:
        >>> highest_other(jnp.array([1.0, 2.0, 6.0])).tolist()
        [6.0, 6.0, 2.0]
    """
    before, after = [x[0]], [x[-1]]
    for m in range(1, len(x) - 1):
        before.append(jnp.maximum(before[-1], x[m]))
        after.append(jnp.maximum(after[-1], x[-1 - m]))
    between = [jnp.maximum(low, high) for low, high in zip(before, after[-2::-1], strict=False)]
    return jnp.stack([after[-1], *between, before[-1]])
