"""Scenes, sources and batches: what is known about them by construction."""

import numpy as np
import pytest

from ttd_jax.errors import InputError
from ttd_jax.training.batches import every_batch, make_batch, make_pool
from ttd_jax.training.scenes import crop, dead_leaves, load_radiance, make_scenes
from ttd_jax.training.sources import TASKS, _daylight, corrupt

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
    sources = (np.rint(rng.random((3, SIZE, SIZE)) * 255) / 255).astype(np.float32)
    for _ in range(20):
        changed = corrupt(rng, sources)
        assert sum(bool((a != b).any()) for a, b in zip(changed, sources, strict=True)) == 1
        assert changed.dtype == np.float32 and changed.min() >= 0 and changed.max() <= 1


def measures(sources, intact, targets):
    return np.stack([np.full(4, i + sources[i].mean()) for i in range(4)]).astype(np.float32)


@pytest.fixture(scope="module")
def pool(scenes):
    return make_pool(scenes, seed=0, sets=13, count=2, size=SIZE, damaged=0.5, refer=measures)


def test_a_pool_is_a_function_of_its_seed(scenes, pool):
    again = make_pool(scenes, seed=0, sets=13, count=2, size=SIZE, damaged=0.5, refer=measures)
    other = make_pool(scenes, seed=1, sets=13, count=2, size=SIZE, damaged=0.5, refer=measures)
    for a, b in zip(pool, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (pool.sources != other.sources).any()
    assert pool.sources.shape == (12, 2, SIZE, SIZE) and pool.reference.shape == (12, 4)


def test_damaged_sets_are_those_that_differ(pool):
    differs = (pool.sources != pool.intact).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(differs, pool.damaged)
    assert 0 < pool.damaged.sum() < 12


def test_a_batch_is_a_function_of_seed_and_step(pool):
    one, again, later = (make_batch([pool], seed=3, step=step, share=1.0) for step in (5, 5, 6))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one, later, strict=True))
    assert one.sources.dtype == np.float32 and one.sources.max() <= 1


def test_batches_of_other_counts_come_at_their_share(scenes, pool):
    three = make_pool(scenes, seed=0, sets=4, count=3, size=SIZE, damaged=0.0, refer=measures)
    counts = [make_batch([pool, three], seed=0, step=i, share=0.75).sources.shape[1] for i in range(200)]
    assert 0.65 < counts.count(2) / 200 < 0.85


def test_every_batch_covers_the_pool_as_it_is(pool):
    found = every_batch(pool)
    assert len(found) == 3
    np.testing.assert_allclose(np.concatenate([b.sources for b in found]) * 255, pool.sources, atol=1e-3)


def test_a_daylight_sky_is_the_visibles(scenes):
    rng = np.random.default_rng(8)
    for _ in range(5):
        sources, target = _daylight(rng, crop(rng, scenes[0], SIZE))
        top = np.abs(sources[:, :3] - target[:3]).mean(axis=(1, 2))
        assert top.min() < 2 / 255 and sources[np.argmin(top), :3].mean() > 0.5


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two panoramas of linear radiance over many stops."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("radiance") / "maps.npz"
    maps = {name: np.exp(2 * rng.standard_normal((40, 80, 3))).astype(np.float16) for name in ("day", "night")}
    np.savez(path, **maps)
    return path


def test_a_third_of_the_scenes_is_of_radiance_maps(archive):
    maps = load_radiance(archive)
    assert [one.shape for one in maps] == [(40, 80)] * 2
    made = make_scenes(0, 6, 32, radiance=maps)
    assert [scene.radiance is not None for scene in made] == [False, False, True] * 2
    for scene in made[2::3]:
        assert scene.radiance.max() > 2 * np.percentile(scene.radiance, 95)  # what a picture would clip is there
        assert 0 <= scene.image.min() and scene.image.max() == 1
    again = make_scenes(0, 6, 32, radiance=maps)
    np.testing.assert_array_equal(made[5].radiance, again[5].radiance)


def test_exposures_are_of_the_radiance_itself(archive):
    scene = make_scenes(0, 3, 48, radiance=load_radiance(archive))[2]
    rng = np.random.default_rng(0)
    part = crop(rng, scene, SIZE)
    assert part.radiance.shape == (SIZE, SIZE)
    sources, target = TASKS["exposure"](rng, part, 2)
    order = np.argsort(part.radiance, axis=None)
    for image in sources:
        assert (np.diff(image.ravel()[order]) >= -1e-6).all()  # a camera curve keeps the order
    assert target.min() >= 0 and target.max() <= 1


@pytest.mark.parametrize(
    "maps", [{}, {"grey": np.ones((4, 4))}, {"nan": np.full((4, 4, 3), np.nan)}, {"below": -np.ones((4, 4, 3))}]
)
def test_archives_that_hold_no_radiance(tmp_path, maps):
    np.savez(tmp_path / "maps.npz", **maps)
    with pytest.raises(InputError, match="radiance maps are"):
        load_radiance(tmp_path / "maps.npz")
    with pytest.raises(InputError, match="radiance maps are"):
        load_radiance(tmp_path / "missing.npz")
