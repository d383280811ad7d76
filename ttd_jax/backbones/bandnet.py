"""BandNet: one small network for every band of a pyramid, any number of sources.

Every source is decoded alone, band by band: a component is the band with what looks like noise taken out, so that its
loss is what the source should not have had, and its energy what it explains. The fused image is the sum of bands that
are weighted sums of the components; so it can neither repaint brightness nor invent structure, and before any training
it is the energy-weighted pyramid. Besides components the network gives every place of every band a prior for each
source and a sharpness for all, from what can be seen there of the sources side by side.

What is made of flax is in :mod:`ttd_jax.backbones.bandnet_network`, which is imported where something is traced: a
program that was kept, in the next process, goes without.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.spec import Spec
from ttd_jax.core.bands import BandFeatures, merge_features
from ttd_jax.core.model import Facts, FusionModel, Variables
from ttd_jax.core.weighting import PAPER

if TYPE_CHECKING:
    from ttd_jax.backbones.bandnet_network import BandNetwork


@dataclass(frozen=True)
class BandNet(FusionModel):
    """BandNet as a fusion model: one channel; the static rule is the mean of the components.

    Attributes:
        channels: Width of the layers that make components.
        dilations: Of those layers.
        hidden: Width of the layers that judge a place.
        base: Width of those that judge the coarsest level.
        calm: How much less decided it is about the coarsest level of two sources that are alike, from 0 to 1.
    """

    channels: int
    dilations: tuple[int, ...]
    hidden: int
    base: int
    calm: float

    facts = Facts(rule="mean", independent=False, by_band=True, plain_code=True)

    @property
    def network(self) -> "BandNetwork":
        """The linen module."""
        from ttd_jax.backbones.bandnet_network import BandNetwork

        return BandNetwork(self.channels, self.dilations, self.hidden, self.base, self.calm)

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        """Components and priors of each source, band by band."""
        return self.network.apply(variables, sources, method="encode")

    def merge(self, features: BandFeatures, weights: Any = None) -> tuple[Float[Array, "_ _"], ...]:
        """The weighted sum of the components, band by band."""
        return merge_features(features, weights)

    def decode(self, variables: Variables, latent: Any) -> Float[Array, "H W 1"]:
        """The image that bands add up to."""
        return self.network.apply(variables, latent, method="decode")


def build(
    *,
    channels: int = 24,
    dilations: tuple[int, ...] = (1, 2, 1),
    hidden: int = 24,
    base: int = 24,
    calm: float = 0.0,
) -> BandNet:
    """BandNet of a given width.

    Args:
        channels: Width of the layers that make components.
        dilations: Of those layers.
        hidden: Width of the layers that judge a place.
        base: Width of those that weigh the coarsest level.
        calm: How much less decided it is about the coarsest level of two sources that are alike, from 0 to 1.
    """
    return BandNet(channels, tuple(dilations), hidden, base, calm)


def _abstract(model: BandNet) -> Variables:
    from ttd_jax.backbones.adapter import abstract_variables

    return abstract_variables(model.network, jnp.zeros((2, 32, 32, 1)))


WEIGHTING = replace(PAPER, bands="all", saliency=4.0, form="log")
"""How BandNet is trained: by band, explained energy to the fourth power over the loss."""

SPEC = Spec(
    name="bandnet",
    title="BandNet (this package): a component, a loss and weights in every band",
    build=build,
    abstract=_abstract,
    presets={"general": {"channels": 24, "dilations": (1, 2, 1), "hidden": 24, "base": 24, "calm": 0.5}},
    recipes={
        **dict.fromkeys(("default", "vif", "medical", "exposure", "focus"), WEIGHTING),
        "paper": PAPER,
    },
    channels=1,
    static_rule="mean",
    origin="trained by ttd-jax train general",
    licence="Apache-2.0",
)
