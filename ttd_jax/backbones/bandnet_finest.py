"""BandNet's finest band where it is large: what is known of it is made a tile at a time, and never stored as a whole.

Of a pyramid's pixels three quarters are in its finest band, and a mosaic has seven planes. All seven follow from the
sources and from planes of half the size.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.bandnet_component import inside
from ttd_jax.backbones.bandnet_layers import LEVEL, Judged, Known
from ttd_jax.ops.mosaic import tiles
from ttd_jax.ops.noise import blocks_of, levels_of_blocks
from ttd_jax.ops.pyramid import expand, finest_band, reduce
from ttd_jax.ops.strips import by_rows, continued, is_large


def clipping(image: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    """1 where an image is white, -1 where it is black."""
    white, black = image > 253.5 * LEVEL, image < 1.5 * LEVEL
    return white.astype(image.dtype) - black.astype(image.dtype)


def halved(image: Float[Array, "M H W"]) -> Float[Array, "2 M h w"]:
    """The image and how much of it is clipped, both at half the size."""

    def both(rows: Array) -> Array:
        return reduce(jnp.stack([rows, clipping(rows)]))

    return by_rows(both, image, reach=2, unit=2) if is_large(image) else both(image)


def energy_of_finest(image: Float[Array, "M H W"]) -> Float[Array, "M h w"]:
    """The energy of the finest band, at half the size."""
    return by_rows(lambda rows: reduce(jnp.square(finest_band(rows))), image, reach=6, unit=2)


def noise_of_finest(image: Float[Array, "M H W"]) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """The noise levels in the finest band."""

    def blocks(rows: Array) -> tuple[Array, Array]:
        return blocks_of(finest_band(rows), 1 - jnp.abs(clipping(rows)))

    return levels_of_blocks(*by_rows(blocks, image, reach=8, unit=8))


def band_of(image: Float[Array, "M H W"], coarse: Float[Array, "M h w"], *, after: Array) -> Float[Array, "M H W"]:
    """The finest band.

    Args:
        image: The sources.
        coarse: The next coarser level of each.
        after: What is to be there before the first rows are begun.
    """

    def band(image: Array, coarse: Array) -> Array:
        return image - expand(coarse, image.shape[-2:])

    return by_rows(band, image, coarse, reach=2, unit=2, after=after)


def judge_finest(
    judge: Callable[[Known], Judged],
    image: Float[Array, "M H W"],
    coarse: Float[Array, "M h w"],
    around: Float[Array, "M h w"],
    margin: int,
    *,
    after: Array,
) -> Judged:
    """What the judge says of the finest band.

    Args:
        judge: From what is known to parts, ``margin`` pixels smaller on every side.
        image: The sources.
        coarse: The next coarser level of each.
        around: How much structure there is around, at half the size.
        margin: Pixels that the judge sees, even.
        after: What is to be there before the first tile is begun.
    """
    height, width = image.shape[1:]
    halves = jnp.stack([coarse, around])

    def tile(top: Any, left: Any, rows: int, columns: int) -> Judged:
        here, levels = image, halves
        for axis, first, count in ((-2, top - margin, rows), (-1, left - margin, columns)):
            here = continued(here, first, count + 2 * margin, axis=axis)
            levels = continued(levels, first // 2 - 1, count // 2 + margin + 2, axis=axis)
        levels = inside(expand(levels, [2 * n for n in levels.shape[-2:]]), 2)
        for axis, first, length in ((-2, top - margin, height), (-1, left - margin, width)):  # beyond: the outermost
            at = jnp.clip(first + jnp.arange(levels.shape[axis]), 0, length - 1) - first
            levels = jnp.take(levels, at, axis=axis, mode="clip")
        ones = jnp.ones(here.shape[-2:])
        known = Known(here, levels[0], clipping(here), jnp.zeros_like(here), levels[1], 0 * ones, ones)
        return judge(known)

    return tiles(tile, (height, width), len(image), margin, like=after)
