"""BandNet: one small network for every band of a pyramid, any number of sources.

Every source is decoded alone, band by band: a component is the band with what looks like noise taken out, so that its
loss is what the source should not have had, and its energy what it explains. The fused image is the sum of bands that
are weighted sums of the components; so it can neither repaint brightness nor invent structure, and before any training
it is the energy-weighted pyramid. Besides components the network gives every place of every band a prior for each
source and a sharpness for all, from what can be seen there of the sources side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import NetworkModel, abstract_variables
from ttd_jax.backbones.layers import ReplicateConv
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.bands import ENERGY_FLOOR, BandFeatures, merge_features
from ttd_jax.core.dominability import LOSS_FLOOR
from ttd_jax.core.model import Facts
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.noise import noise_levels
from ttd_jax.ops.pyramid import collapse, depth, expand, gaussian_pyramid, reduce, smooth

_LEVEL = 1 / 255
_LOWEST = 1e-6  # of an energy in a square root or a logarithm
_DEEPEST = 3  # bands further down are treated like this one, the last in the images of the training


def _activate(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return nn.leaky_relu(x, 0.1)


class Component(nn.Module):
    """From what is known of one source in a band to what stays of the band, at half the band's size inside.

    Attributes:
        channels: Width of the layers.
        dilations: Of those between the first and the last.
    """

    channels: int
    dilations: tuple[int, ...]

    @nn.compact
    def __call__(self, planes: Sequence[Float[Array, "*B h w"]]) -> tuple[Float[Array, "*B h w"], ...]:
        """Two planes: how much of the band goes, before a sigmoid, and a correction."""
        size = planes[0].shape[-2:]
        x = jnp.concatenate([_quarters(plane) for plane in planes], axis=-1)
        x = _activate(ReplicateConv(self.channels, name="entrance")(x))
        for i, dilation in enumerate(self.dilations):
            x = x + _activate(ReplicateConv(self.channels, dilation=dilation, name=f"block_{i}")(x))
        start = nn.initializers.variance_scaling(0.0025, "fan_in", "normal")
        x = ReplicateConv(8, kernel_init=start, name="head")(x)
        removed, correction = _whole(x[..., :4], size), _whole(x[..., 4:], size)
        return removed - 3, correction


class Decision(nn.Module):
    """From what is known of the sources at a place to the sharpness of the choice there, and a prior for each."""

    hidden: int

    @nn.compact
    def __call__(self, facts: Sequence[Float[Array, "M h w"]]) -> tuple[Float[Array, "h w"], Float[Array, "M h w"]]:
        x = jnp.stack(facts, axis=-1)
        x = _activate(nn.Dense(self.hidden, name="first")(x))
        x = _activate(nn.Dense(self.hidden, name="second")(x))
        start = nn.initializers.variance_scaling(0.005, "fan_in", "normal")
        x = nn.Dense(2, kernel_init=start, name="last")(x)
        return jnp.exp(jnp.clip(jnp.mean(x[..., 0], axis=0), -2, 2)), 3 * x[..., 1]


class Base(nn.Module):
    """From what is known of the sources at the coarsest level to a prior for each."""

    channels: int

    @nn.compact
    def __call__(self, facts: Sequence[Float[Array, "M h w"]]) -> Float[Array, "M h w"]:
        x = jnp.stack(facts, axis=-1)
        x = _activate(ReplicateConv(self.channels, name="first")(x))
        x = _activate(ReplicateConv(self.channels, name="second")(x))
        start = nn.initializers.variance_scaling(0.0025, "fan_in", "normal")
        return 4 * ReplicateConv(1, kernel_init=start, name="last")(x)[..., 0]


class BandNetwork(nn.Module):
    """The network: ``encode`` sources to components and priors by band, ``decode`` bands to an image.

    Attributes:
        channels: Width of the layers that make components.
        dilations: Of those layers.
        hidden: Width of the layers that judge a place.
        base: Width of those that judge the coarsest level.
    """

    channels: int
    dilations: tuple[int, ...]
    hidden: int
    base: int

    def setup(self):
        self.component = Component(self.channels, self.dilations)
        self.decision = Decision(self.hidden)
        self.coarsest = Base(self.base)

    def encode(self, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        images = sources[..., 0]
        levels = depth(*images.shape[-2:])
        black, white = (images < 1.5 * _LEVEL).astype(images.dtype), (images > 253.5 * _LEVEL).astype(images.dtype)
        pyramid = gaussian_pyramid(jnp.stack([images, black, white]), levels)
        levels_of = [expand(coarse[0], fine.shape[-2:]) for fine, coarse in pairwise(pyramid)]
        finest = images - (levels_of[0] if levels else expand(reduce(images), images.shape[-2:]))
        low, median = noise_levels(finest, 1 - jnp.maximum(black, white))
        noisy = (median / (median + 0.5 * _LEVEL))[:, jnp.newaxis, jnp.newaxis]
        components, prior, sharpness, carried = [], [], [], jnp.zeros_like(images)
        for k, level in enumerate(levels_of):
            image, dark, bright = pyramid[k]
            band = image - level
            rest = _mean_other(band)
            around = smooth(jnp.stack([band * band, rest * rest, band * rest]))
            noise = [_noise_in_band(x, k)[:, jnp.newaxis, jnp.newaxis] for x in (low, median)]
            component = self._component(band, around[0], level, dark + bright, noise, noisy)
            kept, lost = smooth(jnp.stack([jnp.square(component), jnp.square(band - component)]))
            sharp, preferred = self._decision(k, around, kept, lost, level, dark, bright, noise[1])
            components.append(component)
            sharpness.append(sharp)
            prior.append(preferred)
            carried = reduce(kept if k == 0 else carried + kept)
        image, dark, bright = pyramid[-1]
        prior.append(self._coarsest(image, carried, dark, bright, median))
        sharpness.append(jnp.ones(image.shape[1:]))
        return BandFeatures((*components, image), tuple(prior), tuple(sharpness))

    def decode(self, bands: Sequence[Float[Array, "_ _"]]) -> Float[Array, "H W 1"]:
        return collapse(bands)[..., jnp.newaxis]

    def __call__(self, sources: Float[Array, "M H W 1"]) -> Float[Array, "H W 1"]:
        return self.decode([jnp.mean(band, axis=0) for band in self.encode(sources).bands])

    def _component(self, band, energy, level, clipped, noise, noisy) -> Float[Array, "M h w"]:
        """The band less what looks like noise; little can go where the source has none."""
        low, median = noise
        every = jnp.ones_like(band)
        removed, correction = self.component(
            [
                band / jnp.sqrt(energy + jnp.square(low) + _LOWEST),
                _log_energy(energy),
                _log_noise(low) * every,
                _log_noise(median) * every,
                level - 0.5,
                clipped,
            ]
        )
        return band * (1 - noisy * nn.sigmoid(removed)) + 0.5 * median * noisy * correction

    def _decision(self, k, around, kept, lost, level, dark, bright, noise):
        """What is known at every place: energy kept and lost, agreement with the others, brightness, noise."""
        own, others, shared = around
        every, energy = jnp.ones_like(level), jnp.log(kept + ENERGY_FLOOR)
        agreement = shared / jnp.sqrt(own * others + 1e-10)
        return self.decision(
            [
                0.2 * energy + 1.5,
                0.3 * (energy - _highest_other(energy)),
                0.2 * jnp.log(lost + LOSS_FLOOR**2) + 1.5,
                agreement,
                level - 0.5,
                level - _mean_other(level),
                dark,
                bright,
                _mean_other(dark),
                _mean_other(bright),
                _log_noise(noise) * every,
                _mean_other(_log_noise(noise)) * every,
                0.25 * min(k, _DEEPEST) * every,
            ]
        )

    def _coarsest(self, level, carried, dark, bright, noise) -> Float[Array, "M h w"]:
        every = jnp.ones_like(level)
        others = _mean_other(level)
        energy = jnp.log(carried + _LOWEST)
        x, y = (image - jnp.mean(image, axis=(-2, -1), keepdims=True) for image in (level, others))
        product, squares = (jnp.mean(z, axis=(-2, -1), keepdims=True) for z in (x * y, jnp.stack([x * x, y * y])))
        agreement = product / jnp.sqrt(squares[0] * squares[1] + 1e-8)
        return self.coarsest(
            [
                level - 0.5,
                level - others,
                _highest_other(level) - 0.5,
                0.2 * energy + 1.5,
                0.3 * (energy - _highest_other(energy)),
                dark,
                bright,
                _mean_other(dark),
                _mean_other(bright),
                agreement * every,
                _log_noise(noise)[:, jnp.newaxis, jnp.newaxis] * every,
            ]
        )


NOISE_IN_BAND = (1.0, 0.30, 0.115, 0.055, 0.028, 0.014, 0.007, 0.0035, 0.0018, 0.0009)
"""Standard deviation of white noise in each band, of that in the finest: it halves with every level."""


def _noise_in_band(finest: Float[Array, " M"], k: int) -> Float[Array, " M"]:
    return finest * NOISE_IN_BAND[min(k, len(NOISE_IN_BAND) - 1)]


def _log_energy(energy: Float[Array, "..."]) -> Float[Array, "..."]:
    return 0.2 * jnp.log(energy + _LOWEST) + 1.5


def _log_noise(noise: Float[Array, "..."]) -> Float[Array, "..."]:
    return 0.4 * jnp.log(noise + 1e-4) + 2


def _mean_other(x: Float[Array, "M ..."]) -> Float[Array, "M ..."]:
    return (jnp.sum(x, axis=0) - x) / (len(x) - 1)


def _highest_other(x: Float[Array, "M ..."]) -> Float[Array, "M ..."]:
    first, second = x[0], jnp.full_like(x[0], -jnp.inf)
    for y in x[1:]:
        first, second = jnp.maximum(first, y), jnp.maximum(second, jnp.minimum(first, y))
    return jnp.where(x >= first, second, first)


def _quarters(x: Float[Array, "*B h w"]) -> Float[Array, "*B h2 w2 4"]:
    """Squares of 2 x 2 pixels as four channels, an odd side continued by its last pixels."""
    height, width = x.shape[-2:]
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, height % 2), (0, width % 2)], mode="edge")
    return jnp.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=-1)


def _whole(quarters: Float[Array, "*B h2 w2 4"], size: Sequence[int]) -> Float[Array, "*B h w"]:
    *lead, height, width, _ = quarters.shape
    squares = quarters.reshape(*lead, height, width, 2, 2)
    return jnp.swapaxes(squares, -3, -2).reshape(*lead, 2 * height, 2 * width)[..., : size[0], : size[1]]


@dataclass(frozen=True)
class BandNet(NetworkModel):
    """BandNet as a fusion model: one channel; the static rule is the mean of the components."""

    facts = Facts(rule="mean", independent=False, by_band=True)

    def merge(self, features: BandFeatures, weights=None) -> tuple[Float[Array, "_ _"], ...]:
        """The weighted sum of the components, band by band."""
        return merge_features(features, weights)


def build(channels: int = 24, dilations: tuple[int, ...] = (1, 2, 1), hidden: int = 24, base: int = 16) -> BandNet:
    """BandNet of a given width."""
    return BandNet(BandNetwork(channels, tuple(dilations), hidden, base))


def _abstract(model: BandNet):
    return abstract_variables(model.network, jnp.zeros((2, 32, 32, 1)))


WEIGHTING = replace(PAPER, bands="all", saliency=4.0, form="log")
"""How BandNet is trained: by band, explained energy to the fourth power over the loss."""

SPEC = Spec(
    name="bandnet",
    title="BandNet (this package): a component, a loss and weights in every band",
    build=build,
    abstract=_abstract,
    presets={"bands": {"channels": 24, "dilations": (1, 2, 1), "hidden": 24, "base": 16}},
    recipes={
        **dict.fromkeys(("default", "vif", "medical", "exposure", "focus"), WEIGHTING),
        "paper": PAPER,
    },
    channels=1,
    static_rule="mean",
    origin="trained by ttd-jax train general",
    licence="Apache-2.0",
)
