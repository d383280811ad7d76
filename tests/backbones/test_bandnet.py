"""BandNet: where it starts, what it is made of, and what it makes of sources that are odd."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax.backbones import bandnet, bandnet_layers, bandnet_network, pyramid
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import PAPER, StaticWeighting
from ttd_jax.ops import mosaic
from ttd_jax.ops.pyramid import collapse, laplacian_pyramid
from ttd_jax.ops.sources import highest_other

run = jax.jit(fuse, static_argnums=0)
encode = jax.jit(lambda model, variables, sources: model.encode(variables, sources), static_argnums=0)


def draw(*shape, seed=0):
    return jax.device_put(np.random.default_rng(seed).random(shape, np.float32))


@pytest.fixture(scope="module")
def model():
    return bandnet.build(channels=4, hidden=4, base=4)


@pytest.fixture(scope="module")
def variables(model):
    return jax.jit(model.network.init)(jax.random.key(0), jnp.zeros((2, 24, 24, 1)))


@pytest.fixture(scope="module")
def silent(variables):
    """Parameters of which nothing comes: no prior, no sharpness but 1, nothing taken out."""
    silenced = jax.tree.map(jnp.zeros_like, variables)
    silenced["params"]["judge"]["component"]["head"]["bias"] = jnp.array([-40.0] * 4 + [0.0] * 12)
    return silenced


def test_a_silent_network_is_the_energy_weighted_pyramid(model, silent):
    sources = draw(3, 37, 50, 1)
    one = run(model, silent, sources, replace(bandnet.WEIGHTING, scale=0.0))
    other = run(pyramid.MODEL, {}, sources, pyramid.WEIGHTING)
    np.testing.assert_allclose(one.image, other.image, atol=1e-5)
    np.testing.assert_allclose(one.components, sources, atol=1e-5)


def test_training_starts_near_it(model, variables):
    from skimage import data

    photograph = (data.camera()[100:164, 100:164] / 255).astype(np.float32)
    sources = jnp.asarray(np.stack([photograph, photograph[::-1]]))[..., jnp.newaxis]
    one = run(model, variables, sources, bandnet.WEIGHTING)
    other = run(pyramid.MODEL, {}, sources, pyramid.WEIGHTING)
    assert np.abs(one.image - other.image).mean() < 0.02


def test_the_fused_image_is_the_weighted_sum_of_component_bands(model, variables):
    sources = draw(2, 40, 45, 1)
    features = encode(model, variables, sources)
    fused = run(model, variables, sources, bandnet.WEIGHTING)
    expected = [
        np.sum(np.asarray(w[..., 0]) * band, axis=0) for w, band in zip(fused.bands, features.bands, strict=True)
    ]
    put_together = jax.jit(collapse)
    np.testing.assert_allclose(fused.image[..., 0], put_together(expected), atol=1e-5)
    np.testing.assert_allclose(fused.components[..., 0], put_together(features.bands), atol=1e-5)


def test_a_component_depends_on_its_source_alone(model, variables):
    sources, others = draw(2, 40, 45, 1), draw(2, 40, 45, 1, seed=1)
    others = others.at[0].set(sources[0])
    one, other = (encode(model, variables, s).bands for s in (sources, others))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a[0], b[0], atol=1e-6)


def test_static_fusion_is_the_mean_of_the_components(model, variables):
    sources = draw(3, 30, 33, 1)
    fused = run(model, variables, sources, StaticWeighting())
    components = jax.jit(collapse)(encode(model, variables, sources).bands)
    np.testing.assert_allclose(fused.image[..., 0], np.mean(components, axis=0), atol=1e-5)


def test_order_does_not_matter(model, variables):
    sources, order = draw(4, 35, 41, 1), np.array([2, 0, 3, 1])
    one, other = (run(model, variables, s, bandnet.WEIGHTING) for s in (sources, sources[order]))
    np.testing.assert_allclose(one.image, other.image, atol=1e-5)
    np.testing.assert_allclose(np.asarray(one.weights)[order], other.weights, atol=1e-5)


def test_full_size_weights_are_taken_too(model, variables):
    fused = run(model, variables, draw(2, 30, 33, 1), replace(PAPER, bands=1))
    assert fused.bands is None and np.isfinite(fused.image).all()
    np.testing.assert_allclose(fused.weights.sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (16, 16), (17, 90)])
@pytest.mark.parametrize("kind", ["black", "noise", "equal"])
def test_odd_sources_give_a_finite_picture(model, variables, size, kind):
    image = draw(1, *size, 1)
    other = {"black": 0 * image, "noise": draw(1, *size, 1, seed=5), "equal": image}[kind]
    fused = run(model, variables, jnp.concatenate([image, other]), bandnet.WEIGHTING)
    assert np.isfinite(fused.image).all()
    np.testing.assert_allclose(fused.weights.sum(axis=0), 1, atol=1e-5)
    if kind == "equal":
        np.testing.assert_allclose(fused.weights, 0.5, atol=1e-5)


def test_tiles_give_what_the_whole_gives(model, variables, monkeypatch):
    sources = draw(3, 75, 61, 1, seed=4)
    whole = run(model, variables, sources, bandnet.WEIGHTING)
    assert "scan" not in str(jax.make_jaxpr(model.encode)(variables, sources))
    monkeypatch.setattr(mosaic, "TILE_PIXELS", 2000)
    monkeypatch.setattr(mosaic, "WIDEST", 40)
    monkeypatch.setattr(bandnet_layers, "DECISION_PIXELS", 700)
    assert str(jax.make_jaxpr(model.encode)(variables, sources)).count("scan[") == 3  # rows, columns; rows of a tile
    parts = jax.jit(partial(fuse, model))(variables, sources, bandnet.WEIGHTING)
    np.testing.assert_allclose(parts.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-5)


def test_noise_halves_with_every_band():
    """What the network takes for granted of white noise, on white noise."""
    noise = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    bands = jax.jit(partial(laplacian_pyramid, levels=5))(noise)[:-1]
    spreads = [float(np.std(np.asarray(band))) for band in bands]
    np.testing.assert_allclose(bandnet_network.NOISE_IN_BAND[:5], np.array(spreads) / spreads[0], rtol=0.35)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_the_highest_of_the_others(count):
    values = np.random.default_rng(count).integers(0, 4, (count, 5, 6)).astype(np.float32)  # ties, too
    expected = [np.delete(values, m, axis=0).max(axis=0) for m in range(count)]
    np.testing.assert_array_equal(highest_other(jnp.asarray(values)), expected)
