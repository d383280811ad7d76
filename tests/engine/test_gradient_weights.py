"""Gradient weights through ``fuse``, with every backbone, and what is refused."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.analytic import backbone as analytic_backbone
from tests.backbones.golden import random_variables
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, GradientWeighting, fuse
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.mgdn import TASKS
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.gradients import component_gradients
from ttd_jax.core.weighting import PAPER
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
PAIR = list(RNG.random((2, 15, 18)).astype(np.float32))
SMALL = {"channels": 24, "stages": 1, "depth": 2, "heads": 2}
CHANNELS = {
    "ifcnn": 64,
    "cddfuse": 128,
    "piafusion": 128,
    "mgdn": 24,
    "densefuse": 64,
    "didfuse": 256,
    "auif": 2,
    "pfcfuse": 128,
}


@pytest.mark.parametrize("name", CHANNELS)
def test_every_backbone_with_feature_maps_runs(name, monkeypatch, ifcnn_variables):
    monkeypatch.setitem(TASKS, "small", TASKS["focus"]._replace(**SMALL))
    spec = BACKBONES[name]
    model = spec.build(**({"task": "small"} if name == "mgdn" else spec.presets[spec.default_preset]))
    variables = ifcnn_variables if name == "ifcnn" else random_variables(spec, model)
    backbone = Backbone(spec, model, variables)
    sources = dict(zip(spec.roles, PAIR, strict=True)) if spec.roles else PAIR
    result = fuse(sources, backbone=backbone, weighting=GradientWeighting(channel="auto"))
    np.testing.assert_allclose(result.weights.sum(axis=0), 1, rtol=1e-5)
    assert result.weights.std() > 1e-3 and np.isfinite(result.image).all()
    np.testing.assert_allclose(result.losses.mean(), 1, rtol=1e-4)
    assert result.losses.shape == (2, 15, 18) and result.components.shape[:3] == (2, 15, 18)
    assert 0 <= result.report["weighting"]["chosen_channel"] < CHANNELS[name]
    with pytest.raises(InputError, match=f"this backbone has {CHANNELS[name]} feature channels, 0 to"):
        fuse(sources, backbone=backbone, weighting=GradientWeighting(channel=CHANNELS[name]))


@pytest.mark.parametrize("name", sorted({*BACKBONES} - {*CHANNELS}))
def test_bands_are_channels(name):
    sources = list(RNG.random((2, 40, 50)).astype(np.float32))
    result = fuse(sources, backbone=name, weighting=GradientWeighting(channel=1))
    np.testing.assert_allclose(result.weights.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(result.losses.mean(), 1, rtol=1e-4)
    assert np.isfinite(result.image).all()
    bands = 6 if name == "mertens" else 3  # it goes on down to one or two pixels
    told = f"this backbone has {bands} feature channels, 0 to {bands - 1}; got channel {bands}"
    with pytest.raises(InputError, match=told):
        fuse(sources, backbone=name, weighting=GradientWeighting(channel=bands))


def test_the_slope_of_a_band_is_the_difference_taken_down_the_pyramid():
    """Of components that are bands added up: the finest band's slope is twice the difference itself."""
    sources = jnp.asarray(RNG.random((2, 40, 50, 1)), jnp.float32)
    model = BACKBONES["pyramid"].build()
    features = model.encode({}, sources)
    changed = features._replace(bands=tuple(0.9 * band for band in features.bands))
    weighting = GradientWeighting("mse").complete(PAPER)
    components, slopes = jax.jit(lambda f: component_gradients(model, {}, sources, f, weighting))(changed)
    np.testing.assert_allclose(slopes[..., 0], 2 * np.abs(components - sources)[..., 0], atol=1e-5)


@pytest.fixture(scope="module")
def ifcnn(ifcnn_variables):
    return ifcnn_backbone(ifcnn_variables)


def test_three_sources_in_any_order(ifcnn):
    sources = list(RNG.random((3, 15, 18)).astype(np.float32))
    fuser = Fuser(ifcnn, weighting=GradientWeighting(channel="auto", scale=2.0))
    straight, turned = fuser(sources), fuser([sources[2], sources[0], sources[1]])
    np.testing.assert_allclose(turned.weights, straight.weights[[2, 0, 1]], atol=1e-5)
    np.testing.assert_allclose(turned.image, straight.image, atol=1e-5)
    assert straight.report["weighting"]["chosen_channel"] == turned.report["weighting"]["chosen_channel"]
    batch = fuser.batch(np.stack([sources, sources[::-1]]))
    np.testing.assert_allclose(batch.weights[0], straight.weights, atol=1e-5)
    assert len(batch.report["weighting"]["chosen_channel"]) == 2


def test_the_auto_channel_is_that_channel(ifcnn):
    auto = fuse(PAIR, backbone=ifcnn, weighting=GradientWeighting(channel="auto"))
    chosen = auto.report["weighting"]["chosen_channel"]
    fixed = fuse(PAIR, backbone=ifcnn, weighting=GradientWeighting(channel=chosen))
    np.testing.assert_allclose(fixed.weights, auto.weights, atol=1e-6)
    assert "chosen_channel" not in fixed.report["weighting"]


def test_the_report_is_plain_data(ifcnn):
    def my_loss(component, source):
        return jnp.mean((component - source) ** 4)

    result = fuse(PAIR, backbone=ifcnn, weighting=GradientWeighting(my_loss, channel=[1, 2], scale=3))
    said = json.loads(json.dumps(result.report))["weighting"]
    assert (said["loss"], said["channel"], said["scale"], said["component"]) == ("my_loss", [1, 2], 3.0, "black")


def test_the_paper_recipe_is_equation_7(ifcnn):
    result = fuse(PAIR, backbone=ifcnn, weighting=GradientWeighting(channel=58), recipe="paper")
    sources = jnp.asarray(np.stack(PAIR))[..., None]
    model, variables = ifcnn.model, ifcnn.variables

    def error(features, source):
        return jnp.sum((model.decode(variables, features) - source) ** 2)

    features = model.encode(variables, sources)
    gradients = np.abs(jax.vmap(jax.grad(error))(features, sources))[..., 58]
    gradients = gradients / gradients.mean()
    score = np.exp(np.exp(-gradients))
    np.testing.assert_allclose(result.weights, score / score.sum(axis=0), rtol=1e-4)


def test_gradients_that_are_not_numbers():
    def distance(component, source):
        return jnp.sqrt(jnp.sum((component - component) ** 2)) + jnp.mean(source)

    with pytest.raises(InputError, match=r"gradients of distance are NaN or infinite at 100.0% of the pixels: use a"):
        fuse(PAIR, backbone=analytic_backbone(), weighting=GradientWeighting(distance))


@pytest.mark.parametrize(
    ("weighting", "message"),
    [
        (GradientWeighting(channel=[0, 64]), "this backbone has 64 feature channels, 0 to 63; got channel 64"),
        (GradientWeighting(scale=np.ones(2)), "scale is one number; got an array of shape (2,)"),
        (
            "slope",
            "weighting is 'loss', 'gradient', 'static', a LossWeighting, a GradientWeighting, a StaticWeighting or one "
            "of your own; got 'slope'",
        ),
    ],
)
def test_refused(ifcnn, weighting, message):
    with pytest.raises(InputError) as caught:
        fuse(PAIR, backbone=ifcnn, weighting=weighting)
    assert str(caught.value) == message


def test_a_backbone_without_recipes_has_no_gradient_weights():
    plain = replace(analytic_backbone(), recipes={})
    with pytest.raises(InputError, match="fuses by weighting='static' only"):
        fuse(PAIR, backbone=plain, weighting="gradient")
