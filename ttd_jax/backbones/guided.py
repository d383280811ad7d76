"""MGDN's building blocks: sources guide each other's per-pixel filters, then a Swin stage fuses them.

Names follow the state-dict keys of the authors' checkpoints.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.layers import (
    Conv3x3,
    KernelAndBias,
    PointwiseConv,
    channel_attention,
    in_turn,
)
from ttd_jax.backbones.strips import map_strips
from ttd_jax.backbones.swin import ContextTransformer
from ttd_jax.ops.conv import depthwise_conv
from ttd_jax.ops.padding import replicate_pad

KERNEL = 7


class CrossAttention(nn.Module):
    """Channel attention with queries from a guide and keys and values from the content."""

    channels: int
    heads: int = 6

    @nn.compact
    def __call__(self, guide: Float[Array, "H W C"], content: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
        c = self.channels
        temperature = self.param("temperature", nn.initializers.ones, (self.heads, 1, 1))
        q, q_bias = KernelAndBias((1, 1, c, c), name="q")()
        kv, kv_bias = KernelAndBias((1, 1, c, 2 * c), name="kv")()
        q_depthwise, q_depthwise_bias = KernelAndBias((3, 3, 1, c), name="q_dwconv")()
        kv_depthwise, kv_depthwise_bias = KernelAndBias((3, 3, 1, 2 * c), name="kv_dwconv")()
        project, project_bias = KernelAndBias((1, 1, c, c), name="project_out")()
        # One matrix for q, k and v. The 3x3 convolutions are padded with zeros behind the 1x1's bias, so the bias is
        # the row of an input channel that is one inside the image and zero in the padding.
        zeros = jnp.zeros((c, c), q.dtype)
        widen = jnp.block([[q[0, 0], zeros, zeros], [zeros, kv[0, 0]], [q_bias, kv_bias]])
        depthwise = jnp.concatenate([q_depthwise, kv_depthwise], axis=-1)[:, :, 0]
        depthwise_bias = jnp.concatenate([q_depthwise_bias, kv_depthwise_bias])
        inside = jnp.ones((*guide.shape[:-1], 1), guide.dtype)
        attended = channel_attention(
            jnp.concatenate([guide, content, inside], axis=-1),
            lambda strip: depthwise_conv(strip @ widen, depthwise) + depthwise_bias,
            temperature,
            project[0, 0],
        )
        return attended + project_bias


class KernelPredictor(nn.Module):
    """A 7x7 kernel for every pixel, from features."""

    channels: int

    def setup(self) -> None:
        self.conv_0, self.conv_1 = Conv3x3(self.channels), Conv3x3(self.channels)
        self.conv_2 = PointwiseConv(KERNEL * KERNEL, use_bias=True)

    def __call__(self, x: Float[Array, "H W {self.channels}"]) -> Float[Array, "H W 49"]:
        return self.conv_2(_leaky(self.conv_1(_leaky(self.conv_0(x)))))


def _leaky(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return nn.leaky_relu(x, 0.1)


def dynamic_filter(x: Float[Array, "H W C"], kernels: Float[Array, "H W 49"]) -> Float[Array, "H W C"]:
    r"""Each pixel's neighbourhood weighted by the pixel's own 7x7 kernel, the same for all channels.

    :math:`y_{ij} = \sum_{uv} k_{ij,7u+v}\, x_{i+u-3,\,j+v-3}`, with the image continued by its outermost pixels: 49
    shifted multiply-adds in strips of rows, never 49 copies of the features.
    """

    def block(padded: Array, kernel: Array) -> Array:
        rows, columns = kernel.shape[:2]
        taps = [
            padded[u : u + rows, v : v + columns] * kernel[..., KERNEL * u + v, None]
            for u in range(KERNEL)
            for v in range(KERNEL)
        ]
        return sum(taps[1:], start=taps[0])

    return map_strips(block, replicate_pad(x, KERNEL // 2), kernels, height=len(x))


class MutualFilter(nn.Module):
    """Two sources, each filtered by kernels predicted from its attention to the other."""

    channels: int

    def setup(self) -> None:
        self.TCA = CrossAttention(self.channels)
        self.kernel_predictor_ref = KernelPredictor(self.channels)
        self.kernel_predictor_ext = KernelPredictor(self.channels)
        self.conv_out_1 = PointwiseConv(self.channels, use_bias=True)
        self.conv_out_2 = PointwiseConv(self.channels, use_bias=True)

    def __call__(self, maps: tuple[Array, ...]) -> tuple[Array, ...]:
        first, second = maps
        first_kernels = self.kernel_predictor_ref(self.TCA(first, second))
        second_kernels = self.kernel_predictor_ext(self.TCA(second, first))
        return (
            _leaky(self.conv_out_1(dynamic_filter(first, first_kernels))),
            _leaky(self.conv_out_2(dynamic_filter(second, second_kernels))),
        )


class ReferenceFilter(nn.Module):
    """Three exposures: the outer two filtered by kernels that the middle one guides, the middle one convolved."""

    channels: int

    def setup(self) -> None:
        self.TCA = CrossAttention(self.channels)
        self.kernel_predictor_under = KernelPredictor(self.channels)
        self.kernel_predictor_over = KernelPredictor(self.channels)
        self.conv_out_1 = PointwiseConv(self.channels, use_bias=True)
        self.conv_out_2 = PointwiseConv(self.channels, use_bias=True)
        self.conv_ref_0, self.conv_ref_1 = Conv3x3(self.channels), Conv3x3(self.channels)

    def __call__(self, maps: tuple[Array, ...]) -> tuple[Array, ...]:
        under, reference, over = maps
        under_kernels = self.kernel_predictor_under(self.TCA(reference, under))
        over_kernels = self.kernel_predictor_over(self.TCA(reference, over))
        return (
            _leaky(self.conv_out_1(dynamic_filter(under, under_kernels))),
            _leaky(self.conv_ref_1(_leaky(self.conv_ref_0(reference)))),
            _leaky(self.conv_out_2(dynamic_filter(over, over_kernels))),
        )


class GuidedBlock(nn.Module):
    """Filtered sources, fused by a Swin stage whose result every source gets mixed in.

    Attributes:
        sources: Two or three.
        channels: Channels of each source's maps.
        depth: Blocks of the Swin stage.
        heads: Heads of its attention.
        window: Side of its windows.
        hidden: Channels inside its feed-forwards.
    """

    sources: int
    channels: int
    depth: int
    heads: int
    window: int
    hidden: int

    def setup(self) -> None:
        self.MGF = MutualFilter(self.channels) if self.sources == 2 else ReferenceFilter(self.channels)
        self.adjust_channel = PointwiseConv(self.channels, use_bias=True)
        self.blocks = [
            ContextTransformer(self.channels, self.heads, self.window, self.hidden) for _ in range(self.depth)
        ]
        self.dilated_conv = Conv3x3(self.channels, dilation=2)
        self.adjust_channel_01 = PointwiseConv(self.channels, use_bias=True)
        self.adjust_channel_02 = PointwiseConv(self.channels, use_bias=True)
        self.adjust_channel_03 = PointwiseConv(self.channels, use_bias=True)

    def __call__(self, maps: tuple[Array, ...]) -> tuple[Array, ...]:
        filtered = self.MGF(maps)
        fused = self.adjust_channel(jnp.concatenate(filtered, axis=-1))
        shifted = jnp.arange(self.depth) % 2 == 1
        fused = self.dilated_conv(in_turn(self.blocks, fused, each=shifted))
        adjust = (self.adjust_channel_01, self.adjust_channel_02, self.adjust_channel_03)
        mixed = [layer(jnp.concatenate([fused, own], axis=-1)) for layer, own in zip(adjust, filtered, strict=False)]
        if self.is_initializing() and self.sources == 2:
            adjust[2](jnp.concatenate([fused, fused], axis=-1))  # in the authors' files, never called by them
        return tuple(mixed)
