"""DenseFuse, DIDFuse, AUIF and PFCFuse: golden arrays of the authors' parameters, rules, sizes and strips."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import assert_parity, random_variables
from ttd_jax import Backbone, GradientWeighting, InputError, LossWeighting, StaticWeighting, fuse
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.adapter import by_activity
from ttd_jax.backbones.auif import blurred, laplacian, normal_conv
from ttd_jax.core import fusion
from ttd_jax.core.dominability import uni_source_components
from ttd_jax.core.weighting import PAPER
from ttd_jax.engine import pipeline
from ttd_jax.io.checkpoints import count_parameters
from ttd_jax.ops.conv import conv, reflect_conv, zero_conv
from ttd_jax.ops.padding import reflect_pad, zero_pad

ROLES = ("visible", "infrared")
LOCAL = ("densefuse", "didfuse", "auif")
NETWORKS = {"densefuse": 74_193, "didfuse": 260_935, "auif": 11_631, "pfcfuse": 528_544}
"""Parameters by name."""
RNG = np.random.default_rng(0)


def built(name, **options):
    spec = BACKBONES[name]
    return spec.build(**{**spec.presets[spec.default_preset], **options})


@pytest.fixture(scope="module")
def variables():
    """Random parameters by the network's name."""
    drawn = {name: random_variables(BACKBONES[name], built(name)) for name in NETWORKS}
    drawn["densefuse"]["params"]["conv5"]["bias"] += 100  # of 255, else its last ReLU would leave nothing
    return drawn


@pytest.fixture
def mended(limit):
    """Small images are computed as large ones are."""
    limit("MEND_PIXELS", 0)


def random_sources(*shape):
    return jnp.asarray(RNG.random(shape), jnp.float32)


def densefuse_arrays(model, variables, sources, features):
    computed = {"static_255": 255 * static(model, variables, sources, features)}
    computed |= {f"{k}_255": 255 * a for k, a in alone(model, variables, sources, features).items()}
    return computed, {f"features_{r}": f for r, f in zip(ROLES, features, strict=True)}


def didfuse_arrays(model, variables, sources, features):
    computed = {
        "static_sum": static(model, variables, sources, features),
        "static_average": static(replace(model, rule="mean"), variables, sources, features),
    }
    computed |= alone(model, variables, sources, features)
    names = {"first": "1", "second": "2", "base": "base", "detail": "detail"}
    return computed, {f"features_{names[k]}_{r}": features[k][m] for k in names for m, r in enumerate(ROLES)}


def auif_arrays(model, variables, sources, features):
    computed = {"static_sum": static(model, variables, sources, features)}
    for m, role in enumerate(ROLES):
        computed |= {f"blur_{role}": blurred(sources[m]), f"laplace_{role}": laplacian(sources[m])}
        computed |= {f"{branch}_{role}": features[branch][m] for branch in ("base", "detail")}
    return computed | alone(model, variables, sources, features), {}


def pfcfuse_arrays(model, variables, sources, features):
    plain = replace(model, stretch=False)
    computed = {
        "static": static(plain, variables, sources, features),
        "static_no_residual": static(replace(plain, residual_of="none"), variables, sources, features),
        "static_stretched": static(model, variables, sources, features),
    }
    computed |= alone(model, variables, sources, features, kind="scaled")  # the golden arrays have one source twice
    return computed, {f"{k}_{r}": features[k][m] for k in ("base", "detail") for m, r in enumerate(ROLES)}


def static(model, variables, sources, features):
    return model.render(variables, model.merge(features), sources)


def alone(model, variables, sources, features, kind="alone"):
    components = uni_source_components(model, variables, sources, features, kind=kind)
    return {f"alone_{role}": component for role, component in zip(ROLES, components, strict=True)}


ARRAYS = {"densefuse": densefuse_arrays, "didfuse": didfuse_arrays, "auif": auif_arrays, "pfcfuse": pfcfuse_arrays}


@pytest.mark.optimized
@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["small", "odd", "large"])
@pytest.mark.parametrize("name", NETWORKS)
def test_golden_arrays(golden, name, case):
    network = golden(name)
    stored = network.case(case)

    @jax.jit
    def everything(variables, sources):
        features = network.model.encode(variables, sources)
        computed, maps = ARRAYS[name](network.model, variables, sources, features)
        return computed | (maps if case == "small" else {})

    sources = jnp.stack([stored[role] for role in ROLES])[..., jnp.newaxis]
    assert_parity(everything(network.variables, sources), stored, set(ROLES))


@pytest.mark.parametrize("name", NETWORKS)
def test_parameter_count(name):
    assert count_parameters(BACKBONES[name].abstract(built(name))) == NETWORKS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_published_rules(name):
    facts = built(name).facts
    assert facts.rule == ("mean" if name == "densefuse" else "sum")
    assert facts.by_band and facts.independent and (facts.halo is not None) == (name in LOCAL)


@pytest.mark.parametrize("shape", [(2, 2), (3, 9)])
@pytest.mark.parametrize("name", LOCAL)
def test_any_size_and_any_number_of_sources(variables, name, shape):
    """However small: mirrored pixels are mirrored again."""
    result = fuse(list(RNG.random((3, *shape)).astype(np.float32)), backbone=backbone_of(name, variables))
    assert result.image.shape == shape and np.isfinite(result.image).all()
    np.testing.assert_allclose(result.weights.sum(axis=0), 1, rtol=1e-5)


def backbone_of(name, variables, **options):
    return Backbone(BACKBONES[name], built(name, **options), variables[name])


