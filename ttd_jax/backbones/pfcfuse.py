"""PFCFuse: CDDFuse's encoder, detail branch and decoder around a base branch that pools in place of attending.

The base block is a PoolFormer's (Yu et al., CVPR 2022): local averages mix pixels, an MLP mixes channels. Everything
else is :mod:`ttd_jax.backbones.cddfuse`, whose rules, residual and final stretch are kept.
"""

from dataclasses import dataclass, field, replace

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.cddfuse import CHANNELS, CDDFuse, CDDFuseNetwork
from ttd_jax.backbones.layers import Kernel, gelu, layer_norm
from ttd_jax.backbones.spec import Spec
from ttd_jax.backbones.strips import map_strips
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.conv import depthwise_conv
from ttd_jax.ops.padding import zero_pad

WIDE = 4 * CHANNELS


class PooledMLP(nn.Module):
    """64 → 256 → 64 channels around a GELU, pixel by pixel, without biases."""

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 64"]:
        widen = Kernel((1, 1, CHANNELS, WIDE), name="fc1")()[0, 0]
        narrow = Kernel((1, 1, WIDE, CHANNELS), name="fc2")()[0, 0]
        return map_strips(lambda strip: gelu(strip @ widen) @ narrow, x, height=x.shape[-3])


class PoolBlock(nn.Module):
    """The 3x3 mean of the normalised maps less the maps themselves, then the MLP, each scaled and added to its input.

    The mean counts the zeros outside the image.
    """

    def setup(self) -> None:
        self.norm1, self.norm2 = layer_norm(), layer_norm()
        self.poolmlp = PooledMLP()
        self.layer_scale_1 = self.param("layer_scale_1", nn.initializers.ones, (CHANNELS,))
        self.layer_scale_2 = self.param("layer_scale_2", nn.initializers.ones, (CHANNELS,))

    def __call__(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 64"]:
        y = self.norm1(x)
        mean = depthwise_conv(zero_pad(y, 1), jnp.full((3, 3, CHANNELS), 1 / 9, x.dtype))
        x = x + self.layer_scale_1 * (mean - y)
        return x + self.layer_scale_2 * self.poolmlp(self.norm2(x))


def pool_block() -> nn.Module:
    """PFCFuse's base block."""
    return PoolBlock()


def pfcfuse_network() -> CDDFuseNetwork:
    """The four networks of a PFCFuse checkpoint."""
    return CDDFuseNetwork(pool_block)


@dataclass(frozen=True)
class PFCFuse(CDDFuse):
    """PFCFuse as a fusion model of grey sources.

    Attributes:
        network: The linen module, whose variables a checkpoint has.

    Raises:
        InputError: ``residual_of`` is none of its choices.
    """

    network: nn.Module = field(default_factory=pfcfuse_network)


_PUBLISHED = replace(PAPER, scale=50.0)

SPEC = Spec(
    name="pfcfuse",
    title="PFCFuse (PoolFormer and CNN fusion network, HXY13)",
    build=PFCFuse,
    presets={"ivf": {"residual_of": "reference", "stretch": True}},
    recipes={"default": _PUBLISHED, "vif": _PUBLISHED, "paper": PAPER},
    origin="github.com/HXY13/PFCFuse-Image-Fusion, the file PFCFuse_IVF.pth",
    licence="no licence file: convert your own copy",
)
