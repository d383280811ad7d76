"""Restormer's transformer block (Zamir et al., CVPR 2022) and the variant that CDDFuse makes of it.

Both are channel attention and a gated feed-forward, each behind a layer norm and added to the input; they differ in
which channels their 3x3 convolutions see. Module names equal CDDFuse's state-dict keys.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.backbones.layers import Kernel, channel_attention, gelu, layer_norm
from ttd_jax.backbones.strips import map_strips
from ttd_jax.ops.conv import conv, depthwise_conv
from ttd_jax.ops.padding import zero_pad


class TransposedAttention(nn.Module):
    """Channel attention on queries, keys and values from a 1x1 and a depthwise 3x3 convolution."""

    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
        channels = x.shape[-1]
        temperature = self.param("temperature", nn.initializers.ones, (self.heads, 1, 1))
        widen = Kernel((1, 1, channels, 3 * channels), name="qkv")()[0, 0]
        depthwise = Kernel((3, 3, 1, 3 * channels), name="qkv_dwconv")()[:, :, 0]
        project = Kernel((1, 1, channels, channels), name="project_out")()[0, 0]
        return channel_attention(x, lambda strip: depthwise_conv(strip @ widen, depthwise), temperature, project)


class FullAttention(nn.Module):
    """Channel attention on queries, keys and values from a 1x1 and a full 3x3 convolution.

    There is neither bias nor activation between the two, so they are computed as one 3x3 convolution.
    """

    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (self.heads, 1, 1))
        widen = Kernel((1, 1, channels, 3 * channels), name="qkv1")()[0, 0]
        full = Kernel((3, 3, 3 * channels, 3 * channels), name="qkv2")()
        project = Kernel((1, 1, channels, channels), name="proj")()[0, 0]
        both = jnp.einsum("cm,hwmo->hwco", widen, full)
        return channel_attention(x, lambda strip: conv(strip, both), scale, project)


class GatedFeedForward(nn.Module):
    """Widens, convolves within groups, gates one half by the GELU of the other, and narrows again.

    Attributes:
        hidden: Channels of each half.
        group: Channels of each group of the 3x3 convolution, which runs over both halves together.
    """

    hidden: int
    group: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
        channels, wide = x.shape[-1], 2 * self.hidden
        widen = Kernel((1, 1, channels, wide), name="project_in")()[0, 0]
        grouped = Kernel((3, 3, self.group, wide), name="dwconv")()
        narrow = Kernel((1, 1, self.hidden, channels), name="project_out")()[0, 0]
        first_mate = np.arange(wide) // self.group * self.group

        def block(strip: Array) -> Array:
            # The i-th input of every output channel's group, each as a depthwise convolution.
            mates = [depthwise_conv(strip @ widen[:, first_mate + i], grouped[:, :, i]) for i in range(self.group)]
            gate, content = jnp.split(sum(mates[1:], start=mates[0]), 2, axis=-1)
            return (gelu(gate) * content) @ narrow

        return map_strips(block, zero_pad(x, 1), height=x.shape[-3])


class TransformerBlock(nn.Module):
    """Restormer's block: depthwise convolutions, and twice the channels in each half of the feed-forward."""

    channels: int
    heads: int

    def setup(self) -> None:
        self.norm1, self.norm2 = layer_norm(), layer_norm()
        self.attn = TransposedAttention(self.heads)
        self.ffn = GatedFeedForward(2 * self.channels)

    def __call__(self, x: Float[Array, "*B H W {self.channels}"]) -> Float[Array, "*B H W {self.channels}"]:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class BaseBlock(nn.Module):
    """CDDFuse's base branch: a full convolution in the attention, and groups of two channels in the feed-forward."""

    channels: int
    heads: int

    def setup(self) -> None:
        self.norm1, self.norm2 = layer_norm(), layer_norm()
        self.attn = FullAttention(self.heads)
        self.mlp = GatedFeedForward(self.channels, group=2)

    def __call__(self, x: Float[Array, "*B H W {self.channels}"]) -> Float[Array, "*B H W {self.channels}"]:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
