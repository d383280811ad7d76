"""TTDNet, the network in the package: small, local, made so that one source alone is decoded meaningfully.

Encoding gives each source's pixels and learned features, and the squares of both. The static rule is the mean, so a
latent holds the first two moments over the sources, from which the decoder has mean and spread: it sees where the
sources disagree, and by how much, whatever their number and order. One source alone has no spread, which tells the
decoder that it makes a component. The decoder adds a correction to the mean image, so the reconstruction loss of a
component is the size of the correction that its source asks for. The correction is an amount times a direction: how
deficient a source is can be learned before how to mend it.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel, abstract_variables
from ttd_jax.backbones.layers import ReplicateConv
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts
from ttd_jax.core.weighting import PAPER
from ttd_jax.options import Rule

Moments: TypeAlias = dict[str, Array]
"""``first`` and ``second`` moments (..., H, W, 1 + K): of the image, then of K features."""

Latent: TypeAlias = dict[str, Array]
"""Merged moments, and the ``mixture`` (..., H, W, 1)."""


class DilatedBlock(nn.Module):
    """A residual 3x3 convolution with dilation, replicate padding and leaky ReLU."""

    channels: int
    dilation: int

    def setup(self):
        self.conv = ReplicateConv(self.channels, dilation=self.dilation)

    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
        return x + nn.leaky_relu(self.conv(x), 0.1)


class TTDNetwork(nn.Module):
    """The network: ``encode`` an image to moments of itself and of its features, ``decode`` merged moments to an image.

    Attributes:
        channels: Width of the blocks; half of them are kept as features.
        encoder: Dilations of the encoder's blocks.
        decoder: Dilations of the decoder's blocks.
    """

    channels: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]

    def setup(self):
        self.stem = ReplicateConv(self.channels)
        self.encoder_blocks = [DilatedBlock(self.channels, d) for d in self.encoder]
        self.bottleneck = nn.Conv(self.channels // 2, (1, 1))
        self.entrance = ReplicateConv(self.channels)
        self.decoder_blocks = [DilatedBlock(self.channels, d) for d in self.decoder]
        self.head = ReplicateConv(2)

    def encode(self, image: Float[Array, "*B H W 1"]) -> Moments:
        features = nn.leaky_relu(self.stem(image - 0.5), 0.1)
        for block in self.encoder_blocks:
            features = block(features)
        first = jnp.concatenate([image, self.bottleneck(features)], axis=-1)
        return {"first": first, "second": first**2}

    def decode(self, latent: Latent) -> Float[Array, "*B H W 1"]:
        mean = latent["first"]
        variance = jnp.maximum(latent["second"] - mean**2, 0)
        spread = jnp.sqrt(variance + 1e-4) - 1e-2
        features = jnp.concatenate([mean, spread, latent["mixture"]], axis=-1)
        features = nn.leaky_relu(self.entrance(features), 0.1)
        for block in self.decoder_blocks:
            features = block(features)
        amount, direction = jnp.split(self.head(features), 2, axis=-1)
        return mean[..., :1] + nn.sigmoid(amount - 3) * direction

    def __call__(self, image: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode(self.encode(image) | {"mixture": jnp.zeros_like(image)})


@dataclass(frozen=True)
class TTDNet(RuleModel):
    """TTDNet as a fusion model: one channel, mean rule."""

    rule: Rule = "mean"

    @property
    def facts(self) -> Facts:
        """It looks as far as the sum of the dilations, one for the stem, and two for the decoder's outer layers."""
        return Facts(rule=self.rule, halo=(1 + sum(self.network.encoder), 2 + sum(self.network.decoder)))

    def merge(self, features: Moments, weights: Float[Array, "M H W 1"] | None = None) -> Latent:
        r"""Weighted moments, and the mixture :math:`1 - \sum_m w_m^2`: 0 for one source alone, 1 - 1/M for the mean."""
        mean = features["first"][..., :1]
        if weights is None:
            weights = jnp.full(mean.shape, 1 / len(mean))
        mixture = jnp.broadcast_to(1 - jnp.sum(weights**2, axis=0), mean.shape[1:])
        return super().merge(features, weights) | {"mixture": mixture}


def build(
    channels: int = 32, encoder: tuple[int, ...] = (1, 2, 4), decoder: tuple[int, ...] = (2, 1), rule: Rule = "mean"
) -> TTDNet:
    """TTDNet of a given width, and dilations of its blocks."""
    return TTDNet(TTDNetwork(channels, tuple(encoder), tuple(decoder)), rule)


def _abstract(model: TTDNet):
    return abstract_variables(model.network, jnp.zeros((1, 8, 8, 1)))


WEIGHTING = replace(PAPER, loss="l1", scale=2.0, form="log", smoothing=2.0)
"""How TTDNet is trained: weights by the inverse square of the smoothed l1 losses."""

SPEC = Spec(
    name="ttdnet",
    title="TTDNet (this package): residual, local, trained on components",
    build=build,
    abstract=_abstract,
    presets={"general": {"channels": 32, "encoder": (1, 2, 4), "decoder": (2, 1), "rule": "mean"}},
    recipes={
        **dict.fromkeys(("default", "vif", "medical", "exposure"), WEIGHTING),
        "focus": replace(WEIGHTING, scale=3.0),  # choose harder: docs/studies/recipes.md
        "paper": PAPER,
    },
    channels=1,
    static_rule="mean",
    origin="trained by ttd-jax train general",
    licence="Apache-2.0",
)
