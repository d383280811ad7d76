"""PIAFusion (Tang et al., Information Fusion 2022): a visible and an infrared branch that exchange what differs.

The branches are concatenated, so that a component can be read in two ways: one branch's features with zeros for the
other (``component="isolate"``), or the network with the same source in both branches (``component="duplicate"``).
Module names follow the state-dict keys of the PyTorch version, whose branches are called ``vi`` and ``ir``.
"""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import NetworkModel, abstract_variables
from ttd_jax.backbones.layers import Conv3x3, KernelAndBias, PointwiseConv
from ttd_jax.backbones.spec import Spec
from ttd_jax.backbones.strips import map_strips
from ttd_jax.core.model import Facts, Variables
from ttd_jax.core.weighting import PAPER
from ttd_jax.errors import InputError
from ttd_jax.ops.conv import conv
from ttd_jax.ops.padding import reflect_pad

ROLES = ("visible", "infrared")

Branches: TypeAlias = dict[str, Array]
"""``maps``, the features of both branches (2, ..., H, W, 128), and ``used``, which of them are not zero (2,)."""


class ReflectConv(nn.Module):
    """3x3 convolution with bias behind reflection padding."""

    features: int

    def setup(self) -> None:
        self.conv = Conv3x3(self.features, pad=reflect_pad)

    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        return self.conv(x)


def activate(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Leaky ReLU with PyTorch's slope."""
    return nn.leaky_relu(x, 0.01)


def exchange(
    visible: Float[Array, "*B H W C"], infrared: Float[Array, "*B H W C"]
) -> tuple[Float[Array, "*B H W C"], Float[Array, "*B H W C"]]:
    """Each branch plus its difference to the other, scaled per channel by the sigmoid of the difference's mean."""
    difference = infrared - visible
    mean = jnp.mean(difference, axis=(-3, -2), keepdims=True)
    return visible + difference * nn.sigmoid(mean), infrared - difference * nn.sigmoid(-mean)


class Encoder(nn.Module):
    """Five convolutions a branch, with an exchange after the second, third and fourth."""

    def setup(self) -> None:
        self.vi_conv1, self.ir_conv1 = PointwiseConv(16, use_bias=True), PointwiseConv(16, use_bias=True)
        self.vi_conv2, self.ir_conv2 = ReflectConv(16), ReflectConv(16)
        self.vi_conv3, self.ir_conv3 = ReflectConv(32), ReflectConv(32)
        self.vi_conv4, self.ir_conv4 = ReflectConv(64), ReflectConv(64)
        self.vi_conv5, self.ir_conv5 = ReflectConv(128), ReflectConv(128)

    def __call__(self, sources: Float[Array, "2 *B H W 1"]) -> Float[Array, "2 *B H W 128"]:
        visible, infrared = activate(self.vi_conv1(sources[0])), activate(self.ir_conv1(sources[1]))
        for vi_conv, ir_conv in (
            (self.vi_conv2, self.ir_conv2),
            (self.vi_conv3, self.ir_conv3),
            (self.vi_conv4, self.ir_conv4),
        ):
            visible, infrared = exchange(activate(vi_conv(visible)), activate(ir_conv(infrared)))
        return jnp.stack([activate(self.vi_conv5(visible)), activate(self.ir_conv5(infrared))])


class BranchConv(nn.Module):
    """A :class:`ReflectConv` of both branches side by side, which passes over a branch that is zero.

    It is half the work of decoding an isolated component. The two convolutions' sum is that of the joined branches.
    """

    features: int

    @nn.compact
    def __call__(self, latent: Branches) -> Float[Array, "*B H W {self.features}"]:
        maps, used = latent["maps"], latent["used"]
        *_, height, _, channels = maps.shape
        kernel, bias = KernelAndBias((3, 3, 2 * channels, self.features), name="conv")()
        total = jnp.broadcast_to(bias, (*maps.shape[1:-1], self.features))
        for m, half in enumerate(jnp.split(kernel, 2, axis=2)):

            def add(total: Array, m: int = m, half: Array = half) -> Array:
                padded = reflect_pad(maps[m], 1)
                return map_strips(lambda strip, rows: rows + conv(strip, half), padded, total, height=height)

            total = jax.lax.cond(used[m], add, lambda total: total, total)
        return total


class Decoder(nn.Module):
    """Four 3x3 convolutions and one 1x1 to a channel in [0, 1]."""

    def setup(self) -> None:
        self.conv1, self.conv2 = BranchConv(256), ReflectConv(128)
        self.conv3, self.conv4 = ReflectConv(64), ReflectConv(32)
        self.conv5 = PointwiseConv(1, use_bias=True)

    def __call__(self, latent: Branches) -> Float[Array, "*B H W 1"]:
        x = activate(self.conv1(latent))
        for layer in (self.conv2, self.conv3, self.conv4):
            x = activate(layer(x))
        return jnp.tanh(self.conv5(x)) / 2 + 0.5


class PIAFusionNetwork(nn.Module):
    """Both networks of a checkpoint: ``encode`` the two sources, ``decode`` their features side by side."""

    def setup(self) -> None:
        self.encoder = Encoder()
        self.decoder = Decoder()

    def encode(self, sources: Float[Array, "2 *B H W 1"]) -> Float[Array, "2 *B H W 128"]:
        return self.encoder(sources)

    def decode(self, latent: Branches) -> Float[Array, "*B H W 1"]:
        return self.decoder(latent)

    def __call__(self, sources: Float[Array, "2 *B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode({"maps": self.encode(sources), "used": jnp.array([True, True])})


@dataclass(frozen=True)
class PIAFusion(NetworkModel):
    """PIAFusion as a fusion model of a grey visible and an infrared image, in this order."""

    network: nn.Module = field(default_factory=PIAFusionNetwork)

    facts = Facts(rule="concatenation", independent=False)

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> Float[Array, "M H W 128"]:
        """Features of both branches.

        Raises:
            InputError: There are not two sources.
        """
        if len(sources) != len(ROLES):
            raise InputError(f"piafusion has two branches, {' and '.join(ROLES)}; got {len(sources)} sources")
        return super().encode(variables, sources)

    def merge(self, features: Float[Array, "2 H W 128"], weights: Float[Array, "2 ... 1"] | None = None) -> Branches:
        """The branches side by side, each times its weight times 2."""
        if weights is None:
            return {"maps": features, "used": jnp.array([True, True])}
        return {"maps": self.facts.gain(2) * weights * features, "used": jnp.any(weights != 0, axis=(1, 2, 3))}


def _abstract(model: PIAFusion) -> Variables:
    return abstract_variables(model.network, jnp.zeros((2, 8, 8, 1)))


_PUBLISHED = replace(PAPER, scale=50.0)

SPEC = Spec(
    name="piafusion",
    title="PIAFusion (Tang et al., Information Fusion 2022)",
    build=PIAFusion,
    abstract=_abstract,
    presets={"default": {}},
    recipes={"default": _PUBLISHED, "published": _PUBLISHED, "vif": _PUBLISHED, "paper": PAPER},
    channels=1,
    origin="github.com/linklist2/PIAFusion_pytorch, the file pretrained/fusion_model_epoch_29.pth",
    licence="no licence file: convert your own copy",
    roles=ROLES,
    max_sources=2,
    static_rule="concatenation",
)
