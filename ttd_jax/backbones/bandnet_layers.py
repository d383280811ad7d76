"""What BandNet does the same in every band: from what is known of the sources to components, priors and sharpness.

All of it works on mosaics (:mod:`ttd_jax.ops.mosaic`) and needs no pixels beyond them: each step takes some pixels off
every side.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.backbones.bandnet_component import Component, activate, inside, reach
from ttd_jax.core.bands import ENERGY_FLOOR
from ttd_jax.core.dominability import LOSS_FLOOR
from ttd_jax.ops.mosaic import in_tiles
from ttd_jax.ops.pyramid import SMOOTH_REACH, smooth_inside
from ttd_jax.ops.sources import highest_other, mean_other

LEVEL = 1 / 255
"""One level of 8 bits."""

LOWEST = 1e-6
"""Least energy in a square root or a logarithm."""

DECISION_PIXELS = 1 << 16
"""Pixels of all sources that are judged at a time: what is between their facts and the decision stays in the cache."""

_SMOOTH = 4  # pixels that a local mean costs on every side: an even number


class Known(NamedTuple):
    """What is known of the sources, as mosaics of all bands.

    Attributes:
        images: The Gaussian pyramid of every source.
        levels: The next coarser level of each, enlarged.
        extremes: How much is clipped: 1 where all is white, -1 where all is black.
        finer: How much structure there is in the finer bands.
        wider: How much structure there is around.
        number: The band's, in quarters and at most that of the deepest that there is in training.
        share: White noise in the band, of that in the finest.
    """

    images: Float[Array, "M A B"]
    levels: Float[Array, "M A B"]
    extremes: Float[Array, "M A B"]
    finer: Float[Array, "M A B"]
    wider: Float[Array, "M A B"]
    number: Float[Array, "A B"]
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


class Decision(nn.Module):
    """From what is known of the sources at a place to a prior for each, and the sharpness of the choice there."""

    hidden: int

    @nn.compact
    def __call__(self, facts: Sequence[Float[Array, "M h w"]]) -> tuple[Float[Array, "M h w"], Float[Array, "h w"]]:
        known = jnp.stack(facts)
        shape = known.shape[1:]
        x = known = known.reshape(len(known), -1)
        for name in ("first", "second"):
            x = activate(self._layer(name, [x], self.hidden, nn.initializers.lecun_normal()))
        start = nn.initializers.variance_scaling(0.005, "fan_in", "normal")
        sharpness, prior = self._layer("last", [x, known], 2, start).reshape(2, *shape)
        return 3 * prior, jnp.exp(jnp.clip(jnp.mean(sharpness, axis=0), -2, 2))

    def _layer(self, name: str, parts: Sequence[Float[Array, "_ N"]], features: int, start: Any) -> Float[Array, "K N"]:
        """Channels first, where planes are: nothing is put in another order, nor parts one after the other."""
        ends = np.cumsum([len(part) for part in parts])
        kernel = self.param(f"{name}_kernel", start, (int(ends[-1]), features))
        products = [rows.T @ part for rows, part in zip(jnp.split(kernel, ends[:-1]), parts, strict=True)]
        bias = self.param(f"{name}_bias", nn.initializers.zeros, (features,))
        return reduce(operator.add, products) + bias[:, jnp.newaxis]


class Judge(nn.Module):
    """Components, priors and sharpness in all bands, of sources that are continued by ``margin`` pixels.

    Attributes:
        channels: Width of the layers that make components.
        dilations: Of those layers.
        hidden: Width of the layers that judge a place.
    """

    channels: int
    dilations: tuple[int, ...]
    hidden: int

    @property
    def margin(self) -> int:
        """How far it sees: a local mean, the layers of the component, and a local mean of what they gave."""
        return 2 * _SMOOTH + reach(self.dilations)

    def setup(self) -> None:
        self.component = Component(self.channels, self.dilations)
        self.decision = Decision(self.hidden)

    def __call__(self, known: Known, low: Float[Array, " M"], median: Float[Array, " M"]) -> Judged:
        """Parts of mosaics, each smaller by ``margin`` on every side.

        Args:
            known: Mosaics.
            low: Noise of every source in the finest band, at most.
            median: Noise of every source there where something is to be seen.
        """
        band = known.images - known.levels
        others = mean_other(band)
        moments = smooth_inside(jnp.stack([band * band, others * others, band * others]))
        moments = inside(moments, _SMOOTH - SMOOTH_REACH)
        component, *around = self._component(jax.tree.map(lambda a: inside(a, _SMOOTH), known), moments[0], low, median)
        band, known = (jax.tree.map(lambda a: inside(a, _SMOOTH + reach(self.dilations)), x) for x in (band, known))
        kept, lost = smooth_inside(jnp.stack([jnp.square(component), jnp.square(band - component)]))
        kept, lost = (inside(x, _SMOOTH - SMOOTH_REACH) for x in (kept, lost))
        known, moments = (
            jax.tree.map(lambda a: inside(a, _SMOOTH), known),
            inside(moments, reach(self.dilations) + _SMOOTH),
        )
        seen = known, moments, kept, lost, [inside(x, _SMOOTH) for x in around]
        if self.is_initializing():
            prior, sharpness = self._decision(self.decision, low, *seen)
        else:
            decision, variables = self.decision.clone(parent=None), self.decision.variables
            decide = partial(decision.apply, variables)
            prior, sharpness = in_tiles(
                lambda part: self._decision(decide, low, *part), seen, 0, pixels=DECISION_PIXELS
            )
        return Judged(inside(component, _SMOOTH), kept, prior, sharpness)

    def _component(self, known: Known, energy: Array, low: Array, median: Array) -> tuple[Float[Array, "M a b"], ...]:
        """The band less what looks like noise, of which little goes where the source has none; and what is around."""
        band = known.images - known.levels
        low, median = (x[:, jnp.newaxis, jnp.newaxis] for x in (low, median))
        low_here, median_here = low * known.share, median * known.share
        removed, correction, *around = self.component(
            [band / jnp.sqrt(energy + jnp.square(low_here) + LOWEST), log_energy(energy)],
            [log_noise(low_here), log_noise(median_here), known.levels - 0.5, jnp.abs(known.extremes)],
        )
        noisy = low / (low + LEVEL)
        band, low_here = (inside(x, reach(self.dilations)) for x in (band, low_here))
        return band * (1 - noisy * nn.sigmoid(removed)) + 0.5 * low_here * noisy * correction, *around

    def _decision(
        self,
        decide: Callable[..., Any],
        low: Array,
        known: Known,
        moments: Array,
        kept: Array,
        lost: Array,
        around: Sequence[Array],
    ) -> tuple[Array, Array]:
        """What is known at every place: energy kept and lost, agreement with the others, brightness, noise."""
        own, others, shared = moments
        level, energy = known.levels, jnp.log(kept + ENERGY_FLOOR)
        noise = log_noise(low[:, jnp.newaxis, jnp.newaxis] * known.share)
        dark, bright = nn.relu(-known.extremes), nn.relu(known.extremes)
        return decide(
            [
                0.2 * energy + 1.5,
                0.3 * (energy - highest_other(energy)),
                0.2 * jnp.log(lost + LOSS_FLOOR**2) + 1.5,
                known.finer,
                known.finer - highest_other(known.finer),
                known.wider,
                known.wider - highest_other(known.wider),
                shared / jnp.sqrt(own * others + 1e-10),
                level - 0.5,
                level - mean_other(level),
                dark,
                bright,
                mean_other(dark),
                mean_other(bright),
                noise,
                mean_other(noise),
                jnp.broadcast_to(known.number, level.shape),
                *around,
                *map(mean_other, around),
            ]
        )


def log_energy(energy: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithm of an energy, about -1 to 1."""
    return 0.2 * jnp.log(energy + LOWEST) + 1.5


def log_noise(noise: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithm of a standard deviation, about -1 to 1."""
    return 0.4 * jnp.log(noise + 1e-4) + 2
