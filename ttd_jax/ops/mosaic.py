"""All levels of a pyramid side by side in one image, so that what is the same for all of them is done once.

A mosaic holds the finest level on top and the others beneath it, each continued on all sides by its outermost pixels,
``margin`` of them. What looks no further than that gives every level what it would give it alone, and a compiler sees
one image where there were eight.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.ops.strips import in_whole, scan_rows

STRIP_PIXELS = 1 << 20
"""Pixels of a mosaic, of all sources together, that are worked on at a time."""


class Layout(NamedTuple):
    """Where each level lies in a mosaic.

    Attributes:
        sizes: Height and width of every level.
        corners: Row and column at which it begins, its margin counted.
        size: Of the mosaic.
        margin: Pixels by which a level is continued on every side, even.
    """

    sizes: tuple[tuple[int, int], ...]
    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    margin: int


def layout(sizes: Sequence[Sequence[int]], margin: int) -> Layout:
    """Places levels of these sizes: beneath the finest one, in columns as high as the second.

    Every level begins at an even row and column, so that squares of 2 x 2 pixels lie as in the level itself.

    Example:
        >>> layout([(8, 8), (4, 4), (2, 2)], 2).corners
        ((0, 0), (12, 0), (12, 8))
    """
    (height, width), *others = ((h + h % 2 + 2 * margin, w + w % 2 + 2 * margin) for h, w in sizes)
    corners, shelf = [(0, 0)], others[0][0] if others else 0
    row = left = right = 0
    for tall, wide in others:
        if row + tall > shelf:
            row, left = 0, right
        corners.append((height + row, left))
        row, right = row + tall, max(right, left + wide)
    return Layout(tuple((h, w) for h, w in sizes), tuple(corners), (height + shelf, max(width, right)), margin)


def assemble(levels: Sequence[Float[Array, "*B _ _"]], at: Layout) -> Float[Array, "*B A B2"]:
    """The mosaic of these levels."""
    lead, margin = levels[0].shape[:-2], at.margin
    mosaic = jnp.zeros((*lead, *at.size), levels[0].dtype)
    for level, corner in zip(levels, at.corners, strict=True):
        padded = jnp.pad(
            level, [(0, 0)] * len(lead) + [(margin, margin + n % 2) for n in level.shape[-2:]], mode="edge"
        )
        mosaic = jax.lax.dynamic_update_slice(mosaic, padded, (0,) * len(lead) + corner)
    return mosaic


def take_apart(mosaic: Float[Array, "*B A B2"], at: Layout) -> tuple[Float[Array, "*B _ _"], ...]:
    """The levels in a mosaic that has lost ``margin`` pixels on every side."""
    return tuple(
        mosaic[..., top : top + height, left : left + width]
        for (height, width), (top, left) in zip(at.sizes, at.corners, strict=True)
    )


def in_strips(
    function: Callable[[PyTree], PyTree], mosaic: PyTree[Float[Array, "*_ A B2"]], margin: int
) -> PyTree[Float[Array, "*_ a b"]]:
    """``function(mosaic)``, which loses ``margin`` pixels on every side, some rows at a time.

    The result is the same; what lies between takes the memory of a strip.

    Args:
        function: From mosaics to mosaics of one size; it looks no further than ``margin`` pixels.
        mosaic: What it takes, with leading axes of its own.
        margin: That distance, even.
    """
    first_plane = jax.tree.leaves(mosaic)[0]
    *lead, height, width = first_plane.shape
    height -= 2 * margin
    count = -(-math.prod(lead) * height * width // STRIP_PIXELS)
    if count == 1 or in_whole():
        return function(mosaic)
    rows = -(-height // count // 2) * 2

    def strip(carry: Any, first: Any, new: Any) -> tuple[Any, PyTree]:
        seen = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, rows + 2 * margin, axis=-2), mosaic)
        return carry, function(seen)

    return scan_rows(strip, (), height=height, rows=rows, axis=-2, like=first_plane)[1]
