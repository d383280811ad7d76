"""Energy-weighted pyramids: fusion without a network (after Burt and Kolczynski, ICCV 1993).

In every band of a Laplacian pyramid a source counts by its local energy to the fourth power; the coarsest level is
averaged. It is what :class:`~ttd_jax.core.weighting.LossWeighting` by band does to a network that leaves its sources as
they are: the components equal the sources, so there is no loss, and explained energy is energy. It takes milliseconds
and no parameters: an honest baseline, and a preview.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.spec import Spec
from ttd_jax.core.bands import BandFeatures, merge_features
from ttd_jax.core.model import Facts, FusionModel, Variables
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.pyramid import collapse, depth, laplacian_pyramid


@dataclass(frozen=True)
class Pyramid(FusionModel):
    """Bands of the sources as they are; the static rule is the mean."""

    facts = Facts(rule="mean", by_band=True)

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        """The bands of every source, as many as the image has."""
        del variables
        bands = laplacian_pyramid(sources[..., 0], depth(*sources.shape[1:3]))
        prior, sharpness = (jnp.zeros((len(sources), 1, 1)),) * len(bands), (jnp.ones((1, 1)),) * len(bands)
        return BandFeatures(bands, bands, prior, sharpness)

    def merge(self, features: BandFeatures, weights: Any = None) -> tuple[Float[Array, "_ _"], ...]:
        """The weighted sum of the sources, band by band."""
        return merge_features(features, weights)

    def decode(self, variables: Variables, latent: Sequence[Float[Array, "_ _"]]) -> Float[Array, "H W 1"]:
        """The image that the bands add up to."""
        del variables
        return collapse(latent)[..., jnp.newaxis]


MODEL = Pyramid()

WEIGHTING = replace(PAPER, bands="all", saliency=4.0, scale=0.0, form="log")
"""Energy to the fourth power, and no loss."""


def _no_variables(model: Pyramid) -> dict[str, Any]:
    del model
    return {}


SPEC = Spec(
    name="pyramid",
    title="energy-weighted pyramid (after Burt and Kolczynski, ICCV 1993)",
    build=Pyramid,
    abstract=_no_variables,
    presets={"energy": {}},
    recipes={"default": WEIGHTING, "paper": PAPER},
    channels=1,
    static_rule="mean",
    origin="it has no parameters",
    licence="Apache-2.0",
    parameters=False,
)
