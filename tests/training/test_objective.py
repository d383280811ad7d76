"""The terms of the objective against scikit-image and the package's metrics, and what the step optimises."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

from ttd_jax.backbones import ttdnet
from ttd_jax.core import fusion
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.metrics import sum_of_correlations_of_differences
from ttd_jax.training.batches import make_batch
from ttd_jax.training.objective import detail_similarity, differences_correlation, fusion_terms, ssim
from ttd_jax.training.recipes import RECIPES
from ttd_jax.training.scenes import make_scenes
from ttd_jax.training.step import calibration_error, fuse_both, objective

SMOKE = RECIPES["smoke"]


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


@pytest.fixture(scope="module")
def model():
    return ttdnet.build(**SMOKE.network)


@pytest.fixture(scope="module")
def variables(model):
    return model.network.init(jax.random.key(1), jnp.zeros((1, 8, 8, 1)))


@pytest.fixture(scope="module")
def batch():
    return make_batch(make_scenes(0, 4, 48), 0, 0, 32, 4, (3,), 1.0)


def test_ssim_is_that_of_scikit_image():
    x, y = draw(30, 40), draw(30, 40, seed=1)
    y = 0.6 * x + 0.4 * y
    _, whole = structural_similarity(np.asarray(x), np.asarray(y), data_range=1.0, full=True)
    np.testing.assert_allclose(ssim(x, y), whole[3:-3, 3:-3].mean(), rtol=1e-4)


def test_contrast_is_the_correlation_of_differences():
    fused, sources = draw(30, 40), draw(2, 30, 40, seed=1)
    expected = sum_of_correlations_of_differences(fused, sources, variant="sum")
    np.testing.assert_allclose(jnp.sum(differences_correlation(fused, sources)), expected, rtol=1e-3)


def test_detail_patch_by_patch():
    fused, sources = np.asarray(draw(20, 22), np.float64), np.asarray(draw(3, 20, 22, seed=1), np.float64)
    sources *= np.array([1, 0.5, 0.1])[:, np.newaxis, np.newaxis]
    found = []
    for top in range(20 - 6):
        for left in range(22 - 6):
            here = (..., slice(top, top + 7), slice(left, left + 7))
            patch, others = fused[here] - fused[here].mean(), sources[here]
            others = others - others.mean(axis=(1, 2), keepdims=True)
            deviations = others.std(axis=(1, 2))
            wanted = np.tensordot(deviations**3, others, 1)
            wanted *= deviations.max() / wanted.std()
            found.append((2 * np.mean(wanted * patch) + 9e-4) / (wanted.var() + patch.var() + 9e-4))
    fused, sources = jnp.float32(fused), jnp.float32(sources)
    np.testing.assert_allclose(detail_similarity(fused, sources, scales=1), np.mean(found), rtol=1e-3)


def test_detail_at_several_scales():
    fused, sources = draw(41, 42), draw(2, 41, 42, seed=1)
    smaller, smaller_sources = (
        jnp.asarray(downscale_local_mean(np.pad(x, margin, mode="edge"), factors))  # 41 rows: the last one twice
        for x, margin, factors in ((fused, [(0, 1), (0, 0)], (2, 2)), (sources, [(0, 0), (0, 1), (0, 0)], (1, 2, 2)))
    )
    parts = [detail_similarity(fused, sources, scales=1), detail_similarity(smaller, smaller_sources, scales=1)]
    np.testing.assert_allclose(detail_similarity(fused, sources, scales=2), np.mean(parts), rtol=1e-4)


def test_a_perfect_fusion_costs_nothing():
    image = draw(30, 40)
    terms = fusion_terms(image, jnp.stack([image, image]), image)
    np.testing.assert_allclose(terms._replace(contrast=0.0), 0, atol=1e-5)
    assert fusion_terms(image + 2, jnp.stack([image, image]), image).range > 1


def test_training_fuses_as_the_package_does(model, variables, batch):
    recipe = replace(SMOKE, static=1.0)
    for sources in jnp.asarray(batch.sources):
        fused = fuse_both(model, variables, sources, recipe)
        dynamic = fusion.fuse(model, variables, sources[..., jnp.newaxis], recipe.weighting)
        static = fusion.fuse(model, variables, sources[..., jnp.newaxis], StaticWeighting())
        np.testing.assert_allclose(fused.dynamic, dynamic.image[..., 0], atol=2e-6)
        np.testing.assert_allclose(fused.weights, dynamic.weights, atol=2e-5)
        np.testing.assert_allclose(fused.components, dynamic.components[..., 0], atol=2e-6)
        np.testing.assert_allclose(fused.static, static.image[..., 0], atol=2e-6)


def test_calibration_is_nothing_for_true_distances():
    sources, target = draw(2, 20, 20), draw(20, 20, seed=1)
    distances = jnp.abs(sources - target)
    assert abs(calibration_error(SMOKE, distances, sources, target)) < 1e-6
    assert calibration_error(SMOKE, distances[::-1], sources, target) > 0.01


def gradient(model, variables, batch, **changes):
    recipe = replace(SMOKE, component=0.0, calibration=dict.fromkeys(SMOKE.terms, 0.0), **changes)
    return jax.grad(lambda v: objective(model, v, batch, recipe)[0])(variables)


def test_gradients_pass_through_the_weights_or_not(model, variables, batch):
    """Stopped, the dynamic path differs from a fixed one in nothing; passing, it teaches components as well."""
    passing = gradient(model, variables, batch, through_weights=True)
    stopped = gradient(model, variables, batch, through_weights=False)
    differences = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), passing, stopped)
    assert max(jax.tree.leaves(differences)) > 1e-4
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(passing))


def test_a_step_against_the_gradient_lowers_the_objective(model, variables, batch):
    slope = jax.grad(lambda v: objective(model, v, batch, SMOKE)[0])(variables)
    length = sum(float(jnp.sum(g * g)) for g in jax.tree.leaves(slope))
    for step in (1e-4, 1e-3):
        moved = jax.tree.map(lambda v, g, step=step: v - step * g / np.sqrt(length), variables, slope)
        before, after = (objective(model, v, batch, SMOKE)[0] for v in (variables, moved))
        assert 0.3 < float(before - after) / (step * np.sqrt(length)) < 1.7
