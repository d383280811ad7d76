"""Whole-image results from strips of rows, for networks that look no further than a known distance.

Memory then grows with the strip, not with the image. Each strip is computed with ``halo`` more rows on either side,
fewer only where the image itself ends, so its own rows come out as they would from the whole image.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ttd_jax.core.fusion import Fused
from ttd_jax.ops.strips import scan_rows


def fuse_in_strips(
    fuse: Callable[[Float[Array, "M R W C"]], Fused], sources: Float[Array, "M H W C"], halo: int, rows: int
) -> Fused:
    """What ``fuse(sources)`` gives, computed ``rows`` rows at a time.

    Args:
        fuse: A fusion whose result at a pixel depends on no source pixel further than ``halo`` rows away.
        sources: Sources in [0, 1].
        halo: That distance.
        rows: The most rows of a strip.
    """
    height, window = sources.shape[1], rows + 2 * halo
    if height <= window:
        return fuse(sources)
    rows = -(-height // -(-height // rows))  # strips of one height, which overlap by little more than halos
    window = rows + 2 * halo

    def strip(_: PyTree, first: Any, new: Any) -> tuple[PyTree, Fused]:
        top = jnp.clip(first - halo, 0, height - window)
        part = fuse(jax.lax.dynamic_slice_in_dim(sources, top, window, axis=1))
        maps = part._replace(image=part.image[jnp.newaxis], found=None)
        maps = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first - top, rows, axis=1), maps)
        return part.found, maps  # what was found is of the whole image: the same in every strip

    found = _zeros(jax.eval_shape(strip, None, 0, 0)[0])
    found, maps = scan_rows(strip, found, height=height, rows=rows, axis=1, like=sources)
    return maps._replace(image=maps.image[0], found=found)


def sum_in_strips(
    sums: Callable[[Float[Array, "M R W C"], Bool[Array, " R"]], PyTree],
    sources: Float[Array, "M H W C"],
    halo: int,
    rows: int,
) -> PyTree:
    """What ``sums(sources, all rows)`` gives, computed ``rows`` rows at a time.

    Args:
        sums: From sources, and which of their rows count, to arrays that are sums over pixels, none of which depends
            on a source pixel further than ``halo`` rows away.
        sources: Sources in [0, 1].
        halo: That distance.
        rows: Height of a strip.
    """
    height, window = sources.shape[1], rows + 2 * halo
    if height <= window:
        return sums(sources, jnp.ones(height, bool))

    def add(total: PyTree, first: Any, new: Any) -> tuple[PyTree, tuple[()]]:
        top = jnp.clip(first - halo, 0, height - window)
        row = top + jnp.arange(window)
        part = sums(jax.lax.dynamic_slice_in_dim(sources, top, window, axis=1), (row >= new) & (row < first + rows))
        return jax.tree.map(jnp.add, total, part), ()

    nothing = _zeros(jax.eval_shape(sums, sources[:, :window], jnp.ones(window, bool)))
    return scan_rows(add, nothing, height=height, rows=rows, axis=0, like=sources)[0]


def _zeros(shapes: PyTree) -> PyTree:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
