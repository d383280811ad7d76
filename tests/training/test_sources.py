"""Scenes, sources and batches: what is known about them by construction."""

import numpy as np
import pytest

from ttd_jax.training.batches import batches, make_batch
from ttd_jax.training.scenes import crop, dead_leaves, make_scenes
from ttd_jax.training.sources import TASKS, corrupt

SIZE = 48


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(0, 6, 64)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("task", TASKS)
def test_sources_of_a_scene(task, count):
    rng = np.random.default_rng(1)
    sources, target = TASKS[task](rng, crop(rng, dead_leaves(rng, 64), SIZE), count)
    assert sources.shape == (count, SIZE, SIZE) and target.shape == (SIZE, SIZE)
    assert sources.dtype == target.dtype == np.float32
    assert sources.min() >= 0 and sources.max() <= 1 and 0 <= target.min() and target.max() <= 1
    np.testing.assert_array_equal(np.rint(sources * 255), (sources * 255).round(3))
    assert all(np.abs(a - b).max() > 0.02 for i, a in enumerate(sources) for b in sources[i + 1 :])


def test_focus_sources_are_sharp_in_turn():
    """Away from the edges between depths, some source shows the target itself, and none shows it everywhere."""
    rng = np.random.default_rng(2)
    distances = []
    for _ in range(8):
        sources, target = TASKS["focus"](rng, crop(rng, dead_leaves(rng, 64), SIZE), 2)
        distances.append(np.abs(sources - target))
    nearest, each = np.min(distances, axis=1), np.mean(distances, axis=(2, 3))
    assert np.mean(nearest < 1.5 / 255) > 0.8
    assert np.mean(each.min(axis=1)) > 3 * nearest.mean()


def test_exposures_clip_at_both_ends(scenes):
    rng = np.random.default_rng(3)
    made = [TASKS["exposure"](rng, crop(rng, scenes[i % 6], SIZE), 3)[0] for i in range(12)]
    means = np.sort(np.mean(made, axis=(2, 3)), axis=1)
    assert (np.diff(means, axis=1) > 0.03).all()
    assert any((sources.max(axis=0) == 1).mean() > 0.2 for sources in made)


def test_medical_target_is_the_brightest(scenes):
    rng = np.random.default_rng(4)
    sources, target = TASKS["medical"](rng, crop(rng, scenes[0], SIZE), 2)
    np.testing.assert_allclose(target, sources.max(axis=0), atol=0.51 / 255)


def test_corrupt_changes_one_source():
    rng = np.random.default_rng(5)
    sources = rng.random((3, SIZE, SIZE)).astype(np.float32)
    for _ in range(20):
        changed = corrupt(rng, sources) != (np.rint(sources * 255) / 255).astype(np.float32)
        assert changed.any(axis=(1, 2)).sum() == 1


def test_batches_depend_on_seed_and_step_alone(scenes):
    options = {"scenes": scenes, "seed": 3, "size": SIZE, "batch": 5, "counts": (2, 3), "corrupted": 0.5}
    whole = list(batches(0, 4, **options))
    for step, batch in enumerate(batches(2, 4, **options), 2):
        for a, b in zip(whole[step], batch, strict=True):
            np.testing.assert_array_equal(a, b)
    assert {batch.sources.shape[1] for batch in whole} == {2, 3}
    np.testing.assert_array_equal(whole[0].tasks, [0, 1, 2, 3, 0])
    assert not np.array_equal(whole[0].targets, make_batch(step=0, **(options | {"seed": 4})).targets)
    damaged = [(b.sources != b.intact).any(axis=(1, 2, 3)) for b in whole]
    assert 0 < np.mean(damaged) < 1


def test_a_failure_in_the_thread_is_raised(scenes):
    with pytest.raises(ValueError, match="high <= 0"):
        list(batches(0, 3, scenes=scenes, seed=0, size=65, batch=4))
