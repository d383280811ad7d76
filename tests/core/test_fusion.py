"""Static and dynamic fusion: closed forms on the analytic model, and safety under jit, vmap and grad."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from tests.analytic import VARIABLES, AnalyticModel, decode, encode
from ttd_jax.core import fusion
from ttd_jax.core.weighting import PAPER, StaticWeighting

RULES = ("sum", "mean", "max")
SHARP = replace(PAPER, scale=50.0)


@partial(jax.jit, static_argnames="model")
def static(model, sources):
    return fusion.fuse(model, VARIABLES, sources, StaticWeighting())


@partial(jax.jit, static_argnames="model")
def dynamic(model, sources, weighting=SHARP):
    return fusion.fuse(model, VARIABLES, sources, weighting)


sources_of_any_number = st.integers(2, 5).flatmap(
    lambda m: arrays(np.float32, (m, 3, 4, 1), elements=st.floats(0, 1, width=32))
)


def assert_close(got, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)


@pytest.mark.parametrize(
    ("rule", "merge"), [("sum", lambda z: z.sum(0)), ("mean", lambda z: z.mean(0)), ("max", lambda z: z.max(0))]
)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_static_fusion_by_hand(rule, merge, count):
    sources = np.random.default_rng(count).random((count, 4, 5, 3)).astype(np.float32)
    fused = static(AnalyticModel(rule), sources)
    np.testing.assert_allclose(fused.image, decode(merge(encode(sources))), rtol=1e-6)
    assert fused.losses is None and fused.components is None
    if rule == "max":
        assert fused.weights is None
    else:
        np.testing.assert_allclose(fused.weights, np.full((count, 4, 5), 1 / count), rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_dynamic_fusion_by_hand(rule, count):
    sources = np.random.default_rng(count).random((count, 4, 5, 1)).astype(np.float32)
    components = decode(encode(sources))
    losses = np.mean((components - sources) ** 2, axis=-1)
    weights = softmax(np.exp(-50 * losses), axis=0)
    merged = np.sum(weights[..., None] * encode(sources), axis=0) * (count if rule == "sum" else 1)
    fused = dynamic(AnalyticModel(rule), sources)
    np.testing.assert_allclose(fused.components, components, rtol=1e-6)
    np.testing.assert_allclose(fused.losses, losses, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(fused.weights, weights, rtol=1e-5)
    np.testing.assert_allclose(fused.image, decode(merged), rtol=1e-5)


@pytest.mark.parametrize("fuse", [static, dynamic])
def test_residual_and_last_step_belong_to_the_fused_image(fuse):
    sources = np.random.default_rng(4).random((2, 4, 5, 1)).astype(np.float32)
    plain, extra = (fuse(AnalyticModel("mean", extras=on), sources).image for on in (False, True))
    np.testing.assert_allclose(extra, (plain + 0.1 * sources[0]) / 2, rtol=1e-6)


@pytest.mark.parametrize("rule", ["sum", "mean"])
@given(sources=sources_of_any_number)
def test_uniform_weights_equal_the_static_rule(rule, sources):
    model = AnalyticModel(rule)
    uniform = dynamic(model, sources, replace(PAPER, scale=0.0))
    np.testing.assert_allclose(uniform.image, static(model, sources).image, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@given(sources=sources_of_any_number, random=st.randoms(use_true_random=False))
def test_permuting_sources_permutes_weights_and_leaves_the_image(rule, sources, random):
    order = list(range(len(sources)))
    random.shuffle(order)
    straight, permuted = (dynamic(AnalyticModel(rule), s) for s in (sources, sources[order]))
    np.testing.assert_allclose(permuted.weights, np.asarray(straight.weights)[order], atol=1e-5)
    np.testing.assert_allclose(permuted.image, straight.image, atol=1e-5)


@given(arrays(np.float32, (3, 4, 1), elements=st.floats(0, 1, width=32)), st.integers(2, 5))
def test_identical_sources_share_equally(source, count):
    fused = dynamic(AnalyticModel("mean"), np.stack([source] * count))
    np.testing.assert_allclose(fused.weights, 1 / count, rtol=1e-6)
    np.testing.assert_allclose(fused.image, decode(encode(source)), atol=1e-6)


@pytest.mark.parametrize("kind", ["alone", "scaled", "black", "fused"])
def test_jit_equals_eager_and_vmap_equals_a_loop(kind):
    sources = jnp.asarray(np.random.default_rng(5).random((4, 3, 6, 5, 1)), jnp.float32)
    weighting = replace(SHARP, component=kind)

    def fuse(stack, scale):
        return fusion.fuse(AnalyticModel("sum", mixing=True), VARIABLES, stack, replace(weighting, scale=scale))

    loop = [fuse(stack, 50.0) for stack in sources]
    batch = jax.vmap(fuse, in_axes=(0, None))(sources, 50.0)
    compiled = jax.jit(fuse)
    for n, one in enumerate(loop):
        assert_close(compiled(sources[n], 50.0), one)
        assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], batch), one)


def test_scale_source_and_parameter_have_the_gradient_of_finite_differences():
    sources = np.random.default_rng(6).random((2, 3, 4, 1))

    def total(sources, scale, slope):
        fused = fusion.fuse(AnalyticModel("sum"), {"slope": slope}, sources, replace(PAPER, scale=scale))
        return jnp.sum(fused.image**2)

    with jax.enable_x64(True):
        arguments = (jnp.asarray(sources), jnp.float64(8.0), jnp.float64(0.8))
        of_sources, of_scale, of_slope = jax.grad(total, argnums=(0, 1, 2))(*arguments)
        step = 1e-6
        for position, gradient in ((1, of_scale), (2, of_slope)):
            high, low = (
                total(*[a + s * step if i == position else a for i, a in enumerate(arguments)]) for s in (1, -1)
            )
            assert float(gradient) == pytest.approx(float(high - low) / (2 * step), rel=1e-6)
        nudge = jnp.zeros_like(arguments[0]).at[1, 2, 3, 0].set(step)
        high, low = (total(arguments[0] + s * nudge, *arguments[1:]) for s in (1, -1))
        assert float(of_sources[1, 2, 3, 0]) == pytest.approx(float(high - low) / (2 * step), rel=1e-6)


def test_gradients_stay_finite_where_a_component_is_perfect():
    def total(sources):
        return dynamic(AnalyticModel("mean"), sources, replace(SHARP, loss="l1")).image.sum()

    at_the_fixed_point = jnp.full((2, 2, 2, 1), -0.5)  # where 1.5 (0.8 x + 0.1) - 0.05 = x
    assert np.isfinite(jax.grad(total)(at_the_fixed_point)).all()


def test_a_number_in_the_weighting_is_traced():
    traces = []

    @jax.jit
    def fuse(weighting):
        traces.append(weighting.scale)
        return fusion.fuse(AnalyticModel("sum"), VARIABLES, jnp.ones((2, 3, 4, 1)), weighting).image

    for scale in (1.0, 2.0, 50.0):
        fuse(replace(PAPER, scale=jnp.float32(scale)))
    assert len(traces) == 1
