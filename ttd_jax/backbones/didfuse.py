"""DIDFuse (Zhao et al., IJCAI 2020): an image split into background and detail, merged by a sum, and put together.

Trained to reconstruct single images. Besides background and detail the decoder gets the features of the first two
layers, so that all four are merged. Module names follow the state-dict keys of the authors' two files.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel
from ttd_jax.backbones.layers import FoldedNorm, KernelAndBias, prelu
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.conv import reflect_conv, zero_conv
from ttd_jax.options import Rule

CHANNELS = 64

Maps: TypeAlias = dict[str, Float[Array, "*B H W 64"]]
"""Feature maps by name: ``"first"`` and ``"second"`` of the first two layers, ``"base"`` (background), ``"detail"``."""


class ConvNorm(nn.Module):
    """A 3x3 convolution and its batch normalisation as one, then a PReLU.

    Attributes:
        features: Output channels.
        mirrored: Whether the maps are extended by their mirror image; if not, by zeros.
        slopes: Whether there is a PReLU, with one slope for all channels.
    """

    features: int
    mirrored: bool = False
    slopes: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        kernel, bias = KernelAndBias((3, 3, x.shape[-1], self.features), name="conv")()
        factor, offset = FoldedNorm(self.features, name="bn")()
        y = (reflect_conv if self.mirrored else zero_conv)(x, kernel * factor) + (bias * factor + offset)
        return prelu(y, self.param("slope", nn.initializers.constant(0.25), (1,))) if self.slopes else y


class Encoder(nn.Module):
    """Two layers, then one each for background and detail."""

    def setup(self) -> None:
        self.cov1 = ConvNorm(CHANNELS, mirrored=True)
        self.cov2 = ConvNorm(CHANNELS)
        self.cov3 = ConvNorm(CHANNELS, slopes=False)
        self.cov4 = ConvNorm(CHANNELS, slopes=False)

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Maps:
        first = self.cov1(x)
        second = self.cov2(first)
        return {
            "first": first,
            "second": second,
            "base": jnp.tanh(self.cov3(second)),
            "detail": jnp.tanh(self.cov4(second)),
        }


class Decoder(nn.Module):
    """Background and detail, then the features of the second layer, then those of the first, to one channel."""

    def setup(self) -> None:
        self.cov5 = ConvNorm(CHANNELS)
        self.cov6 = ConvNorm(CHANNELS)
        self.cov7 = ConvNorm(1, mirrored=True, slopes=False)

    def __call__(self, maps: Maps) -> Float[Array, "*B H W 1"]:
        x = self.cov5(jnp.concatenate([maps["base"], maps["detail"]], axis=-1))
        x = self.cov6(jnp.concatenate([x, maps["second"]], axis=-1))
        return nn.sigmoid(self.cov7(jnp.concatenate([x, maps["first"]], axis=-1)))


class DIDFuseNetwork(nn.Module):
    """The two networks of a DIDFuse checkpoint: ``encode`` an image, ``decode`` feature maps."""

    def setup(self) -> None:
        self.encoder = Encoder()
        self.decoder = Decoder()

    def encode(self, x: Float[Array, "*B H W 1"]) -> Maps:
        return self.encoder(x)

    def decode(self, maps: Maps) -> Float[Array, "*B H W 1"]:
        return self.decoder(maps)

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode(self.encode(x))


@dataclass(frozen=True)
class DIDFuse(RuleModel):
    """DIDFuse as a fusion model of grey sources.

    Attributes:
        network: The linen module, whose variables a checkpoint has.
        rule: ``"sum"`` (the authors' test), ``"mean"`` or ``"l1"`` (their other two), of each of the four maps.
    """

    network: nn.Module = field(default_factory=DIDFuseNetwork)
    rule: Rule = "sum"

    @property
    def facts(self) -> Facts:
        """Three 3x3 layers in, three out; zeros outside the image show in the features along its border."""
        return Facts(rule=self.rule, by_band=True, halo=(3, 3))


SPEC = Spec(
    name="didfuse",
    title="DIDFuse (Zhao et al., IJCAI 2020)",
    build=DIDFuse,
    presets={"ivf": {"rule": "sum"}},
    recipes={"default": PAPER, "paper": PAPER},
    static_rule="sum, or rule='mean' or rule='l1', the authors' other two",
    origin="github.com/Zhaozixiang1228/IVIF-DIDFuse, the files Encoder_weight_IJCAI.pkl and Decoder_weight_IJCAI.pkl",
    licence="no licence file: convert your own copies",
)
