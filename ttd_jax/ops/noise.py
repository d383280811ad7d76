"""How noisy an image is, from the image alone."""

import jax.numpy as jnp
from jaxtyping import Array, Float

_BLOCK = 8


def noise_levels(
    finest: Float[Array, "M H W"], usable: Float[Array, "M H W"]
) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """A low and a middle estimate of the standard deviation of noise in the finest band of each image.

    Noise is everywhere, texture is not: so the first decile of the blocks' root mean squares says how much there is at
    the most, and the median how much there is where something is to be seen.

    Args:
        finest: The finest band of a Laplacian pyramid.
        usable: 1 where a pixel tells of noise, 0 where it is clipped; blocks of 8 x 8 with more than 2 % of the latter
            do not count, and with no other block the image counts as clean.
    """
    return levels_of_blocks(*blocks_of(finest, usable))


def blocks_of(
    finest: Float[Array, "M H W"], usable: Float[Array, "M H W"]
) -> tuple[Float[Array, "M h w"], Float[Array, "M h w"]]:
    """The energy of every block, and the share of it that is usable."""
    size = min(_BLOCK, *finest.shape[-2:])
    return _means(jnp.square(finest), size), _means(usable, size)


def levels_of_blocks(
    energies: Float[Array, "M h w"], shares: Float[Array, "M h w"]
) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """:func:`noise_levels` from what blocks have."""
    energies, shares = (x.reshape(len(x), -1) for x in (energies, shares))
    energies = jnp.sort(jnp.where(shares > 0.98, energies, jnp.inf), axis=-1)
    count = jnp.sum(jnp.isfinite(energies), axis=-1)

    def quantile(share: float) -> Array:
        index = jnp.clip((share * count.astype(jnp.float32)).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
        value = jnp.take_along_axis(energies, index[:, jnp.newaxis], axis=-1)[:, 0]
        return jnp.sqrt(jnp.where(count > 0, value, 0) + 1e-8)

    return quantile(0.1), quantile(0.5)


def _means(values: Float[Array, "M H W"], size: int) -> Float[Array, "M h w"]:
    height, width = (n // size * size for n in values.shape[-2:])
    blocks = values[:, :height, :width].reshape(len(values), height // size, size, width // size, size)
    return jnp.mean(blocks, axis=(2, 4))
