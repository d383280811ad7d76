"""Building blocks shared by the backbones, with PyTorch's defaults and channels last."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ttd_jax.backbones.strips import map_strips, scan_strips
from ttd_jax.ops.conv import conv, reflect_conv
from ttd_jax.ops.padding import replicate_pad, zero_pad

BATCH_NORM_EPSILON = 1e-5


def batch_norm(*, name: str | None = None) -> nn.BatchNorm:
    """Batch normalisation by its running statistics."""
    return nn.BatchNorm(use_running_average=True, epsilon=BATCH_NORM_EPSILON, name=name)


def layer_norm() -> nn.LayerNorm:
    """Layer normalisation over channels with PyTorch's epsilon; the variance from centred values, as there."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, PyTorch's default."""
    return jax.nn.gelu(x, approximate=False)


def in_turn(blocks: Sequence[nn.Module], x: PyTree, *, each: Array | None = None) -> PyTree:
    """The result of equally built blocks, each on the result of the one before, as a loop that is compiled once.

    A loop also keeps XLA's CPU scheduler from setting up the buffers of all blocks before the first one runs, which
    tripled the peak memory of CDDFuse.

    Args:
        blocks: Modules that differ in nothing but their parameters, taking and returning ``x``.
        x: What the first gets.
        each: One more argument for every block along axis 0, if they take one.
    """
    if blocks[0].is_initializing():
        for i, block in enumerate(blocks):
            x = block(x) if each is None else block(x, each[i])
        return x
    body = blocks[0].clone(parent=None)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[block.variables["params"] for block in blocks])

    def step(y: Any, block: Any) -> tuple[Any, None]:
        params, argument = block
        return body.apply({"params": params}, y, *([] if each is None else [argument])), None

    return jax.lax.scan(step, x, (stacked, each))[0]


class Kernel(nn.Module):
    """The kernel of a layer that the module around it computes, under the name a checkpoint has for it.

    Attributes:
        shape: Height and width, of a convolution; input channels (of a group); output channels.
    """

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> Float[Array, "... I O"]:
        return self.param("kernel", nn.initializers.lecun_normal(), self.shape)


class KernelAndBias(nn.Module):
    """The same for a layer with a bias.

    Attributes:
        shape: As for a kernel alone.
    """

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "... I O"], Array]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), self.shape)
        return kernel, self.param("bias", nn.initializers.zeros, self.shape[-1:])


class PointwiseConv(nn.Module):
    """A 1x1 convolution, computed as the matrix product it is: XLA's CPU convolution takes twice as long.

    Attributes:
        features: Output channels.
        use_bias: Whether to add a bias.
    """

    features: int
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (1, 1, x.shape[-1], self.features))
        y = x @ kernel[0, 0]
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class ReplicateConv(nn.Module):
    """A convolution of maps extended by their outermost pixels.

    Attributes:
        features: Output channels.
        size: Height and width of the kernel, odd.
        dilation: Pixels from tap to tap.
        use_bias: Whether to add a bias.
        kernel_init: How a kernel starts.
    """

    features: int
    size: int = 3
    dilation: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, x.shape[-1], self.features))
        y = conv(replicate_pad(x, self.size // 2 * self.dilation), kernel, dilation=self.dilation)
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


class ReflectConv(nn.Module):
    """A 3x3 convolution of maps extended by their mirror image, with a bias.

    Attributes:
        features: Output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        return reflect_conv(x, kernel) + self.param("bias", nn.initializers.zeros, (self.features,))


class FoldedNorm(nn.Module):
    """Batch normalisation by its running statistics as the factor and the offset of each channel.

    Multiplied into the convolution before it, it costs no pass over the maps. Variables are those of
    :func:`batch_norm`.

    Attributes:
        features: Channels.
    """

    features: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, " {self.features}"], Float[Array, " {self.features}"]]:
        shape = (self.features,)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape).value
        variance = self.variable("batch_stats", "var", jnp.ones, shape).value
        factor = scale / jnp.sqrt(variance + BATCH_NORM_EPSILON)
        return factor, bias - mean * factor


def prelu(x: Float[Array, "..."], slope: Float[Array, "..."]) -> Float[Array, "..."]:
    """Positive numbers as they are, the others times a slope (``nn.PReLU``)."""
    return jnp.where(x > 0, x, slope * x)


class Conv3x3(nn.Module):
    """A 3x3 convolution in strips of rows.

    The strips stay in the processor's cache, and wide maps take no second copy for their padding.

    Attributes:
        features: Output channels.
        use_bias: Whether to add a bias.
        pad: Extends the maps by the convolution's reach.
        dilation: Pixels from tap to tap.
    """

    features: int
    use_bias: bool = True
    pad: Callable[[Array, int], Array] = zero_pad
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        padded = self.pad(x, self.dilation)
        y = map_strips(lambda strip: conv(strip, kernel, dilation=self.dilation), padded, height=x.shape[-3])
        return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


def channel_attention(
    x: Float[Array, "*B H W C"],
    qkv: Callable[[Array], Array],
    temperature: Float[Array, "heads 1 1"],
    project: Float[Array, "D K"],
) -> Float[Array, "*B H W K"]:
    r"""Attention among the channels of each head over all pixels (Restormer's transposed attention).

    :math:`A = \mathrm{softmax}(t\, \hat q^\top \hat k)` with q and k of every channel scaled to unit length over the
    image (at least 1e-12, as PyTorch does), then :math:`v A^\top P`. The product is D x D, never (HW) x (HW), and is
    summed up strip by strip. Heads are blocks on its diagonal: one full product and a mask take a third of the time of
    a batched product on CPU, where heads of few channels are no use to a matrix unit.

    Args:
        x: What queries, keys and values are made of.
        qkv: From a strip of x padded with one pixel of zeros, ``(rows + 2, W + 2, C)``, to ``(rows, W, 3 D)``:
            queries, keys, values.
        temperature: The factor of each head's logits.
        project: The matrix that follows.
    """
    if x.ndim > 3:
        return jax.vmap(lambda image: channel_attention(image, qkv, temperature, project))(x)
    channels = len(project)

    def accumulate(carry: Any, inside: Array, strip: Array) -> tuple[Any, Any]:
        product, q_squares, k_squares = carry
        q, k, v = jnp.split(qkv(strip), 3, axis=-1)
        q, k = jnp.where(inside, q, 0), jnp.where(inside, k, 0)
        product += jnp.einsum("hwc,hwd->cd", q, k)
        return (product, q_squares + jnp.sum(q * q, axis=(0, 1)), k_squares + jnp.sum(k * k, axis=(0, 1))), v

    zeros = jnp.zeros(channels, x.dtype)
    start = jnp.zeros((channels, channels), x.dtype), zeros, zeros
    (product, q_squares, k_squares), value = scan_strips(accumulate, start, zero_pad(x, 1), height=x.shape[0])
    q_scale, k_scale = (1 / jnp.sqrt(jnp.maximum(squares, 1e-24)) for squares in (q_squares, k_squares))
    head = np.arange(channels) * len(temperature) // channels
    logits = product * (q_scale[:, None] * k_scale) * temperature[head, :, 0]
    attention = jax.nn.softmax(jnp.where(head[:, None] == head, logits, -jnp.inf), axis=-1)
    return value @ (attention.T @ project)
