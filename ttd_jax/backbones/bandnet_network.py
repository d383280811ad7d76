"""The network of BandNet, which flax is imported for: from sources to components and priors in every band."""

from collections.abc import Sequence
from itertools import pairwise

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.bandnet_layers import (
    LEVEL,
    LOWEST,
    Judge,
    Known,
    activate,
    log_energy,
    log_noise,
)
from ttd_jax.backbones.layers import ReplicateConv
from ttd_jax.core.bands import BandFeatures
from ttd_jax.ops.mosaic import assemble, in_tiles, layout, take_apart
from ttd_jax.ops.noise import noise_levels
from ttd_jax.ops.pyramid import collapse, depth, expand, gaussian_pyramid, reduce
from ttd_jax.ops.sources import highest_other, mean_other

_DEEPEST = 3  # bands further down are treated like this one, the last in the images of the training

NOISE_IN_BAND = (1.0, 0.30, 0.115, 0.055, 0.028, 0.014, 0.007, 0.0035, 0.0018, 0.0009)
"""Standard deviation of white noise in each band, of that in the finest: it halves with every level."""


class Base(nn.Module):
    """From what is known of the sources at the coarsest level to a prior for each."""

    channels: int

    @nn.compact
    def __call__(self, facts: Sequence[Float[Array, "M h w"]]) -> Float[Array, "M h w"]:
        known = jnp.stack(facts, axis=-1)
        x = activate(ReplicateConv(self.channels, name="first")(known))
        x = activate(ReplicateConv(self.channels, name="second")(x))
        x = jnp.concatenate([x, known], axis=-1)
        start = nn.initializers.variance_scaling(0.0025, "fan_in", "normal")
        return 4 * ReplicateConv(1, kernel_init=start, name="last")(x)[..., 0]


class BandNetwork(nn.Module):
    """The network: ``encode`` sources to components and priors by band, ``decode`` bands to an image.

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
    calm: float = 0.0

    def setup(self) -> None:
        self.judge = Judge(self.channels, self.dilations, self.hidden)
        self.coarsest = Base(self.base)

    def encode(self, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        white, black = sources[..., 0] > 253.5 * LEVEL, sources[..., 0] < 1.5 * LEVEL
        clipped = white.astype(sources.dtype) - black.astype(sources.dtype)
        pyramid = gaussian_pyramid(jnp.stack([sources[..., 0], clipped]), depth(*clipped.shape[1:]))
        images, extremes = [level[0] for level in pyramid], [level[1] for level in pyramid]
        enlarged = [expand(coarse, fine.shape[-2:]) for fine, coarse in pairwise(images)]
        bands = [fine - level for fine, level in zip(images[:-1], enlarged, strict=True)]
        finest = bands[0] if bands else images[0] - expand(reduce(images[0]), images[0].shape[-2:])
        low, median = noise_levels(finest, 1 - jnp.abs(clipped))
        finer = _structure_of_finer(images[0], bands, low)
        wider = _spread(finer)
        judged = self._judged(images, enlarged, extremes, finer, wider, low, median) if bands else ((), (), (), ())
        components, energies, priors, sharpness = judged
        carried = jnp.zeros_like(images[0])
        for k, kept in enumerate(energies):
            carried = reduce(kept if k == 0 else carried + kept)
        prior = self._coarsest(images[-1], carried, finer[-1], extremes[-1], low)
        even = jnp.ones(prior.shape[1:])
        return BandFeatures((*components, images[-1]), (*bands, images[-1]), (*priors, prior), (*sharpness, even))

    def _judged(
        self,
        images: Sequence[Array],
        enlarged: Sequence[Array],
        extremes: Sequence[Array],
        finer: Sequence[Array],
        wider: Sequence[Array],
        low: Array,
        median: Array,
    ) -> tuple[tuple[Array, ...], ...]:
        """The parts of ``Judged``, each band by band, by way of one mosaic of all."""
        at = layout([level.shape[-2:] for level in enlarged], self.judge.margin)
        everywhere = [jnp.ones(size) for size in at.sizes]
        numbers = [jnp.stack([0.25 * min(k, _DEEPEST) * one, _share(k) * one]) for k, one in enumerate(everywhere)]
        planes = (images[:-1], enlarged, extremes[:-1], finer[:-1], wider)
        known = Known(*(assemble(each, at) for each in planes), *assemble(numbers, at))  # one by one: less memory
        if self.is_initializing():
            judged = self.judge(known, low, median)
        else:
            judge, variables = self.judge.clone(parent=None), self.judge.variables
            judged = in_tiles(lambda part: judge.apply(variables, part, low, median), known, at.margin)
        return tuple(take_apart(mosaic, at) for mosaic in judged)

    def decode(self, bands: Sequence[Float[Array, "_ _"]]) -> Float[Array, "H W 1"]:
        return collapse(bands)[..., jnp.newaxis]

    def __call__(self, sources: Float[Array, "M H W 1"]) -> Float[Array, "H W 1"]:
        return self.decode([jnp.mean(band, axis=0) for band in self.encode(sources).bands])

    def _coarsest(
        self, level: Array, carried: Array, finer: Array, extreme: Array, low: Array
    ) -> Float[Array, "M h w"]:
        every, others, energy = jnp.ones_like(level), mean_other(level), jnp.log(carried + LOWEST)
        dark, bright = nn.relu(-extreme), nn.relu(extreme)
        x, y = (image - jnp.mean(image, axis=(-2, -1), keepdims=True) for image in (level, others))
        product, squares = (jnp.mean(z, axis=(-2, -1), keepdims=True) for z in (x * y, jnp.stack([x * x, y * y])))
        agreement = product / jnp.sqrt(squares[0] * squares[1] + 1e-8)
        prior = self.coarsest(
            [
                level - 0.5,
                level - others,
                highest_other(level) - 0.5,
                0.2 * energy + 1.5,
                0.3 * (energy - highest_other(energy)),
                finer,
                finer - highest_other(finer),
                dark,
                bright,
                mean_other(dark),
                mean_other(bright),
                agreement * every,
                log_noise(low)[:, jnp.newaxis, jnp.newaxis] * every,
            ]
        )
        return (1 - self.calm * 2 / len(level) * nn.relu(jnp.mean(agreement))) * prior


def _share(k: int) -> float:
    return NOISE_IN_BAND[min(k, len(NOISE_IN_BAND) - 1)]


def _structure_of_finer(
    image: Float[Array, "M H W"], bands: Sequence[Float[Array, "M _ _"]], low: Float[Array, " M"]
) -> list[Float[Array, "M _ _"]]:
    """For every band and the coarsest level, how much structure there is in the finer ones: 0 where there are none.

    It is the mean over those bands of the logarithm of their energy, that of noise taken off: a source that is sharp
    has some in all of them, while an edge between black and white has it in the coarse ones alone.
    """
    found = [jnp.zeros_like(image)]
    for k, band in enumerate(bands):
        noise = jnp.square(low * _share(k))[:, jnp.newaxis, jnp.newaxis]
        here = log_energy(nn.relu(reduce(jnp.square(band)) - noise))
        found.append(here if k == 0 else (k * reduce(found[-1]) + here) / (k + 1))
    return found


def _spread(finer: Sequence[Float[Array, "M _ _"]]) -> list[Float[Array, "M _ _"]]:
    """For every band, how much structure there is around: half from the next coarser place, and so on.

    So a flat place follows what is decided about its surroundings.
    """
    found, around = [], finer[-1]
    for here, coarser in reversed(list(pairwise(finer))):
        around = expand((around + coarser) / 2, here.shape[-2:])
        found.append(around)
    return found[::-1]
