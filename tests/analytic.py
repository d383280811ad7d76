"""A fusion model whose every number can be worked out by hand."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from ttd_jax import Backbone, Facts, FusionModel, Spec
from ttd_jax.core.weighting import PAPER

SLOPE, OFFSET = 0.8, 0.1  # E(x) = 0.8 x + 0.1, so that black is not zero among the features
GAIN, BIAS = 1.5, -0.05  # D(z) = 1.5 z - 0.05, so that no component equals its source
MIX = 0.25  # what a mixing model adds of the sources' mean
MEAN, STD = 0.4, 0.5  # the network's input space


@dataclass(frozen=True)
class AnalyticModel(FusionModel):
    """Linear pointwise encoder and decoder around a sum, mean or maximum.

    Attributes:
        rule: ``"sum"`` (gain M), ``"mean"`` or ``"max"``.
        mixing: Whether ``encode`` adds a part of the sources' mean to each, as networks with cross attention do.
        extras: Whether a residual (a tenth of the reference) is added and the last step halves the image.
    """

    rule: str = "sum"
    mixing: bool = False
    extras: bool = False

    @property
    def facts(self):
        return Facts(rule=self.rule, independent=not self.mixing, normalize=normalize)

    def encode(self, variables, sources):
        features = variables["slope"] * sources + OFFSET
        return features + MIX * jnp.mean(sources, axis=0) if self.mixing else features

    def merge(self, features, weights=None):
        if weights is None:
            return {"sum": jnp.sum, "mean": jnp.mean, "max": jnp.max}[self.rule](features, axis=0)
        return jnp.sum(self.facts.gain(len(features)) * weights * features, axis=0)

    def decode(self, variables, latent):
        return GAIN * latent + BIAS

    def render(self, variables, latent, sources):
        image = self.decode(variables, latent)
        return (image + 0.1 * sources[0]) / 2 if self.extras else image


def normalize(image):
    return (image - MEAN) / STD


VARIABLES = {"slope": jnp.float32(SLOPE)}


def encode(x: np.ndarray) -> np.ndarray:
    """E, in NumPy."""
    return SLOPE * x + OFFSET


def decode(z: np.ndarray) -> np.ndarray:
    """D, in NumPy."""
    return GAIN * z + BIAS


def backbone(rule: str = "mean", **options) -> Backbone:
    """The model as ``fuse`` takes it; one channel."""
    recipes = {"default": replace(PAPER, scale=50.0), "paper": PAPER}
    return Backbone(Spec("analytic", AnalyticModel, recipes, **options), AnalyticModel(rule), VARIABLES)
