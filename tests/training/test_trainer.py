"""Runs of the smoke plan: repeatable, resumable, and safe against mistakes."""

import csv
import errno
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ttd_jax
import ttd_jax.training.store as store
import ttd_jax.training.trainer as trainer
from ttd_jax import load_backbone
from ttd_jax.backbones import bandnet
from ttd_jax.core.fusion import fuse
from ttd_jax.training.plans import PLANS
from ttd_jax.training.step import calibrate, weighting_of
from ttd_jax.training.trainer import initial_state, train

SMOKE = PLANS["smoke"]


@pytest.fixture(scope="module", autouse=True)
def _compiled_once():
    """Runs of equal plans share step and judge: what is asked here is what they keep, not what compiling gives."""

    def once(make):
        made = {}

        def make_once(model, plan):
            key = model, json.dumps(plan.as_dict())
            return made.setdefault(key, make(model, plan))

        return make_once

    with pytest.MonkeyPatch.context() as patch:
        for name in ("make_step", "make_judge"):
            patch.setattr(trainer, name, once(getattr(trainer, name)))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("train") / "whole"
    train(SMOKE, folder, save_every=2)
    return folder


def parameters(folder):
    return jax.tree.leaves(load_backbone(None, folder / "checkpoint").variables)


def log(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def stop_after(monkeypatch, steps, error):
    """Makes the run fail once it has taken some steps."""
    make_step = trainer.make_step

    def make_failing_step(*arguments):
        step, taken = make_step(*arguments), []

        def failing(state, batch):
            if len(taken) == steps:
                raise error
            taken.append(None)
            return step(state, batch)

        return failing

    monkeypatch.setattr(trainer, "make_step", make_failing_step)


def test_the_smoke_plan_makes_a_checkpoint(finished):
    backbone = load_backbone("bandnet", finished / "checkpoint")
    manifest = backbone.manifest
    assert manifest["source"]["trained_with"]["steps"] == SMOKE.steps == len(log(finished))
    assert manifest["source"]["trained_with"]["seed"] == SMOKE.seed
    result = ttd_jax.fuse(list(np.random.default_rng(0).random((3, 20, 31))), backbone=backbone)
    assert result.image.shape == (20, 31) and np.isfinite(result.image).all()
    default = backbone.recipes["default"]
    assert default.bands == "all" and default.scale > 0
    assert default.saliency == pytest.approx(4 * SMOKE.sharper, abs=0.1)
    assert backbone.model.network.calm == manifest["config"]["calm"] == SMOKE.calm
    assert backbone.recipes["paper"].bands == 1


def test_calibration_sharpens_the_bands_alone():
    plan = replace(SMOKE, sharper=1.5)
    parameters = initial_state(plan).parameters
    sources = jnp.asarray(np.random.default_rng(0).random((2, 40, 56, 1), np.float32))
    model = bandnet.build(**plan.network)

    @jax.jit
    def margins(variables, weighting):
        return [jnp.log(band[0] / band[1]) for band in fuse(model, variables, sources, weighting).bands]

    before = list(map(np.asarray, margins(parameters["variables"], weighting_of(parameters, plan))))
    *bands, coarsest = map(np.asarray, margins(*calibrate(parameters, plan)))
    assert np.abs(before[-1]).max() > 1e-3
    np.testing.assert_allclose(coarsest, before[-1], rtol=1e-2, atol=1e-4)
    for band, was in zip(bands, before, strict=False):
        within = np.abs(was) < 5  # beyond, a weight is too near 0 to tell
        np.testing.assert_allclose(band[within], 1.5 * was[within], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ("all", 3.0, 0.0)),
        ({"saliency": False}, ("all", 0.0, 0.0)),
        ({"bands": 1}, (1, 0.0, 0.0)),
    ],
)
def test_a_weighting_holds_what_its_plan_leaves_in_and_nothing_below_0(change, expected):
    weighting = weighting_of({"saliency": np.float32(3), "scale": np.float32(-0.7)}, replace(SMOKE, **change))
    assert (weighting.bands, float(weighting.saliency), float(weighting.scale)) == expected


def test_a_resumed_run_equals_an_uninterrupted_one(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(SMOKE, tmp_path / "run", save_every=2)
    assert json.loads((tmp_path / "run" / "state" / "step.json").read_text()) == {"step": 2}
    assert not (tmp_path / "run" / "checkpoint").exists()
    train(SMOKE, tmp_path / "run", resume=True, save_every=2)
    for a, b in zip(parameters(tmp_path / "run"), parameters(finished), strict=True):
        np.testing.assert_array_equal(a, b)
    assert log(tmp_path / "run") == log(finished)


def test_a_finished_run_resumes_to_itself(finished):
    before = [np.array(leaf) for leaf in parameters(finished)]
    train(SMOKE, finished, resume=True)
    for a, b in zip(before, parameters(finished), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_space_left_keeps_the_last_state(tmp_path, monkeypatch):
    save, calls = store.write_json, []

    def full(path, content):
        calls.append(path.name)
        if calls.count("step.json") == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            train(SMOKE, tmp_path / "run", save_every=2)
    assert json.loads((tmp_path / "run" / "state" / "step.json").read_text()) == {"step": 2}
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["log.csv", "plan.json", "state"]
    train(SMOKE, tmp_path / "run", resume=True)


def test_an_objective_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    make_step = trainer.make_step

    def make_step_that_runs_away(*arguments):
        step = make_step(*arguments)

        def ran_away(state, batch):
            state, told = step(state, batch)
            return jax.tree.map(
                lambda leaf: leaf * np.float32(np.inf) if leaf.dtype == np.float32 else leaf, state
            ), told

        return ran_away

    monkeypatch.setattr(trainer, "make_step", make_step_that_runs_away)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train(SMOKE, tmp_path / "run", save_every=2)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "nonsense", "-o", "new"], "plans are general, smoke; got 'nonsense'"),
        (["train", "smoke", "-o", "old"], "old exists"),
        (["train", "smoke", "-o", "old", "--resume"], "holds no training state to resume from"),
        (["train", "general", "-o", "run", "--resume"], "is a run of another plan (different: guard, "),
        (["train", "smoke", "--seed", "7", "-o", "run", "--resume"], "is a run of another plan (different: seed)"),
        (["train", "smoke", "-o", "new/below"], "new"),
        (["train", "smoke", "--steps", "0", "-o", "new"], "--steps is at least 1; got 0"),
    ],
)
def test_mistakes(arguments, says, finished, tmp_path, monkeypatch, capsys):
    from ttd_jax.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    (tmp_path / "old").mkdir()
    (tmp_path / "run").symlink_to(finished)
    assert main([*arguments, "--no-compile-cache"]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "run"]
    assert not list((tmp_path / "old").iterdir())
