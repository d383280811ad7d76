"""The network of BandNet, which flax is imported for: from sources to components and priors in every band."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.bandnet_component import activate
from ttd_jax.backbones.bandnet_finest import band_of, clipping, energy_of_finest, halved, judge_finest, noise_of_finest
from ttd_jax.backbones.bandnet_layers import (
    LOWEST,
    Judge,
    Judged,
    Known,
    log_energy,
    log_noise,
)
from ttd_jax.backbones.layers import ReplicateConv
from ttd_jax.core.bands import BandFeatures
from ttd_jax.ops.mosaic import assemble, in_tiles, layout, take_apart
from ttd_jax.ops.noise import noise_levels
from ttd_jax.ops.pyramid import collapse, depth, expand, finest_band, gaussian_pyramid, reduce, reduce_by_rows
from ttd_jax.ops.sources import highest_other, mean_other
from ttd_jax.ops.strips import is_large

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
        image, halvings = sources[..., 0], depth(*sources.shape[1:3])
        apart = halvings > 1 and is_large(image) and not self.is_initializing()  # the finest band, a tile at a time
        coarser = gaussian_pyramid(halved(image), halvings - 1) if halvings else ()
        images = [image, *(level[0] for level in coarser)]
        extremes = [clipping(image), *(level[1] for level in coarser)]
        enlarged = [expand(coarse, fine.shape[-2:]) for fine, coarse in pairwise(images[apart:])]
        bands = [fine - level for fine, level in zip(images[apart:-1], enlarged, strict=True)]
        energies = [reduce(jnp.square(band)) for band in bands]
        if apart:
            energies = [energy_of_finest(image), *energies]
            low, median = noise_of_finest(image)
        else:
            low, median = noise_levels(bands[0] if bands else finest_band(image), 1 - jnp.abs(extremes[0]))
        finer = [jnp.zeros_like(image), *_structure_of_finer(energies, low)]
        wider = _spread(finer[apart:])
        judged: tuple[tuple[Array, ...], ...] = ((), (), (), ())
        if bands:
            planes = images[apart:-1], enlarged, extremes[apart:-1], finer[apart:-1], wider
            judged = self._judged(planes, low, median, finest=int(apart))
        if apart:
            judge, around = self._judge_of_part(low, median), (wider[0] + finer[1]) / 2
            first = judge_finest(judge, image, images[1], around, self.judge.margin, after=judged[1][0])
            judged = tuple((one, *others) for one, others in zip(first, judged, strict=True))
        components, kept, priors, sharpness = judged
        carried = jnp.zeros_like(image)
        for k, energy in enumerate(kept):
            carried = reduce_by_rows(energy) if k == 0 else reduce(carried + energy)
        if apart:
            bands = [band_of(image, images[1], after=carried), *bands]
        prior = self._coarsest(images[-1], carried, finer[-1], extremes[-1], low)
        even = jnp.ones(prior.shape[1:])
        return BandFeatures((*components, images[-1]), (*bands, images[-1]), (*priors, prior), (*sharpness, even))

    def _judged(
        self, planes: Sequence[Sequence[Array]], low: Array, median: Array, *, finest: int
    ) -> tuple[tuple[Array, ...], ...]:
        """The parts of ``Judged``, each band by band from ``finest`` on, by way of one mosaic of all.

        Args:
            planes: The first five of ``Known``, band by band.
            low: Noise, as the judge wants it.
            median: Likewise.
            finest: Number of the first band among them.
        """
        at = layout([level.shape[-2:] for level in planes[0]], self.judge.margin)
        everywhere = [(k, jnp.ones(size)) for k, size in enumerate(at.sizes, finest)]
        numbers = [jnp.stack([0.25 * min(k, _DEEPEST) * one, _share(k) * one]) for k, one in everywhere]
        if finest:  # of large images, one by one: less memory
            mosaics = [assemble(each, at) for each in planes]
        else:  # at once: less to compile
            mosaics = list(assemble([jnp.stack(level) for level in zip(*planes, strict=True)], at))
        known = Known(*mosaics, *assemble(numbers, at))
        if self.is_initializing():
            judged = self.judge(known, low, median)
        else:
            judged = in_tiles(self._judge_of_part(low, median), known, at.margin)
        return tuple(take_apart(mosaic, at) for mosaic in judged)

    def _judge_of_part(self, low: Array, median: Array) -> Callable[[Known], Judged]:
        judge, variables = self.judge.clone(parent=None), self.judge.variables
        return lambda part: judge.apply(variables, part, low, median)

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
    energies: Sequence[Float[Array, "M _ _"]], low: Float[Array, " M"]
) -> list[Float[Array, "M _ _"]]:
    """For every band but the finest and for the coarsest level, how much structure there is in the finer ones.

    It is the mean over those bands of the logarithm of their energy, that of noise taken off: a source that is sharp
    has some in all of them, while an edge between black and white has it in the coarse ones alone.

    Args:
        energies: Of every band, at half the size.
        low: Noise of every source in the finest band.
    """
    found: list[Array] = []
    for k, energy in enumerate(energies):
        noise = jnp.square(low * _share(k))[:, jnp.newaxis, jnp.newaxis]
        here = log_energy(nn.relu(energy - noise))
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
