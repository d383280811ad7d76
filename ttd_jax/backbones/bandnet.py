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
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import NetworkModel, abstract_variables
from ttd_jax.backbones.layers import ReplicateConv
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.bands import ENERGY_FLOOR, BandFeatures, merge_features
from ttd_jax.core.dominability import LOSS_FLOOR
from ttd_jax.core.model import Facts
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.conv import conv
from ttd_jax.ops.mosaic import assemble, in_strips, layout, take_apart
from ttd_jax.ops.noise import noise_levels
from ttd_jax.ops.pyramid import SMOOTH_REACH, collapse, depth, expand, gaussian_pyramid, reduce, smooth_inside

_LEVEL = 1 / 255
_LOWEST = 1e-6  # of an energy in a square root or a logarithm
_SMOOTH = 4  # pixels that a local mean costs on every side: an even number
CONTEXT = 2
"""Planes that tell the decision what is around a place in the source."""

_DEEPEST = 3  # bands further down are treated like this one, the last in the images of the training


def _activate(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return nn.leaky_relu(x, 0.1)


class Known(NamedTuple):
    """What is known of the sources, as mosaics of all bands.

    Attributes:
        images: The Gaussian pyramid of every source.
        levels: The next coarser level of each, enlarged.
        extremes: How much is clipped: 1 where all is white, -1 where all is black.
        depth: The band's number in quarters, at most that of the deepest that there is in training.
        share: White noise in the band, of that in the finest.
    """

    images: Float[Array, "M A B"]
    levels: Float[Array, "M A B"]
    extremes: Float[Array, "M A B"]
    depth: Float[Array, "A B"]
    share: Float[Array, "A B"]


class Judged(NamedTuple):
    """What is made of it.

    Attributes:
        components: Bands as they should be.
        kept: Local energy of the components.
        prior: What is added to the score of every source.
        sharpness: What scores are multiplied by.
    """

    components: Float[Array, "M a b"]
    kept: Float[Array, "M a b"]
    prior: Float[Array, "M a b"]
    sharpness: Float[Array, "a b"]


class ValidConv(nn.Module):
    """A 3x3 convolution where it needs no pixels beyond the map, and an activation.

    Attributes:
        features: Output channels.
        dilation: Pixels from tap to tap, and those that are lost on every side.
    """

    features: int
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H2 W2 {self.features}"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        y = conv(x, kernel, dilation=self.dilation)
        return _activate(y + self.param("bias", nn.initializers.zeros, (self.features,)))


class Component(nn.Module):
    """From what is known of one source to what stays of its band and what is around, at half the band's size inside.

    Attributes:
        channels: Width of the layers.
        dilations: Of those after the first.
    """

    channels: int
    dilations: tuple[int, ...]

    @property
    def reach(self) -> int:
        """Pixels by which the result is smaller on every side."""
        return 2 * (1 + sum(self.dilations))

    @nn.compact
    def __call__(
        self, fine: Sequence[Float[Array, "*B h w"]], coarse: Sequence[Float[Array, "*B h w"]]
    ) -> tuple[Float[Array, "*B a b"], ...]:
        """How much of the band goes, before a sigmoid; a correction; and ``CONTEXT`` planes for the decision.

        Args:
            fine: Planes that are seen pixel by pixel.
            coarse: Planes of which means of 2 x 2 pixels are seen.
        """
        seen = [_quarters(plane) for plane in fine]
        x = jnp.concatenate([*seen, *(jnp.mean(_quarters(p), axis=-1, keepdims=True) for p in coarse)], axis=-1)
        x = ValidConv(self.channels, name="entrance")(x)
        for i, dilation in enumerate(self.dilations):
            x = inside(x, dilation, (-3, -2)) + ValidConv(self.channels, dilation, name=f"block_{i}")(x)
        start = nn.initializers.variance_scaling(0.02, "fan_in", "normal")
        x = nn.Dense(4 * (2 + CONTEXT), kernel_init=start, name="head")(x)
        removed, *others = (_whole(x[..., i : i + 4]) for i in range(0, x.shape[-1], 4))
        return removed - 3, *others


class Decision(nn.Module):
    """From what is known of the sources at a place to a prior for each, and the sharpness of the choice there."""

    hidden: int

    @nn.compact
    def __call__(self, facts: Sequence[Float[Array, "M h w"]]) -> tuple[Float[Array, "M h w"], Float[Array, "h w"]]:
        x = jnp.stack(facts)
        shape = x.shape[1:]
        x = x.reshape(len(x), -1)
        for name in ("first", "second"):
            x = _activate(self._layer(name, x, self.hidden, nn.initializers.lecun_normal()))
        start = nn.initializers.variance_scaling(0.005, "fan_in", "normal")
        sharpness, prior = self._layer("last", x, 2, start).reshape(2, *shape)
        return 3 * prior, jnp.exp(jnp.clip(jnp.mean(sharpness, axis=0), -2, 2))

    def _layer(self, name: str, x: Float[Array, "C N"], features: int, start) -> Float[Array, "K N"]:
        """Channels first, where planes are: nothing is put in another order."""
        kernel = self.param(f"{name}_kernel", start, (x.shape[0], features))
        return kernel.T @ x + self.param(f"{name}_bias", nn.initializers.zeros, (features,))[:, jnp.newaxis]


class Judge(nn.Module):
    """Components, priors and sharpness in all bands, of sources that are continued by ``reach`` pixels.

    Attributes:
        channels: Width of the layers that make components.
        dilations: Of those layers.
        hidden: Width of the layers that judge a place.
    """

    channels: int
    dilations: tuple[int, ...]
    hidden: int

    def setup(self):
        self.component = Component(self.channels, self.dilations)
        self.decision = Decision(self.hidden)

    def __call__(self, known: Known, low: Float[Array, " M"], median: Float[Array, " M"]) -> Judged:
        """Parts of mosaics, each smaller by ``reach``.

        Args:
            known: Mosaics.
            low: Noise of every source in the finest band, at most.
            median: Noise of every source there where something is to be seen.
        """
        band = known.images - known.levels
        others = _mean_other(band)
        moments = smooth_inside(jnp.stack([band * band, others * others, band * others]))
        moments = inside(moments, _SMOOTH - SMOOTH_REACH)
        component, *around = self._component(jax.tree.map(lambda a: inside(a, _SMOOTH), known), moments[0], low, median)
        band, known = (jax.tree.map(lambda a: inside(a, _SMOOTH + self._reach), x) for x in (band, known))
        kept, lost = smooth_inside(jnp.stack([jnp.square(component), jnp.square(band - component)]))
        kept, lost = (inside(x, _SMOOTH - SMOOTH_REACH) for x in (kept, lost))
        known, moments = jax.tree.map(lambda a: inside(a, _SMOOTH), known), inside(moments, self._reach + _SMOOTH)
        prior, sharpness = self._decision(known, moments, kept, lost, low, [inside(x, _SMOOTH) for x in around])
        return Judged(inside(component, _SMOOTH), kept, prior, sharpness)

    @property
    def _reach(self) -> int:
        return 2 * (1 + sum(self.dilations))

    def _component(self, known: Known, energy, low, median) -> tuple[Float[Array, "M a b"], ...]:
        """The band less what looks like noise, of which little goes where the source has none; and what is around."""
        band = known.images - known.levels
        low, median = (x[:, jnp.newaxis, jnp.newaxis] for x in (low, median))
        low_here, median_here = low * known.share, median * known.share
        removed, correction, *around = self.component(
            [band / jnp.sqrt(energy + jnp.square(low_here) + _LOWEST), _log_energy(energy)],
            [_log_noise(low_here), _log_noise(median_here), known.levels - 0.5, jnp.abs(known.extremes)],
        )
        noisy = low / (low + _LEVEL)
        band, low_here = (inside(x, self._reach) for x in (band, low_here))
        return band * (1 - noisy * nn.sigmoid(removed)) + 0.5 * low_here * noisy * correction, *around

    def _decision(self, known: Known, moments, kept, lost, low, around):
        """What is known at every place: energy kept and lost, agreement with the others, brightness, noise."""
        own, others, shared = moments
        level, energy = known.levels, jnp.log(kept + ENERGY_FLOOR)
        noise = _log_noise(low[:, jnp.newaxis, jnp.newaxis] * known.share)
        dark, bright = nn.relu(-known.extremes), nn.relu(known.extremes)
        return self.decision(
            [
                0.2 * energy + 1.5,
                0.3 * (energy - _highest_other(energy)),
                0.2 * jnp.log(lost + LOSS_FLOOR**2) + 1.5,
                shared / jnp.sqrt(own * others + 1e-10),
                level - 0.5,
                level - _mean_other(level),
                dark,
                bright,
                _mean_other(dark),
                _mean_other(bright),
                noise,
                _mean_other(noise),
                jnp.broadcast_to(known.depth, level.shape),
                *around,
                *map(_mean_other, around),
            ]
        )


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
        self.judge = Judge(self.channels, self.dilations, self.hidden)
        self.coarsest = Base(self.base)

    def encode(self, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        white, black = sources[..., 0] > 253.5 * _LEVEL, sources[..., 0] < 1.5 * _LEVEL
        clipped = white.astype(sources.dtype) - black
        pyramid = gaussian_pyramid(jnp.stack([sources[..., 0], clipped]), depth(*clipped.shape[1:]))
        images, extremes = [level[0] for level in pyramid], [level[1] for level in pyramid]
        enlarged = [expand(coarse, fine.shape[-2:]) for fine, coarse in pairwise(images)]
        bands = [fine - level for fine, level in zip(images[:-1], enlarged, strict=True)]
        finest = bands[0] if bands else images[0] - expand(reduce(images[0]), images[0].shape[-2:])
        low, median = noise_levels(finest, 1 - jnp.abs(clipped))
        judged = self._judged(images, enlarged, extremes, low, median) if bands else ((), (), (), ())
        components, energies, priors, sharpness = judged
        carried = jnp.zeros_like(images[0])
        for k, kept in enumerate(energies):
            carried = reduce(kept if k == 0 else carried + kept)
        prior = self._coarsest(images[-1], carried, extremes[-1], low)
        even = jnp.ones(prior.shape[1:])
        return BandFeatures((*components, images[-1]), (*bands, images[-1]), (*priors, prior), (*sharpness, even))

    def _judged(self, images, enlarged, extremes, low, median) -> tuple[tuple[Array, ...], ...]:
        """The parts of ``Judged``, each band by band, by way of one mosaic of all."""
        margin = 2 * _SMOOTH + 2 * (1 + sum(self.dilations))
        at = layout([level.shape[-2:] for level in enlarged], margin)
        everywhere = [jnp.ones(size) for size in at.sizes]
        planes = [jnp.stack(parts) for parts in zip(images[:-1], enlarged, extremes[:-1], strict=True)]
        numbers = [jnp.stack([0.25 * min(k, _DEEPEST) * one, _share(k) * one]) for k, one in enumerate(everywhere)]
        known = Known(*assemble(planes, at), *assemble(numbers, at))
        if self.is_initializing():
            judged = self.judge(known, low, median)
        else:
            judge, variables = self.judge.clone(parent=None), self.judge.variables
            judged = in_strips(lambda part: judge.apply(variables, part, low, median), known, margin)
        return tuple(take_apart(mosaic, at) for mosaic in judged)

    def decode(self, bands: Sequence[Float[Array, "_ _"]]) -> Float[Array, "H W 1"]:
        return collapse(bands)[..., jnp.newaxis]

    def __call__(self, sources: Float[Array, "M H W 1"]) -> Float[Array, "H W 1"]:
        return self.decode([jnp.mean(band, axis=0) for band in self.encode(sources).bands])

    def _coarsest(self, level, carried, extreme, low) -> Float[Array, "M h w"]:
        every, others, energy = jnp.ones_like(level), _mean_other(level), jnp.log(carried + _LOWEST)
        dark, bright = nn.relu(-extreme), nn.relu(extreme)
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
                _log_noise(low)[:, jnp.newaxis, jnp.newaxis] * every,
            ]
        )


