"""Images some rows at a time: what lies between takes the memory of a strip, not of the image."""

import math
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

LARGE = 1 << 21
"""Pixels of all sources together from which on filters go by strips: below, one step is compiled in place of two."""

STRIP_PIXELS = 1 << 19
"""Pixels of all sources in such a strip."""

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
    step, indices = jax.jit(step, inline=True), jnp.arange(-(-height // rows))  # jit traces it once for both uses

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

    number, first = like[(0,) * like.ndim], jax.ShapeDtypeStruct((), indices.dtype)
    whole = jax.tree.map(buffer, jax.eval_shape(step, carry, first, first)[1])
    return jax.lax.scan(place, (carry, whole), indices)[0]


def is_large(planes: Array) -> bool:
    """Whether planes, leading axes and all, are so large that filters go by strips.

    Example:
        >>> is_large(jnp.zeros((2, 3, 4)))
        False
    """
    return strips_pay() and all(isinstance(n, int) for n in planes.shape) and math.prod(planes.shape) >= LARGE


def by_rows(
    function: Callable[..., PyTree],
    *arrays: Array,
    reach: int,
    axis: int = -2,
    unit: int = 1,
    pixels: int | None = None,
    after: Array | None = None,
) -> PyTree:
    """``function(*arrays)``, some rows at a time.

    Args:
        function: From images to images; what it gives at a pixel depends on none further than ``reach`` rows away, and
            it takes images of any height.
        arrays: The first has the rows of the image; others may have a row for each 2, 4, ... of them, as results may.
        reach: That distance.
        axis: Of the rows, in arrays and results.
        unit: The most rows of the image that one row of any of these stands for.
        pixels: Of the first array in a strip; None for ``STRIP_PIXELS``.
        after: What is to be there before the first strip is begun, so that its memory is not needed at one time.

    Example:
        >>> by_rows(lambda x: 2 * x, jnp.arange(6.0).reshape(3, 2), reach=0, pixels=2).tolist()
        [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]
    """
    height = arrays[0].shape[axis]
    rows = max((STRIP_PIXELS if pixels is None else pixels) * height // math.prod(arrays[0].shape) // unit, 1) * unit
    own = rows + height % unit  # so that the last strip, too, begins with a whole unit
    reach = -(-reach // unit) * unit
    window = own + 2 * reach
    if window >= height:
        return function(*arrays)

    def part(array: Array, first: Any, count: int, scale: int) -> Array:
        return jax.lax.dynamic_slice_in_dim(array, first // scale, count, axis=axis)

    def scale_of(length: int) -> int:
        return 2 ** round(math.log2(height / length))

    whole = jax.eval_shape(function, *arrays)
    like = arrays[0] if after is None else after
    number = like[(0,) * like.ndim]
    buffers = jax.tree.map(lambda a: jnp.full(a.shape, number.astype(a.dtype)), whole)  # as in scan_rows

    def place(found: PyTree, index: Array) -> tuple[PyTree, None]:
        first = jnp.minimum(index * rows, height - own)
        top = jnp.clip(first - reach, 0, height - window)
        scales = [scale_of(array.shape[axis]) for array in arrays]
        seen = [part(a, top, a.shape[axis] - (height - window) // s, s) for a, s in zip(arrays, scales, strict=True)]

        def put(target: Array, strip: Array) -> Array:
            scale = scale_of(target.shape[axis])
            kept = part(strip, first - top, target.shape[axis] - (height - own) // scale, scale)
            return jax.lax.dynamic_update_slice_in_dim(target, kept, first // scale, axis=axis)

        return jax.tree.map(put, found, function(*seen)), None

    return jax.lax.scan(place, buffers, jnp.arange(-(-(height - height % unit) // rows)))[0]


def continued(image: Array, first: Any, count: int, *, axis: int) -> Array:
    """Pixels from ``first`` on along one axis, beyond the border the outermost one.

    Args:
        image: An image with leading axes of any kind.
        first: The first pixel; it may lie outside.
        count: How many pixels.
        axis: Along which they lie.

    Example:
        >>> continued(jnp.arange(4), -2, 5, axis=0).tolist()
        [0, 0, 0, 1, 2]
    """
    return jnp.take(image, jnp.clip(first + jnp.arange(count), 0, image.shape[axis] - 1), axis=axis, mode="clip")
