"""The damage done by ``studies.robustness`` is the damage it names."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from studies.pairs import Pair
from studies.robustness import contrast_study, damage, mask_study
from studies.weights import box, fade, hide
from tests import analytic
from ttd_jax import Fuser

RNG = np.random.default_rng(0)
PAIRS = {"task": [Pair(str(k), RNG.integers(0, 256, (2, 24, 32), dtype=np.uint8)) for k in range(2)]}


def test_noise_is_relative_to_each_array():
    arrays = {"small": 1e-3 * jnp.asarray(RNG.standard_normal(20000)), "large": 50 + 7 * jnp.asarray(RNG.random(20000))}
    backbone = replace(analytic.backbone(), variables=arrays)
    for level in (0.0, 0.1, 0.5):
        noise = jax.tree.map(lambda a, b: np.asarray(a - b), damage(backbone, level, 0).variables, arrays)
        for name, array in arrays.items():
            np.testing.assert_allclose(noise[name].std(), level * array.std(), rtol=0.03, atol=1e-12)
    first, again, other = (damage(backbone, 0.2, seed).variables["small"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_hidden_and_faded_images():
    image = PAIRS["task"][0].sources[0]
    assert (hide(image)[box(image.shape)] == 0).all() and (hide(image) != image).mean() <= 1 / 16
    np.testing.assert_array_equal(fade(image, 0.0), image)
    assert np.ptp(fade(image, 1.0)) == 0 and abs(int(fade(image, 1.0)[0, 0]) - image.mean()) <= 0.5


def test_studies_change_one_source_at_a_time():
    fuser = Fuser(analytic.backbone())
    before, after = mask_study(fuser, PAIRS)["task"]
    sources = [image.copy() for image in PAIRS["task"][1].sources]
    inside = box(sources[0].shape)
    np.testing.assert_allclose(before[1], fuser(sources).weights[(slice(None), *inside)].mean(axis=(1, 2)), rtol=1e-5)
    sources[1][inside] = 0
    np.testing.assert_allclose(after[1, 1], fuser(sources).weights[1][inside].mean(), rtol=1e-5)
    weights = contrast_study(fuser, PAIRS, (0.0, 0.5))["task"]
    assert weights.shape == (2, 2, 2)
    np.testing.assert_allclose(weights[0].sum(axis=1), 1, rtol=1e-5)