NOISE_IN_BAND = (1.0, 0.30, 0.115, 0.055, 0.028, 0.014, 0.007, 0.0035, 0.0018, 0.0009)
"""Standard deviation of white noise in each band, of that in the finest: it halves with every level."""


def _share(k: int) -> float:
    return NOISE_IN_BAND[min(k, len(NOISE_IN_BAND) - 1)]


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


def inside(x: Float[Array, "..."], margin: int, axes: tuple[int, int] = (-2, -1)) -> Float[Array, "..."]:
    """Less ``margin`` pixels on every side."""
    for axis in axes:
        x = lax.slice_in_dim(x, margin, x.shape[axis] - margin, axis=axis)
    return x


def _quarters(x: Float[Array, "*B h w"]) -> Float[Array, "*B h2 w2 4"]:
    """Squares of 2 x 2 pixels as four channels."""
    *lead, height, width = x.shape
    squares = x.reshape(*lead, height // 2, 2, width // 2, 2)
    return jnp.moveaxis(squares, -3, -2).reshape(*lead, height // 2, width // 2, 4)


def _whole(quarters: Float[Array, "*B h2 w2 4"]) -> Float[Array, "*B h w"]:
    *lead, height, width, _ = quarters.shape
    squares = quarters.reshape(*lead, height, width, 2, 2)
    return jnp.swapaxes(squares, -3, -2).reshape(*lead, 2 * height, 2 * width)


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
    presets={"general": {"channels": 24, "dilations": (1, 2, 1), "hidden": 24, "base": 16}},
    recipes={
        **dict.fromkeys(("default", "vif", "medical", "exposure", "focus"), WEIGHTING),
        "paper": PAPER,
    },
    channels=1,
    static_rule="mean",
    origin="trained by ttd-jax train general",
    licence="Apache-2.0",
)
