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
    size = min(_BLOCK, *finest.shape[-2:])
    energies, shares = _blocks(jnp.square(finest), size), _blocks(usable, size)
    energies = jnp.sort(jnp.where(shares > 0.98, energies, jnp.inf), axis=-1)
    count = jnp.sum(jnp.isfinite(energies), axis=-1)

    def quantile(share: float) -> Array:
        index = jnp.clip((share * count.astype(jnp.float32)).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
        value = jnp.take_along_axis(energies, index[:, jnp.newaxis], axis=-1)[:, 0]
        return jnp.sqrt(jnp.where(count > 0, value, 0) + 1e-8)

    return quantile(0.1), quantile(0.5)


def _blocks(values: Float[Array, "M H W"], size: int) -> Float[Array, "M N"]:
    height, width = (n // size * size for n in values.shape[-2:])
    blocks = values[:, :height, :width].reshape(len(values), height // size, size, width // size, size)
    return jnp.mean(blocks, axis=(2, 4)).reshape(len(values), -1)
