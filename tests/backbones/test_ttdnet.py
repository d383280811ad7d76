"""TTDNet: what its latent holds, and how far it looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax.backbones import ttdnet
from ttd_jax.core.dominability import uni_source_components
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import StaticWeighting


@pytest.fixture(scope="module")
def model():
    return ttdnet.build(channels=4)


@pytest.fixture(scope="module")
def variables(model):
    return model.network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


def test_the_latent_is_the_moments_over_the_sources(model, variables):
    sources, weights = draw(3, 9, 11, 1), jax.nn.softmax(4 * draw(3, 9, 11, 1, seed=1), axis=0)
    latent = model.merge(model.encode(variables, sources), weights)
    np.testing.assert_allclose(latent["first"][..., 0], np.average(sources[..., 0], 0, weights[..., 0]), atol=1e-6)
    variance = latent["second"][..., 0] - latent["first"][..., 0] ** 2
    expected = np.average((sources - latent["first"][..., :1])[..., 0] ** 2, 0, weights[..., 0])
    np.testing.assert_allclose(variance, expected, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_mixture_counts_the_sources(model, variables, count):
    features = model.encode(variables, draw(count, 9, 11, 1))
    np.testing.assert_allclose(model.merge(features)["mixture"], 1 - 1 / count, atol=1e-6)
    one = jnp.zeros((count, 9, 11, 1)).at[1].set(1)
    np.testing.assert_allclose(model.merge(features, one)["mixture"], 0, atol=1e-6)


def test_a_component_is_the_source_decoded_alone(model, variables):
    sources = draw(3, 9, 11, 1)
    components = uni_source_components(model, variables, sources, model.encode(variables, sources), kind="alone")
    for source, component in zip(sources, components, strict=True):
        np.testing.assert_allclose(component, model.network.apply(variables, source), atol=1e-6)


def test_uniform_weights_are_the_static_rule(model, variables):
    sources = draw(3, 9, 11, 1)
    latent = model.merge(model.encode(variables, sources), jnp.full((3, 9, 11, 1), 1 / 3))
    np.testing.assert_allclose(
        model.decode(variables, latent), fuse(model, variables, sources, StaticWeighting()).image, atol=1e-6
    )


def test_order_does_not_matter(model, variables):
    sources, order = draw(4, 19, 21, 1), np.array([2, 0, 3, 1])
    one, other = (fuse(model, variables, s, ttdnet.WEIGHTING) for s in (sources, sources[order]))
    np.testing.assert_allclose(one.image, other.image, atol=1e-5)
    np.testing.assert_allclose(one.weights[order], other.weights, atol=1e-5)


def test_no_pixel_further_than_the_halo_counts(model, variables):
    def decoded(source):
        return model.network.apply(variables, source)

    slope = jax.grad(lambda source: decoded(source)[30, 30, 0])(draw(61, 61, 1))[..., 0]
    reach = sum(model.facts.halo)
    outside = np.abs(slope).copy()
    outside[30 - reach : 31 + reach, 30 - reach : 31 + reach] = 0
    assert outside.max() == 0 and np.abs(slope[30 - reach]).max() > 0
