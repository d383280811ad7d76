"""Mosaics hold levels as they are, continued as NumPy would, and tiles of them give what the whole gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ttd_jax.ops import mosaic
from ttd_jax.ops.mosaic import assemble, in_tiles, layout, take_apart

SIZES = [(37, 50), (19, 25), (10, 13), (5, 7)]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


@given(
    st.integers(1, 300),
    st.integers(1, 300) | st.integers(900, 1500),
    st.integers(0, 8),
    st.integers(1, 8).map(lambda n: 2 * n),
)
def test_levels_lie_apart_inside_and_at_even_places(height, width, halvings, margin):
    sizes = [(-(-height // 2**k), -(-width // 2**k)) for k in range(halvings + 1)]
    at = layout(sizes, margin)
    taken = np.zeros(at.size, int)
    for (h, w), (top, left) in zip(sizes, at.corners, strict=True):
        assert top % 2 == 0 and left % 2 == 0
        part = taken[top : top + h + 2 * margin, left : left + w + 2 * margin]
        assert part.shape == (h + 2 * margin, w + 2 * margin)
        part += 1
    assert taken.max() == 1
    assert at.size[0] % 2 == 0 and at.size[1] % 2 == 0


@pytest.fixture(params=[0, 1024], ids=["beneath", "beside"])
def narrow(request, monkeypatch):
    monkeypatch.setattr(mosaic, "_NARROW", request.param)


@pytest.mark.usefixtures("narrow")
def test_every_level_is_continued_by_its_outermost_pixels():
    levels = [draw(3, *size, seed=i) for i, size in enumerate(SIZES)]
    at = layout(SIZES, 4)
    whole = np.asarray(jax.jit(lambda x: assemble(x, at))([jnp.asarray(one) for one in levels]))
    for level, (top, left) in zip(levels, at.corners, strict=True):
        padded = np.pad(level, ((0, 0), (4, 4), (4, 4)), mode="edge")
        np.testing.assert_array_equal(whole[:, top : top + padded.shape[1], left : left + padded.shape[2]], padded)


def box(size):
    """Means of ``2 * size + 1`` pixels in both directions, smaller by ``size``."""

    def mean(x):
        for axis in (-2, -1):
            length = x.shape[axis] - 2 * size
            x = sum(jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i in range(2 * size + 1)) / (2 * size + 1)
        return x

    return mean


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("pixels", "widest"), [(1 << 20, 768), (2000, 768), (300, 768), (2000, 30), (300, 9)])
def test_each_level_gets_what_it_would_get_alone(monkeypatch, pixels, widest):
    monkeypatch.setattr(mosaic, "TILE_PIXELS", pixels)
    monkeypatch.setattr(mosaic, "WIDEST", widest)
    levels = [draw(2, *size, seed=i) for i, size in enumerate(SIZES)]
    at = layout(SIZES, 4)

    @jax.jit
    def filtered(levels):
        found = in_tiles(lambda x: {"mean": box(4)(x), "first": box(4)(x)[0]}, assemble(levels, at), 4)
        return jax.tree.map(lambda x: take_apart(x, at), found)

    found = filtered([jnp.asarray(one) for one in levels])
    for level, mean, first in zip(levels, found["mean"], found["first"], strict=True):
        expected = ndimage.uniform_filter(level.astype(float), (1, 9, 9), mode="nearest")
        np.testing.assert_allclose(mean, expected, atol=1e-6)
        np.testing.assert_allclose(first, expected[0], atol=1e-6)