@pytest.mark.parametrize("name", LOCAL)
def test_equal_weights_are_the_static_rule(variables, name):
    sources, model = random_sources(3, 7, 9, 1), built(name)
    flat = replace(PAPER, scale=0.0)
    both = jax.jit(lambda v, s: [fusion.fuse(model, v, s, w).image for w in (StaticWeighting(), flat)])
    np.testing.assert_allclose(*both(variables[name], sources), atol=1e-5)


@pytest.mark.parametrize("name", LOCAL)
def test_constant_images_have_constant_features(variables, name):
    """The fact by which a black partner is encoded as one pixel."""
    model = built(name)
    encode = jax.jit(model.encode)
    features, pixel = (encode(variables[name], jnp.full((1, *shape, 1), 0.4)) for shape in ((12, 13), (1, 1)))
    off = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), features, pixel)
    assert (max(jax.tree.leaves(off)) < 2e-4) == model.facts.constant_features == (name != "didfuse")


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize(
    "weighting",
    [
        StaticWeighting(rule="l1"),
        replace(PAPER, component="fused", form="linear", scale=5.0, smoothing=1.0),
    ],
    ids=["static", "fused"],
)
def test_strips_equal_the_whole(variables, monkeypatch, name, weighting):
    model = built(name, rule="l1")
    halo = weighting.reach(model)
    sources = random_sources(2, 2 * halo + 27, 6, 1).at[:, jnp.array([0, -1])].set(1)
    monkeypatch.setattr(pipeline, "_STRIP_PIXELS", 8 * 2 * 6)
    strips = jax.jit(lambda v, s: pipeline.fuse_sources(model, v, weighting, s))(variables[name], sources)
    whole = jax.jit(lambda v, s: fusion.fuse(model, v, s, weighting))(variables[name], sources)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), strips, whole)


def test_strips_need_the_row_that_the_l1_rule_looks_at():
    model = built("densefuse", rule="l1")
    assert StaticWeighting().reach(model) == 9 and StaticWeighting().reach(built("densefuse")) == 8
    assert PAPER.reach(model) == PAPER.reach(built("densefuse")) + 1


@pytest.mark.parametrize("name", LOCAL)
def test_by_band(variables, name):
    result = fuse(
        list(RNG.random((2, 33, 35)).astype(np.float32)),
        backbone=backbone_of(name, variables),
        weighting=LossWeighting(bands=2, saliency=1.0),
    )
    assert np.isfinite(result.image).all() and result.weights.std() > 1e-4


def test_the_l1_rule():
    maps = jnp.asarray(RNG.normal(size=(3, 4, 5, 6)), jnp.float32)
    norms = np.pad(np.abs(maps).sum(axis=-1), ((0, 0), (1, 1), (1, 1)))
    activity = sum(norms[:, i : i + 4, j : j + 5] for i in range(3) for j in range(3))
    expected = (activity[..., None] * maps).sum(axis=0) / activity.sum(axis=0)[..., None]
    merged, slope = jax.jit(jax.value_and_grad(lambda m: by_activity(m).sum()))(jnp.zeros_like(maps))
    assert merged == 0 and np.isfinite(slope).all()
    np.testing.assert_allclose(jax.jit(by_activity)(maps), expected, rtol=1e-5, atol=1e-6)


def test_the_l1_rule_by_name(variables):
    sources = list(RNG.random((2, 9, 10)).astype(np.float32))
    backbone = backbone_of("densefuse", variables)
    static = fuse(sources, backbone=backbone, weighting=StaticWeighting(rule="l1"))
    built_so = fuse(sources, backbone=backbone_of("densefuse", variables, rule="l1"), weighting="static")
    mean = fuse(sources, backbone=backbone, weighting="static")
    np.testing.assert_array_equal(static.image, built_so.image)
    assert np.abs(static.image - mean.image).max() > 1e-3 and static.weights is None
    with pytest.raises(InputError, match="static rules are max, mean, sum, l1; got 'l2'"):
        built("densefuse", rule="l2")


@pytest.mark.parametrize("shape", [(5, 1, 1, 2), (2, 3, 4), (7, 9, 3), (6, 5, 1)])
def test_convolutions_that_extend_their_maps(mended, shape):
    x, kernel = (RNG.normal(size=size).astype(np.float32) for size in (shape, (3, 3, shape[-1], 4)))
    extended = jax.jit(lambda x, kernel: (reflect_conv(x, kernel), zero_conv(x, kernel)))(x, kernel)
    padded = jax.jit(lambda x, kernel: [conv(pad(x, 1), kernel) for pad in (reflect_pad, zero_pad)])(x, kernel)
    for got, expected in zip(extended, padded, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 1), (3, 3, 1), (2, 7, 9, 1)])
def test_a_step_is_two_convolutions(mended, shape):
    x, kernel = (RNG.normal(size=s).astype(np.float32) for s in (shape, (3, 3, 1, 5)))
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    two = jax.jit(lambda x, kernel, turned: conv(reflect_pad(conv(reflect_pad(x, 1), kernel), 1), turned))
    one = jax.jit(lambda x, kernel: normal_conv(x, kernel))
    np.testing.assert_allclose(one(x, kernel), two(x, kernel, turned), atol=2e-5)


def test_the_gradient_in_strips_equals_the_whole(variables, monkeypatch):
    model = built("densefuse")
    weighting = GradientWeighting("mse").complete(PAPER)
    sources = random_sources(2, 2 * weighting.reach(model) + 27, 6, 1)
    monkeypatch.setattr(pipeline, "_STRIP_PIXELS", 4 * 2 * 6)
    strips = jax.jit(lambda v, s: pipeline.fuse_sources(model, v, weighting, s))(variables["densefuse"], sources)
    whole = jax.jit(lambda v, s: fusion.fuse(model, v, s, weighting))(variables["densefuse"], sources)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), strips, whole)
