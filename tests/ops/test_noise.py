"""Estimates of noise on noise that is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax.ops.noise import noise_levels
from ttd_jax.ops.pyramid import laplacian_pyramid


def finest(images):
    return laplacian_pyramid(jnp.asarray(images, jnp.float32), 1)[0]


@pytest.mark.parametrize("sigma", [2 / 255, 20 / 255])
def test_white_noise_is_found_and_grows_in_proportion(sigma):
    noise = np.random.default_rng(0).standard_normal((2, 160, 160)).astype(np.float32)
    bands = finest(sigma * noise)
    low, median = noise_levels(bands, jnp.ones_like(bands))
    expected = np.std(np.asarray(bands), axis=(1, 2))
    assert np.all(low < median)
    np.testing.assert_allclose(median, expected, rtol=0.05)
    np.testing.assert_allclose(low, expected, rtol=0.2)


def test_texture_in_a_part_is_no_noise():
    image = np.zeros((1, 160, 160), np.float32)
    image[:, :, 80:] = np.random.default_rng(1).random((160, 80))
    low, median = noise_levels(finest(image), jnp.ones_like(image))
    assert low[0] < 0.01 < 0.05 < median[0] + 0.05


def test_an_image_that_is_clipped_everywhere_counts_as_clean():
    low, median = noise_levels(finest(np.ones((1, 40, 40))), jnp.zeros((1, 40, 40)))
    np.testing.assert_allclose([low[0], median[0]], 1e-4, rtol=1e-3)


def test_a_tiny_image_has_an_estimate():
    low, median = noise_levels(jnp.ones((1, 3, 5)), jnp.ones((1, 3, 5)))
    np.testing.assert_allclose([low[0], median[0]], 1, rtol=1e-3)
