"""All levels of a pyramid side by side in one image, so that what is the same for all of them is done once.

A mosaic holds the finest level and beneath it the others, or beside it where it is narrow: of long rows XLA gives every
core some. Each is continued on all sides by its outermost pixels, ``margin`` of them. What looks no further than that
gives every level what it would give it alone, and a compiler sees one image where there were eight.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.ops.strips import in_whole, scan_rows

TILE_PIXELS = 1 << 19
"""Pixels of a mosaic, of all sources together, that are worked on at a time: with some dozens of channels at half the
size what lies between two layers has a few MB."""

WIDEST = 2048
"""Columns of a tile: of wide images it would have too few rows beside those that are its margin."""

_NARROW = 1024  # columns


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
    """Places levels of these sizes: beneath the finest one, in columns as high as the second, or as rows beside it.

    Every level begins at an even row and column, so that squares of 2 x 2 pixels lie as in the level itself.

    Example:
        >>> layout([(8, 8), (4, 4), (2, 2)], 2).corners
        ((0, 0), (0, 12), (8, 12))
    """
    padded = [(h + h % 2 + 2 * margin, w + w % 2 + 2 * margin) for h, w in sizes]
    beside = padded[0][1] < _NARROW
    (height, width), *others = (_swapped(size, beside) for size in padded)
    corners, shelf = [(0, 0)], others[0][0] if others else 0
    row = left = right = 0
    for tall, wide in others:
        if row + tall > shelf:
            row, left = 0, right
        corners.append((height + row, left))
        row, right = row + tall, max(right, left + wide)
    size = _swapped((height + shelf, max(width, right)), beside)
    return Layout(tuple((h, w) for h, w in sizes), tuple(_swapped(at, beside) for at in corners), size, margin)


def _swapped(pair: tuple[int, int], swap: bool) -> tuple[int, int]:
    return (pair[1], pair[0]) if swap else pair


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


def in_tiles(
    function: Callable[[PyTree], PyTree],
    mosaic: PyTree[Float[Array, "*_ A B2"]],
    margin: int,
    *,
    pixels: int | None = None,
) -> PyTree[Float[Array, "*_ a b"]]:
    """``function(mosaic)``, which loses ``margin`` pixels on every side, some rows and columns at a time.

    The result is the same; what lies between takes the memory of a tile, and stays in the cache.

    Args:
        function: From mosaics to mosaics of one size; it looks no further than ``margin`` pixels.
        mosaic: What it takes, with leading axes of its own.
        margin: That distance, even.
        pixels: Of all sources together, in a tile; None for ``TILE_PIXELS``.
    """
    *lead, height, width = jax.tree.leaves(mosaic)[0].shape
    if in_whole():
        return function(mosaic)
    columns = _even_part(width - 2 * margin, WIDEST)
    most = (TILE_PIXELS if pixels is None else pixels) // (math.prod(lead) * columns)
    rows = _even_part(height - 2 * margin, max(most, margin, 2))

    def strip(part: PyTree) -> PyTree:
        return _in_turn(function, part, margin, columns, -1)

    return _in_turn(strip, mosaic, margin, rows, -2)


def tiles(
    function: Callable[[Any, Any, int, int], PyTree], size: tuple[int, int], count: int, margin: int, *, like: Array
) -> PyTree[Float[Array, "*_ H W"]]:
    """What tiles of a level add up to, one after the other, each of which makes what it takes.

    Args:
        function: From first row and column of a tile, and how many it has of each, all even, to arrays of it.
        size: Height and width of the level.
        count: Of sources.
        margin: Pixels that a tile sees on every side: it has no fewer rows.
        like: Any numbers that the tiles depend on.
    """
    height, width = (n + n % 2 for n in size)
    columns = _even_part(width, WIDEST)
    rows = _even_part(height, max(TILE_PIXELS // (count * columns), margin, 2))

    def strip(carry: Any, top: Any, new: Any) -> tuple[Any, PyTree]:
        def tile(carry: Any, left: Any, new: Any) -> tuple[Any, PyTree]:
            return carry, function(top, left, min(rows, height), min(columns, width))

        return carry, scan_rows(tile, (), height=width, rows=columns, axis=-1, like=like)[1]

    found = scan_rows(strip, (), height=height, rows=rows, axis=-2, like=like)[1]
    return jax.tree.map(lambda x: x[..., : size[0], : size[1]], found)


def _even_part(length: int, most: int) -> int:
    """The even length of parts, about ``most`` each, that are as many as needed and equal."""
    return -(-length // -(-length // most) // 2) * 2


def _in_turn(function: Callable[[PyTree], PyTree], mosaic: PyTree, margin: int, size: int, axis: int) -> PyTree:
    """The parts of ``size`` pixels along one axis, one after the other."""
    first_plane = jax.tree.leaves(mosaic)[0]
    length = first_plane.shape[axis] - 2 * margin
    if size >= length:
        return function(mosaic)

    def part(carry: Any, first: Any, new: Any) -> tuple[Any, PyTree]:
        seen = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, size + 2 * margin, axis=axis), mosaic)
        return carry, function(seen)

    return scan_rows(part, (), height=length, rows=size, axis=axis, like=first_plane)[1]
