"""DenseFuse (Li and Wu, IEEE TIP 2019): a densely connected encoder, a mean or the l1-norm rule, four layers out.

Trained to reconstruct single images, on 0 to 255: what the decoder makes of one source's features is close to that
source. Module names follow the state-dict keys of the authors' PyTorch checkpoint; all convolutions are 3x3 with
reflection padding and a ReLU, the last one too.
"""

from dataclasses import dataclass, field, replace

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel
from ttd_jax.backbones.layers import ReflectConv
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts, Variables
from ttd_jax.core.weighting import PAPER
from ttd_jax.options import Rule

LEVELS = 255.0
"""The brightest pixel as the network sees it."""


class DenseFuseNetwork(nn.Module):
    """The network on 0 to 255: ``encode`` to 64 channels, ``decode`` to the image."""

    def setup(self) -> None:
        self.conv1 = ReflectConv(16)
        self.dense = [ReflectConv(16) for _ in range(3)]
        self.conv2, self.conv3, self.conv4, self.conv5 = (ReflectConv(n) for n in (64, 32, 16, 1))

    def encode(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 64"]:
        x = nn.relu(self.conv1(x))
        for layer in self.dense:
            x = jnp.concatenate([x, nn.relu(layer(x))], axis=-1)
        return x

    def decode(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 1"]:
        for layer in (self.conv2, self.conv3, self.conv4, self.conv5):
            x = nn.relu(layer(x))
        return x

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode(self.encode(x))


@dataclass(frozen=True)
class DenseFuse(RuleModel):
    """DenseFuse as a fusion model of grey sources in [0, 1].

    Attributes:
        network: The linen module, whose variables a checkpoint has.
        rule: ``"mean"`` (the authors' strategy "addition", divided by two in their code) or ``"l1"``, their l1-norm
            strategy; sums and maxima are possible.
    """

    network: nn.Module = field(default_factory=DenseFuseNetwork)
    rule: Rule = "mean"

    @property
    def facts(self) -> Facts:
        """Four 3x3 layers in, four out; mirrored padding keeps a constant image constant."""
        return Facts(rule=self.rule, by_band=True, halo=(4, 4), constant_features=True, normalize=to_levels)

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> Float[Array, "M H W 64"]:
        """Features of each source."""
        return super().encode(variables, to_levels(sources))

    def decode(self, variables: Variables, latent: Float[Array, "H W 64"]) -> Float[Array, "H W 1"]:
        """The image of a latent, not negative; bright pixels may overshoot 1."""
        return super().decode(variables, latent) / LEVELS


def to_levels(image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
    """An image in [0, 1] on the network's scale, 0 to 255."""
    return image * LEVELS


_BY_BAND = replace(PAPER, loss="l1", form="log", bands="all", saliency=1.0)
"""From docs/studies/reconstruction.md; the default changes next to nothing and is computed in strips."""

SPEC = Spec(
    name="densefuse",
    title="DenseFuse (Li and Wu, IEEE TIP 2019)",
    build=DenseFuse,
    presets={"gray": {"rule": "mean"}},
    recipes={"default": PAPER, "vif": _BY_BAND, "paper": PAPER},
    static_rule="mean (the authors' addition), or rule='l1', their l1-norm rule",
    origin="github.com/hli1221/densefuse-pytorch, the file densefuse_gray.model",
    licence="no licence file: convert your own copy",
)
