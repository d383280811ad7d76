"""MGDN in its four tasks against golden arrays, and how sources, weights and sizes go through it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import assert_parity, random_variables
from ttd_jax.backbones.mgdn import MGDN, SPEC, TASKS
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import PAPER, StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.io.checkpoints import count_parameters

INPUTS = {
    "focus": ("source_a", "source_b"),
    "exposure": ("source_a", "source_b"),
    "depth": ("rgb", "depth"),
    "deghost": ("under", "reference", "over"),
}


@pytest.mark.optimized
@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["aligned", "odd"])
@pytest.mark.parametrize("task", INPUTS)
def test_golden_arrays(golden, task, case):
    network = golden(task)
    model, stored = network.model, network.case(case)
    if task == "depth":  # the golden arrays went into the bare network
        model = replace(model, standardize=False)

    @jax.jit
    def everything(variables, sources):
        features = model.encode(variables, sources)
        image = model.render(variables, model.merge(features), sources)
        if task != "focus":
            return {"fused" if task == "exposure" else "output": image}
        return {"fused": image, "features_a": features.maps[0], "features_b": features.maps[1]}

    images = [np.atleast_3d(stored[name]) for name in INPUTS[task]]
    channels = max(image.shape[-1] for image in images)
    sources = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    assert_parity(everything(network.variables, jnp.asarray(sources)), stored, set(INPUTS[task]))


@pytest.mark.parametrize(
    ("task", "count"), [("focus", 182_755), ("exposure", 908_311), ("depth", 297_892), ("deghost", 1_826_685)]
)
def test_parameter_count(task, count):
    assert count_parameters(SPEC.abstract(MGDN(task=task))) == count


def test_the_wider_depth_network_differs_in_its_width_alone():
    """So what golden arrays and counts say of the one holds for the other, for which there are none."""
    assert TASKS["depth16"] == TASKS["depth"]._replace(channels=60)


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    """Tasks like "focus" and "depth" that compile faster: fewer and narrower blocks."""
    small = {"channels": 24, "stages": 1, "depth": 2, "heads": 2}
    monkeypatch.setitem(TASKS, "small", TASKS["focus"]._replace(**small))
    monkeypatch.setitem(TASKS, "depth_small", TASKS["depth"]._replace(**small))


@pytest.fixture
def model():
    return MGDN(task="small")


@pytest.fixture
def variables(model):
    return random_variables(SPEC, model)


def images(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


def test_weights_scale_each_sources_maps_and_nothing_else(model, variables):
    """Equal weights are the static rule, padding included; a component holds one source's maps and the anchor."""
    sources, flat = images((2, 9, 10, 3)), replace(SPEC.recipes["default"], scale=0.0)

    @jax.jit
    def run(variables, sources):
        features = model.encode(variables, sources)
        alone = [replace(features, maps=features.maps.at[1 - m].set(0)) for m in range(2)]
        weights = images((2, 9, 10, 1), 1)
        return {
            "static": fuse(model, variables, sources, StaticWeighting()),
            "dynamic": fuse(model, variables, sources, flat),
            "alone": jnp.stack([model.decode(variables, one) for one in alone]),
            "features": features,
            "merged": model.merge(features, weights),
            "weights": weights,
        }

    got = run(variables, sources)
    assert got["static"].image.shape == (9, 10, 3)
    np.testing.assert_allclose(got["dynamic"].image, got["static"].image, atol=1e-6)
    np.testing.assert_allclose(got["dynamic"].components, got["alone"], atol=1e-6)
    maps, merged = got["features"].maps[:, :9, :10], got["merged"].maps[:, :9, :10]
    np.testing.assert_allclose(merged, 2 * got["weights"] * maps, rtol=1e-5)
    np.testing.assert_array_equal(got["merged"].anchor, got["features"].anchor)


def test_grey_sources_are_three_equal_channels(model, variables):
    grey = images((2, 8, 9, 1))
    run = jax.jit(lambda v, s: fuse(model, v, s, StaticWeighting()).image)
    np.testing.assert_allclose(run(variables, grey), run(variables, jnp.repeat(grey, 3, axis=-1)), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(16, 21), (8, 3)])
def test_mirroring_extends_to_the_next_larger_multiple_of_eight(model, variables, height, width):
    """As the authors' script does it: the image beside its flipped copy, cut to size, at least one column more."""
    sources = np.asarray(images((2, height, width, 3)))
    doubled = np.concatenate([sources, sources[:, ::-1]], axis=1)
    doubled = np.concatenate([doubled, doubled[:, :, ::-1]], axis=2)
    tall, wide = (height // 8 + 1) * 8, (width // 8 + 1) * 8
    if wide > 2 * width:  # a flipped copy is not wide enough: mirrored again
        doubled = np.concatenate([doubled, doubled], axis=2)
    by_hand = jnp.asarray(doubled[:, :tall, :wide])

    @jax.jit
    def run(variables, sources, by_hand):
        mirrored = fuse(replace(model, mirror=True), variables, sources, StaticWeighting()).image
        return mirrored, fuse(model, variables, by_hand, StaticWeighting()).image[:height, :width]

    got, expected = run(variables, jnp.asarray(sources), by_hand)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_depth_is_stretched_and_its_guide_standardized():
    rgb, depth = images((8, 9, 3)), images((8, 9, 1), 1)
    bare, standard = MGDN(task="depth_small"), MGDN(task="depth_small", standardize=True)
    variables = random_variables(SPEC, bare)
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

    @jax.jit
    def run(variables, depth, flat):
        low, high = depth.min(), depth.max()
        stretched = jnp.stack([(rgb - mean) / std, jnp.repeat((depth - low) / (high - low), 3, axis=-1)])
        return [
            fuse(standard, variables, jnp.stack([rgb, jnp.repeat(depth, 3, axis=-1)]), StaticWeighting()).image,
            fuse(bare, variables, stretched, StaticWeighting()).image * (high - low) + low,
            fuse(standard, variables, jnp.stack([rgb, flat]), StaticWeighting()).image,
        ]

    got, expected, flat = run(variables, depth, jnp.full((8, 9, 3), 0.3))
    assert got.shape == (8, 9, 1)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.isfinite(flat).all()


def test_tasks_that_are_static_only_say_so():
    for preset in ("depth", "depth16", "deghost"):
        row = SPEC.of_preset(preset)
        assert row.recipes == {}
        assert row.raw
        assert row.roles == TASKS[preset].roles
    assert SPEC.of_preset("deghost").channels == 6
    assert SPEC.of_preset("focus").recipes["default"] == replace(PAPER, loss="l1")


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (MGDN(), (3, 8, 8, 3), r"mgdn \(focus\) takes 2 sources; got 3"),
        (MGDN(task="deghost"), (2, 8, 8, 6), r"mgdn \(deghost\) takes 3 sources; got 2"),
        (MGDN(task="deghost"), (3, 8, 8, 3), r"have 6 channels \(image and linearised twin\); got 3"),
        (MGDN(), (2, 8, 8, 6), r"sources of mgdn \(focus\) have 1 or 3 channels; got 6"),
    ],
)
def test_sources_that_do_not_fit(model, shape, message):
    with pytest.raises(InputError, match=message):
        model.encode({}, jnp.zeros(shape))


def test_options_that_do_not_fit():
    with pytest.raises(
        InputError, match=r"tasks of mgdn are focus, exposure, depth, depth16, deghost, .*got 'sharpen'"
    ):
        MGDN(task="sharpen")
    with pytest.raises(InputError, match="standardize is for depth maps; this is the task 'focus'"):
        MGDN(standardize=True)
