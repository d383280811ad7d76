"""Wide intermediate results a few image rows at a time.

A block that widens 64 channels to 256, convolves 3x3 and narrows again needs the wide map only around the rows it is
working on. Strips keep it in the processor's cache and out of memory: measured on two cores at 640x480, a gated
feed-forward takes 0.22 instead of 0.56 processor seconds and 96 instead of 789 MB.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STRIP_PIXELS = {"cpu": 10_000}
"""Pixels of a strip by platform; elsewhere a million, enough to keep an accelerator busy."""


def map_strips(
    block: Callable[[Array], Array], x: Float[Array, "*B H W C"], pad: Callable[[Array, int], Array]
) -> Float[Array, "*B H W K"]:
    """A 3x3 block over an image, strip by strip.

    Args:
        block: From a strip with one more pixel on each side, ``(rows + 2, W + 2, C)``, to ``(rows, W, K)``.
        x: Feature maps.
        pad: Extends the image by a number of pixels on each side before it is cut, such as ``zero_pad``.

    Returns:
        What ``block(pad(x, 1))`` would return.
    """
    if x.ndim > 3:
        return jax.vmap(lambda image: map_strips(block, image, pad))(x)
    _, result = scan_strips(lambda carry, strip, _: (carry, block(strip)), (), x, pad)
    return result


def scan_strips(
    step: Callable[[Array, Array, Array], tuple], carry, x: Float[Array, "H W C"], pad: Callable[[Array, int], Array]
) -> tuple:
    """The same with something carried along.

    Args:
        step: From what is carried, a padded strip and whether each of its rows ``(rows, 1, 1)`` is inside the image
            (the last strip may reach beyond) to what is carried on and ``(rows, W, K)``.
        carry: What the first strip gets.
        x: Feature maps of one image.
        pad: As in :func:`map_strips`.

    Returns:
        What the last strip carried on, and the strips' results as one ``(H, W, K)``.
    """
    height, width, _ = x.shape
    rows = min(height, max(1, STRIP_PIXELS.get(jax.default_backend(), 1_000_000) // width))
    count = -(-height // rows)
    padded = jnp.pad(pad(x, 1), [(0, count * rows - height), (0, 0), (0, 0)])

    def at(carry, index):
        first = index * rows
        inside = (first + jnp.arange(rows) < height)[:, None, None]
        return step(carry, jax.lax.dynamic_slice_in_dim(padded, first, rows + 2, axis=0), inside)

    if count == 1:
        return at(carry, 0)
    carry, strips = jax.lax.scan(at, carry, jnp.arange(count))
    return carry, strips.reshape(count * rows, width, -1)[:height]
