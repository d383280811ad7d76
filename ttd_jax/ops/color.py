"""Full-range BT.601 luma and chroma, exact both ways, in float and channels last.

:math:`Y = 0.299 R + 0.587 G + 0.114 B`, :math:`C_b = (B - Y) / 1.772`, :math:`C_r = (R - Y) / 1.402`; chroma is
signed, zero for grey, within ±0.5 for RGB in [0, 1].

Sums and maxima over the three channels are written channel by channel: XLA makes a reduction over so short an axis a
loop of its own on CPU, on one core.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

LUMA = (0.299, 0.587, 0.114)

_NO_COLOR = 1e-12  # a distance from grey that no colour has but grey


def luma(rgb: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W 1"]:
    """BT.601 luma, one channel.

    Example:
        >>> [round(value, 3) for value in luma(jnp.array([[[1.0, 0, 0], [1, 1, 1]]])).ravel().tolist()]
        [0.299, 1.0]
    """
    return LUMA[0] * rgb[..., :1] + LUMA[1] * rgb[..., 1:2] + LUMA[2] * rgb[..., 2:]


def brightest(rgb: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W"]:
    """The highest of the three channels.

    Example:
        >>> brightest(jnp.array([[[0.25, 0.5, 0.0]]])).tolist()
        [[0.5]]
    """
    return jnp.maximum(jnp.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def split_luma(rgb: Float[Array, "*B H W 3"]) -> tuple[Float[Array, "*B H W 1"], Float[Array, "*B H W 2"]]:
    """Luma in [0, 1] and signed chroma (Cb, Cr) of an RGB image.

    Example:
        >>> y, chroma = split_luma(jnp.full((4, 5, 3), 0.5))
        >>> y.shape, chroma.shape
        ((4, 5, 1), (4, 5, 2))
    """
    y = luma(rgb)
    chroma = jnp.concatenate([(rgb[..., 2:] - y) / 1.772, (rgb[..., :1] - y) / 1.402], axis=-1)
    return y, chroma


def join_luma(y: Float[Array, "*B H W 1"], chroma: Float[Array, "*B H W 2"]) -> Float[Array, "*B H W 3"]:
    """The RGB image of this luma and chroma, or the like of it that exists.

    A strong colour exists only in part of the luma range (pure red only at 0.299). There luma gives way by half of what
    is missing, and the colour pales by as much as is missing then: so structure can be seen in strong colours, and the
    hue comes out as it went in instead of being clipped channel by channel.

    Example:
        >>> rgb = jnp.array([[[0.8, 0.4, 0.2]]])
        >>> bool(jnp.allclose(join_luma(*split_luma(rgb)), rgb, atol=1e-6))
        True
    """
    cb, cr = chroma[..., :1], chroma[..., 1:]
    red, blue = 1.402 * cr, 1.772 * cb
    green = -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1]
    above = jnp.maximum(jnp.maximum(red, green), blue)
    below = -jnp.minimum(jnp.minimum(red, green), blue)
    y = jnp.clip(y, 0, 1)
    y = (y + jnp.clip(y, below, 1 - above)) / 2
    strength = jnp.minimum((1 - y) / jnp.maximum(above, _NO_COLOR), y / jnp.maximum(below, _NO_COLOR))
    offsets = jnp.concatenate([red, green, blue], axis=-1)
    return jnp.clip(y + jnp.minimum(strength, 1) * offsets, 0, 1)
