"""The layers of BandNet that look at one source and say what of its band should stay."""

import operator
from collections.abc import Sequence
from functools import reduce

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ttd_jax.ops.conv import zero_conv

CONTEXT = 2
"""Planes that tell the decision what is around a place in the source."""


def activate(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Leaky ReLU."""
    return nn.leaky_relu(x, 0.1)


class ActiveConv(nn.Module):
    """A 3x3 convolution with zeros around, and an activation.

    Attributes:
        features: Output channels.
        dilation: Pixels from tap to tap.
    """

    features: int
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        y = zero_conv(x, kernel, dilation=self.dilation)
        return activate(y + self.param("bias", nn.initializers.zeros, (self.features,)))


def reach(dilations: tuple[int, ...]) -> int:
    """Pixels that a component of such layers costs on every side, two for each of the first one's and theirs."""
    return 2 * (1 + sum(dilations))


class Component(nn.Module):
    """From what is known of one source to what stays of its band and what is around, at half the band's size inside.

    Attributes:
        channels: Width of the layers.
        dilations: Of those after the first.
    """

    channels: int
    dilations: tuple[int, ...]

    @nn.compact
    def __call__(
        self, fine: Sequence[Float[Array, "M h w"]], coarse: Sequence[Float[Array, "M h w"]]
    ) -> tuple[Float[Array, "M a b"], ...]:
        """How much of the band goes, before a sigmoid; a correction; and ``CONTEXT`` planes for the decision.

        Args:
            fine: Planes that are seen pixel by pixel.
            coarse: Planes of which means of 2 x 2 pixels are seen.
        """
        planes = [quarter for plane in fine for quarter in _quarters(plane)]
        planes += [reduce(operator.add, _quarters(plane)) / 4 for plane in coarse]
        count = len(planes[0])
        x = _side_by_side(jnp.stack(planes, axis=-1))
        x = ActiveConv(self.channels, name="entrance")(x)
        for i, dilation in enumerate(self.dilations):
            x = x + ActiveConv(self.channels, dilation, name=f"block_{i}")(x)
        start = nn.initializers.variance_scaling(0.02, "fan_in", "normal")
        x = nn.Dense(4 * (2 + CONTEXT), kernel_init=start, name="head")(x)
        x = inside(_apart(x, count), reach(self.dilations) // 2, axes=(-3, -2))
        removed, *others = (_whole(x[..., i : i + 4]) for i in range(0, x.shape[-1], 4))
        return removed - 3, *others


def inside(x: Float[Array, "..."], margin: int, *, axes: tuple[int, int] = (-2, -1)) -> Float[Array, "..."]:
    """Less ``margin`` pixels on every side."""
    for axis in axes:
        x = lax.slice_in_dim(x, margin, x.shape[axis] - margin, axis=axis)
    return x


def _side_by_side(x: Float[Array, "M h w C"]) -> Float[Array, "h N C"]:
    """One wide map of several: XLA takes one core for a convolution of few channels, but where rows are long."""
    return jnp.swapaxes(x, 0, 1).reshape(x.shape[1], -1, x.shape[-1])


def _apart(x: Float[Array, "h N C"], count: int) -> Float[Array, "M h w C"]:
    return jnp.swapaxes(x.reshape(len(x), count, -1, x.shape[-1]), 0, 1)


def _quarters(x: Float[Array, "*B h w"]) -> list[Float[Array, "*B h2 w2"]]:
    """The four pixels of each square of 2 x 2, row by row, as planes."""
    return [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _whole(quarters: Float[Array, "*B h2 w2 4"]) -> Float[Array, "*B h w"]:
    *lead, height, width, _ = quarters.shape
    squares = quarters.reshape(*lead, height, width, 2, 2)
    return jnp.swapaxes(squares, -3, -2).reshape(*lead, 2 * height, 2 * width)
