"""Convolutions of feature maps, channels last, in the way that takes least time where they run.

Maps are ``(..., H, W, C)``, kernels ``(S, S, C, K)`` with odd S; correlation, as in every network. :func:`conv` is for
maps that are padded already; :func:`replicate_conv`, :func:`reflect_conv` and :func:`zero_conv` extend the maps. All
give what the textbook's sum gives but for rounding. What was tried and measured is in ``benchmarks/NOTES.md``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ttd_jax.ops.borders import large_enough, mend_border, worth_mending
from ttd_jax.ops.padding import reflect_pad, replicate_pad, zero_pad
from ttd_jax.ops.strips import in_whole, scan_rows, strips_pay

STRIP_PIXELS = 40_000
"""Pixels of a strip on CPU: its 64 channels have 10 MB, which are written again and again in the same place."""

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    padded: Float[Array, "*B H2 W2 C"], kernel: Float[Array, "S S C K"], *, dilation: int = 1
) -> Float[Array, "*B H W K"]:
    """A convolution of padded maps, with this many pixels from tap to tap.

    Computed with zeros around and cut: without padding, XLA on CPU lays out every pixel's neighbourhood before it
    multiplies, which takes three to ten times as long for maps of many channels (``python -m benchmarks.convolutions``)
    and half as long for maps of one. Other backends take padded maps as they are.

    Example:
        >>> conv(jnp.ones((5, 6, 1)), jnp.ones((3, 3, 1, 2)))[0, 0].tolist()
        [9.0, 9.0]
    """
    if not strips_pay() or padded.shape[-1] == 1:
        return _conv(padded, kernel, dilation, "VALID")
    reach = kernel.shape[0] // 2 * dilation
    y = _same_conv(padded, kernel, dilation)
    return y[..., reach : y.shape[-3] - reach, reach : y.shape[-2] - reach, :]


def replicate_conv(
    x: Float[Array, "*B H W C"],
    kernel: Float[Array, "S S C D"],
    *,
    dilation: int = 1,
    then: Callable[[Array], Array] = lambda y: y,
) -> Float[Array, "*B H W K"]:
    """A convolution of maps extended by their outermost pixels (PyTorch's ``padding_mode="replicate"``).

    On CPU large maps are computed in strips of rows, and only what ``then`` makes of a strip is stored. The maps are
    not copied for their padding either: zeros around a strip give the same but along the image's border, which is then
    computed again from the few pixels next to it.

    Args:
        x: The maps.
        kernel: The kernel.
        dilation: Pixels from tap to tap.
        then: What follows, each pixel for itself: an activation, a 1x1 convolution.

    Example:
        >>> replicate_conv(jnp.ones((4, 5, 1)), jnp.ones((3, 3, 1, 1)), then=lambda y: y - 8).sum().item()
        20.0
    """
    reach = kernel.shape[0] // 2 * dilation

    def padded(maps: Array) -> Array:
        return then(conv(replicate_pad(maps, reach), kernel, dilation=dilation))

    if not strips_pay() or not _exceeds_strip(x, reach):
        return padded(x)
    if x.ndim > 3:
        return lax.map(lambda one: replicate_conv(one, kernel, dilation=dilation, then=then), x)
    y = _in_strips(lambda strip: _same_conv(strip, kernel, dilation), reach, then, x)
    return mend_border(y, x, lambda strip, near: near(padded(strip), reach), context=2 * reach)


def reflect_conv(x: Float[Array, "*B H W C"], kernel: Float[Array, "S S C K"]) -> Float[Array, "*B H W K"]:
    """A convolution of maps extended by their mirror image (``nn.ReflectionPad2d`` before it).

    On CPU large maps are not copied for their padding, as in :func:`replicate_conv`.

    Example:
        >>> reflect_conv(jnp.ones((4, 5, 2)), jnp.ones((3, 3, 2, 1)))[0, 0].tolist()
        [18.0]
    """
    reach = kernel.shape[0] // 2

    def padded(maps: Array) -> Array:
        return conv(reflect_pad(maps, reach), kernel)

    if not strips_pay() or x.shape[-1] == 1 or not worth_mending(x, 2 * reach):
        return padded(x)
    y = _same_conv(x, kernel, 1)
    return mend_border(y, x, lambda strip, near: near(padded(strip), reach), context=2 * reach)


def zero_conv(
    x: Float[Array, "*B H W C"], kernel: Float[Array, "S S C K"], *, dilation: int = 1
) -> Float[Array, "*B H W K"]:
    """A convolution of maps extended by zeros, with this many pixels from tap to tap; it takes no copy of the maps.

    Example:
        >>> zero_conv(jnp.ones((4, 5, 2)), jnp.ones((3, 3, 2, 1)))[0, 0].tolist()
        [8.0]
    """
    if x.shape[-1] == 1 and not in_whole():
        return conv(zero_pad(x, kernel.shape[0] // 2 * dilation), kernel, dilation=dilation)
    return _same_conv(x, kernel, dilation)


def _rows_of_strip(width: int, reach: int) -> int:
    return max(STRIP_PIXELS // width, 2 * reach)


def _exceeds_strip(x: Array, reach: int) -> bool:
    height, width = x.shape[-3:-1]
    return large_enough(x, 2 * reach) and height > _rows_of_strip(width, reach) + 2 * reach


def _in_strips(block: Callable[[Array], Array], reach: int, then: Callable[[Array], Array], x: Array) -> Array:
    """``then(block(x))``, where ``block`` may do as it likes in the outermost ``reach`` rows."""
    height, width = x.shape[:2]
    count = -(-height // _rows_of_strip(width, reach))
    rows = -(-height // count)

    def strip(carry: Any, first: Any, new: Any) -> tuple[Any, Array]:
        start = jnp.clip(first - reach, 0, height - rows - 2 * reach)
        y = block(lax.dynamic_slice_in_dim(x, start, rows + 2 * reach))
        return carry, then(lax.dynamic_slice_in_dim(y, first - start, rows))

    return scan_rows(strip, (), height=height, rows=rows, axis=0, like=x)[1]


def depthwise_conv(padded: Float[Array, "*B H2 W2 C"], kernel: Float[Array, "S S C"]) -> Float[Array, "*B H W C"]:
    """A convolution of padded maps, each channel for itself.

    Shifted multiply-adds, nine for 3x3: XLA's grouped convolution takes twenty times as long on CPU. Other runtimes
    have one that takes less.

    Example:
        >>> depthwise_conv(jnp.ones((3, 4, 2)), jnp.ones((3, 3, 2))).tolist()
        [[[9.0, 9.0], [9.0, 9.0]]]
    """
    size = len(kernel)
    if in_whole():
        maps = padded.reshape(-1, *padded.shape[-3:])
        groups, one = maps.shape[-1], kernel[:, :, jnp.newaxis]
        y = lax.conv_general_dilated(maps, one, (1, 1), "VALID", dimension_numbers=_LAYOUT, feature_group_count=groups)
        return y.reshape(*padded.shape[:-3], *y.shape[1:])
    height, width = padded.shape[-3] - size + 1, padded.shape[-2] - size + 1
    shifted = [
        padded[..., row : row + height, column : column + width, :] * kernel[row, column]
        for row in range(size)
        for column in range(size)
    ]
    return sum(shifted[1:], start=shifted[0])


def compose(first: Float[Array, "S S C D"], second: Float[Array, "T T D K"]) -> Float[Array, "R R C K"]:
    """The kernel of two convolutions one after the other, of size S + T - 1: the sums of all pairs of their taps.

    Example:
        >>> compose(jnp.ones((1, 1, 1, 1)), jnp.full((3, 3, 1, 1), 2.0)).shape
        (3, 3, 1, 1)
    """
    grow = second.shape[0] - 1
    both = lax.conv_general_dilated(
        first.transpose(2, 0, 1, 3),
        second[::-1, ::-1],
        (1, 1),
        [(grow, grow)] * 2,
        dimension_numbers=_LAYOUT,
        precision=lax.Precision.HIGHEST,
    )
    return both.transpose(1, 2, 0, 3)


def _conv(x: Float[Array, "*B H W C"], kernel: Float[Array, "S S C K"], dilation: int, padding: str) -> Array:
    batch = x.shape[:-3]
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]),
        kernel,
        (1, 1),
        padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_LAYOUT,
    )
    return y.reshape(*batch, *y.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _same_conv(x: Float[Array, "*B H W C"], kernel: Float[Array, "S S C K"], dilation: int) -> Array:
    """A convolution with zeros around.

    Its derivative with respect to the maps is a convolution of the same kind: the one that jax derives has a kernel
    whose axes XLA does not put in order inside a loop, where it takes twenty times as long
    (``python -m benchmarks.gradient``). That with respect to the kernel is a matrix product for every tap: under vmap
    the one that jax derives is a grouped convolution with a kernel as large as the maps, which takes five times as
    long.
    """
    return _conv(x, kernel, dilation, "SAME")


def _forward(x: Array, kernel: Array, dilation: int) -> tuple[Array, tuple[Array, Array]]:
    return _same_conv(x, kernel, dilation), (x, kernel)


def _backward(dilation: int, residuals: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    padded = zero_pad(x, len(kernel) // 2 * dilation)
    height, width = x.shape[-3:-1]

    def of_tap(i: int, j: int) -> Array:
        seen = padded[..., i * dilation : i * dilation + height, j * dilation : j * dilation + width, :]
        return jnp.einsum("nc,nk->ck", seen.reshape(-1, seen.shape[-1]), slope.reshape(-1, slope.shape[-1]))

    taps = range(len(kernel))
    return _same_conv(slope, turned, dilation), jnp.stack([jnp.stack([of_tap(i, j) for j in taps]) for i in taps])


_same_conv.defvjp(_forward, _backward)
