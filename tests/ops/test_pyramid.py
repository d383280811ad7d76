"""Pyramids beside scipy, and what holds for every size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ttd_jax.ops.pyramid import (
    SPREAD_REACH,
    collapse,
    depth,
    expand,
    gaussian_pyramid,
    laplacian_pyramid,
    reduce,
    smooth,
    spread,
)
from ttd_jax.ops.strips import whole_images

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
SIZES = [(1, 1), (2, 3), (5, 8), (33, 64), (65, 67), (31, 200)]


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


def filtered(image, kernel):
    rows = ndimage.correlate1d(image.astype(float), kernel, -2, mode="nearest")
    return ndimage.correlate1d(rows, kernel, -1, mode="nearest")


@pytest.mark.parametrize("size", SIZES)
def test_halving_is_a_binomial_filter_and_every_other_pixel(size):
    image = draw(2, *size)
    np.testing.assert_allclose(jax.jit(reduce)(image), filtered(image, BINOMIAL)[:, ::2, ::2], atol=3e-7)


@pytest.mark.parametrize("size", SIZES)
def test_smoothing_is_scipys_gaussian(size):
    image = draw(2, *size)
    expected = ndimage.gaussian_filter(image.astype(float), (0, 1, 1), truncate=3, mode="nearest")
    np.testing.assert_allclose(jax.jit(smooth)(image), expected, atol=5e-7)


@pytest.mark.parametrize("at", [(32, 48), (33, 50), (31, 51)])
def test_what_is_spread_stays_around_its_pixel(at):
    image = jnp.zeros((64, 96)).at[at].set(1)
    found = np.asarray(spread(image), float)
    y, x = np.mgrid[:64, :96]
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(), 1, atol=0.15)  # pixels that stay in a level count for those that do not
    assert np.hypot(y - at[0], x - at[1])[found > 0].max() <= np.sqrt(2) * SPREAD_REACH
    deviation = np.sqrt((found * (x - (found * x).sum() / found.sum()) ** 2).sum() / found.sum())
    np.testing.assert_allclose(deviation, 3, atol=0.4)
    np.testing.assert_allclose(spread(jnp.full((7, 10), 0.3)), 0.3, atol=1e-6)


@pytest.mark.parametrize("size", [(9, 13), (40, 70)])
def test_doubling_is_the_binomial_filter_of_pixels_apart(size):
    coarse = draw(*((n + 1) // 2 for n in size))
    wide = np.pad(np.asarray(coarse), 1, mode="edge")  # continued by its outermost pixels before they are set apart
    apart = np.zeros([2 * n for n in wide.shape])
    apart[::2, ::2] = wide
    expected = 4 * filtered(apart, BINOMIAL)[2 : 2 + size[0], 2 : 2 + size[1]]
    np.testing.assert_allclose(expand(coarse, size), expected, atol=5e-7)


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_bands_add_up_to_the_image(height, width, levels):
    image = draw(height, width, seed=height * 41 + width)
    bands = jax.jit(laplacian_pyramid, static_argnums=1)(image, levels)
    assert len(bands) == levels + 1
    np.testing.assert_allclose(jax.jit(collapse)(bands), image, atol=1e-6)


def test_an_even_image_has_no_bands():
    *finer, coarsest = laplacian_pyramid(jnp.full((37, 50), 0.7), 3)
    assert max(float(np.abs(band).max()) for band in finer) < 1e-6
    np.testing.assert_allclose(coarsest, 0.7, atol=1e-6)


@pytest.mark.parametrize(("size", "levels"), [((16, 400), 0), ((17, 17), 1), ((480, 640), 5), ((3000, 4000), 8)])
def test_depth_leaves_nine_to_sixteen_pixels(size, levels):
    assert depth(*size) == levels
    short = min(size)
    for _ in range(levels):
        short = (short + 1) // 2
    assert short <= 16 and (levels == 0 or short > 8)


def test_levels_are_halved_in_turn():
    image = jnp.asarray(draw(3, 21, 34))
    assert [level.shape for level in gaussian_pyramid(image, 3)] == [(3, 21, 34), (3, 11, 17), (3, 6, 9), (3, 3, 5)]


@pytest.mark.parametrize("size", [(40, 50), (40, 170), (170, 40)], ids=["matrices", "sums of rows", "sums of columns"])
def test_many_planes_are_filtered_as_each_alone(size):
    planes = jnp.asarray(np.random.default_rng(0).random((11, *size), np.float32))
    for step in (reduce, smooth, lambda x: expand(reduce(x), size)):
        alone = jnp.stack([step(plane) for plane in planes])
        np.testing.assert_allclose(step(planes), alone, atol=1e-6)
        with whole_images():
            np.testing.assert_allclose(step(planes[:2]), alone[:2], atol=1e-6)
