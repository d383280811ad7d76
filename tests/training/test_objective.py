"""The measures of the training beside the package's metrics, and the objective on numbers known beforehand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ttd_jax import metrics
from ttd_jax.backbones import bandnet
from ttd_jax.core.fusion import Fused
from ttd_jax.training import objective as o
from ttd_jax.training import step
from ttd_jax.training.batches import Batch
from ttd_jax.training.plans import PLANS
from ttd_jax.training.sources import TASKS
from ttd_jax.training.step import initial_parameters, objective, reference_measures

SIZE = 96


@pytest.fixture(scope="module")
def images():
    """A fused image, two sources and a target, smooth enough to be pictures."""
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.random((SIZE, SIZE)), 1.2)
    scene = (scene - scene.min()) / np.ptp(scene)
    left = np.linspace(0, 1, SIZE) < 0.5
    blurred = ndimage.gaussian_filter(scene, 2)
    sources = np.stack([np.where(left, scene, blurred), np.where(left, blurred, scene)])
    fused = 0.6 * sources[0] + 0.4 * sources[1]
    return tuple(jnp.asarray(x, jnp.float32) for x in (fused, sources, scene))


PAIRS = [
    (o.visual_information, metrics.visual_information_fidelity, "vifp_sum", 0.01),
    (o.edge_preservation, metrics.edge_preservation, "xydeas", 0.05),
    (o.correlations_of_differences, metrics.sum_of_correlations_of_differences, "sum", 0.005),
    (o.similarity_to_sources, metrics.structural_similarity, "eval255", 0.002),
    (o.best_structure, metrics.multi_exposure_structural_similarity, "multiscale", 0.03),
]


@pytest.mark.parametrize(("smooth", "exact", "variant", "tolerance"), PAIRS)
def test_a_measure_is_the_metric_up_to_its_constants(images, smooth, exact, variant, tolerance):
    fused, sources, _ = images
    assert float(jax.jit(smooth)(*images)) == pytest.approx(
        float(exact(fused, sources, variant=variant)), abs=tolerance
    )


def test_measures_of_the_truth(images):
    fused, sources, target = images
    error = float(np.mean((np.asarray(fused) - np.asarray(target)) ** 2))
    assert float(o.closeness_to_truth(*images)) == pytest.approx(-10 * np.log10(error + 3e-6), abs=1e-3)
    assert float(o.similarity_to_truth(target, sources, target)) == pytest.approx(1, abs=1e-5)
    assert float(o.closeness_to_truth(target, sources, target)) == pytest.approx(55.2, abs=0.1)


@pytest.mark.parametrize("task", TASKS)
def test_slopes_are_finite_for_flat_and_equal_images_too(task, images):
    fused, sources, target = images
    slope = jax.jit(jax.grad(lambda f, s, t: jnp.sum(o.measure(task, f, s, t))))
    for arguments in (images, (0 * fused, 0 * sources, 0 * target), (target, jnp.stack([target, target]), target)):
        assert np.isfinite(slope(*arguments)).all()


def test_local_means_are_scipys():
    image, window = np.random.default_rng(1).random((20, 24)), (0.2, 0.5, 0.3)
    expected = ndimage.correlate1d(ndimage.correlate1d(image, window, 0), window, 1)[1:-1, 1:-1]
    np.testing.assert_allclose(o.local(jnp.asarray(image, jnp.float32), window), expected, atol=1e-6)


def test_the_objective_counts_shortfalls_in_full_and_gains_little():
    """The same images, a reference that is 50 steps higher: every measure counts by as much and once more."""
    plan = PLANS["smoke"]
    model = bandnet.build(**plan.network)
    rng = np.random.default_rng(2)
    sources = ndimage.gaussian_filter(rng.random((4, 2, 48, 48)), (0, 0, 1, 1)).astype(np.float32)
    targets = sources.mean(axis=1)
    variables = jax.jit(model.network.init)(jax.random.key(0), jnp.zeros((2, 32, 32, 1)))
    parameters = initial_parameters(variables)
    reference = np.asarray(reference_measures(sources, sources, targets))
    score = jax.jit(lambda batch: objective(model, parameters, batch, plan)[0])
    clean = np.zeros(4, bool)
    low, high = (
        float(score(Batch(sources, sources, targets, clean, (reference + step).astype(np.float32)))) for step in (0, 50)
    )
    assert high - low == pytest.approx(100, rel=0.25)  # the softplus of a shortfall counts it once more


@pytest.mark.parametrize(
    ("value", "brightness", "beyond"), [(0.5, 0.0, 0.0), (0.75, 0.25, 0.0), (-0.1, 0.6, 0.1), (1.25, 0.75, 0.25)]
)
def test_what_the_objective_adds_to_the_measures(monkeypatch, value, brightness, beyond):
    """Of an even image, where every measure is its reference: brightness, components and range in closed form."""
    plan = PLANS["smoke"]
    sources, targets = np.full((4, 2, 48, 48), 0.5, np.float32), np.full((4, 48, 48), 0.5, np.float32)
    fused = Fused(jnp.full((4, 48, 48, 1), value), None, None, jnp.full((4, 2, 48, 48, 1), 0.4))
    monkeypatch.setattr(step, "fuse_sets", lambda *_: fused)
    monkeypatch.setattr(step, "measure", lambda *_: jnp.zeros(4))
    batch = Batch(sources, sources, targets, np.zeros(4, bool), np.zeros((4, 4), np.float32))
    total, _ = objective(bandnet.build(**plan.network), {"variables": {}, "saliency": 1.0, "scale": 1.0}, batch, plan)
    expected = np.log(2) / 2 + 20 * np.mean([plan.brightness[task] for task in TASKS]) * brightness
    expected += 51 * plan.component * 0.1 + 20 * beyond
    assert float(total) == pytest.approx(expected, rel=1e-5)
