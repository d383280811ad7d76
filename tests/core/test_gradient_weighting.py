"""Weights from gradients: closed forms, finite differences, channels, and safety under jit and permutation."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from tests.analytic import GAIN, OFFSET, VARIABLES, AnalyticModel, decode, encode, normalize
from ttd_jax.core.dominability import uni_source_components, weights_from_losses
from ttd_jax.core.fusion import fuse
from ttd_jax.core.gradient_weighting import GradientWeighting
from ttd_jax.core.gradients import (
    channel_mix,
    channel_scores,
    channel_sums,
    component_gradients,
    count_channels,
    local_detail,
    total_loss,
)
from ttd_jax.core.weighting import PAPER, StaticWeighting
from ttd_jax.errors import InputError

SOURCES = np.random.default_rng(0).random((3, 6, 7, 2)).astype(np.float32)
EQ7 = GradientWeighting(channel=0).complete(PAPER)


@partial(jax.jit, static_argnames="model")
def fused(model, sources, weighting):
    return fuse(model, VARIABLES, sources, weighting)


def slopes_by_hand(component, size):
    """|dL/dz| of the squared error for a linear decoder, each channel with mean 1."""
    slopes = np.abs(component - SOURCES) * size
    return slopes / slopes.mean(axis=(0, 1, 2))


@pytest.mark.parametrize(
    ("kind", "rule", "latent"),
    [
        ("alone", "sum", lambda z: z),
        ("alone", "mean", lambda z: z),
        ("scaled", "sum", lambda z: 3 * z),
        ("scaled", "mean", lambda z: z),
        ("black", "sum", lambda z: z + 2 * OFFSET),
        ("black", "mean", lambda z: (z + 2 * OFFSET) / 3),
        ("fused", "sum", lambda z: np.broadcast_to(z.sum(axis=0), z.shape)),
        ("fused", "mean", lambda z: np.broadcast_to(z.mean(axis=0), z.shape)),
    ],
)
def test_every_number_by_hand(kind, rule, latent):
    component = decode(latent(encode(SOURCES)))
    slopes = slopes_by_hand(component, 2 * GAIN / 2)
    weighting = replace(EQ7, component=kind, scale=0.7)
    for channel, slope in {0: slopes[..., 0], 1: slopes[..., 1], "mean": slopes.mean(axis=-1)}.items():
        result = fused(AnalyticModel(rule), SOURCES, replace(weighting, channel=channel))
        weights = softmax(np.exp(-0.7 * slope), axis=0)
        np.testing.assert_allclose(result.components, component, rtol=1e-5)
        np.testing.assert_allclose(result.losses, slope, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.weights, weights, rtol=1e-4)
        merged = (weights[..., None] * encode(SOURCES)).sum(axis=0) * (3 if rule == "sum" else 1)
        np.testing.assert_allclose(result.image, decode(merged), rtol=1e-4)


class Blurring(AnalyticModel):
    """The analytic model with a decoder that looks at its neighbours and is not linear."""

    def decode(self, variables, latent):
        near = latent + 0.3 * jnp.roll(latent, 1, axis=0) - 0.2 * jnp.roll(latent, -1, axis=1)
        return jnp.tanh(super().decode(variables, near)) + 0.1 * near[..., ::-1]


def skewed(component, source):
    """A loss of a user."""
    return jnp.mean(jnp.exp(component - source)) * jnp.mean(component**2)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [("alone", "l1"), ("scaled", "mse"), ("black", "ssim"), ("fused", "gradient"), ("scaled", skewed)],
)
def test_gradients_are_finite_differences(kind, loss):
    rng = np.random.default_rng(1)
    model, weighting = Blurring("sum"), replace(EQ7, loss=loss, component=kind, space="normalized")
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # float32 parameters
        sources = jnp.asarray(rng.random((3, 5, 6, 2)))
        features = model.encode(VARIABLES, sources)
        _, magnitudes = jax.jit(partial(component_gradients, model, VARIABLES, weighting=weighting))(sources, features)

        @jax.jit
        def value(features, m):
            component = uni_source_components(model, VARIABLES, sources, features, kind=kind)[m]
            return total_loss(loss)(normalize(component), normalize(sources[m]))

        for m in range(3):
            index = (m, *(rng.integers(0, n) for n in sources.shape[1:]))
            high, low = (value(features.at[index].add(step), m) for step in (1e-6, -1e-6))
            np.testing.assert_allclose(magnitudes[index], abs(float(high - low)) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_network_that_mixes_sources_is_differentiated_in_the_sources_own_features():
    model = AnalyticModel("sum", mixing=True)
    for kind in ("alone", "scaled", "black"):
        weighting = replace(EQ7, component=kind)
        features = model.encode(VARIABLES, jnp.asarray(SOURCES))
        components, magnitudes = component_gradients(model, VARIABLES, jnp.asarray(SOURCES), features, weighting)
        factor = 3 if kind == "scaled" else 1  # three copies move together
        np.testing.assert_allclose(magnitudes, factor * GAIN * np.abs(components - SOURCES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_knows_neither_the_loss_nor_the_features_nor_the_size(factor):
    class Rescaled(AnalyticModel):
        def encode(self, variables, sources):
            return factor * super().encode(variables, sources)

        def decode(self, variables, latent):
            return super().decode(variables, latent / factor)

    plain = fused(AnalyticModel(), SOURCES, EQ7)

    def mean(component, source):
        return factor * jnp.mean((component - source) ** 2)

    def check(other):
        np.testing.assert_allclose(other, plain.weights, rtol=1e-4)

    check(fused(Rescaled(), SOURCES, EQ7).weights)
    check(fused(AnalyticModel(), SOURCES, replace(EQ7, loss=mean)).weights)
    tiled = fused(AnalyticModel(), np.tile(SOURCES, (1, 2, 3, 1)), EQ7)
    check(tiled.weights[:, :6, :7])
    assert np.std(plain.weights) > 0.02  # a mean loss taken as it is gives weights of 1/3 to six digits


class TwoScales(AnalyticModel):
    """Features of two sizes, in a tree: the image at half size, and itself with two channels."""

    def encode(self, variables, sources):
        small = sources.reshape(len(sources), 3, 2, 4, 2, 2).mean(axis=(2, 4))
        return {"b_coarse": small, "a_fine": super().encode(variables, sources), "number": jnp.ones(len(sources))}

    def merge(self, features, weights=None):
        def merged(leaf):
            by = None if weights is None else jax.image.resize(weights, (len(weights), *leaf.shape[1:3], 1), "linear")
            return AnalyticModel.merge(self, leaf, by)

        return {name: merged(features[name]) for name in ("a_fine", "b_coarse")}

    def decode(self, variables, latent):
        large = jnp.repeat(jnp.repeat(latent["b_coarse"], 2, axis=0), 2, axis=1)
        return super().decode(variables, latent["a_fine"] + 3 * large[:, :, :1])


def test_channels_of_a_tree_stand_side_by_side_and_small_maps_are_enlarged():
    sources = jnp.asarray(np.random.default_rng(2).random((3, 6, 8, 2)), jnp.float32)
    model = TwoScales()
    assert count_channels(model, VARIABLES, sources.shape) == 4
    features = model.encode(VARIABLES, sources)
    components, magnitudes = component_gradients(model, VARIABLES, sources, features, EQ7)
    difference = GAIN * (components - sources)
    np.testing.assert_allclose(magnitudes[..., :2], np.abs(difference), rtol=1e-4, atol=1e-6)
    cells = np.asarray(3 * difference).reshape(3, 3, 2, 4, 2, 2).sum(axis=(2, 4, 5))
    enlarged = jax.image.resize(np.abs(cells), (3, 6, 8), "linear")
    np.testing.assert_allclose(magnitudes[..., 2], enlarged, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(magnitudes[..., 3], 0)  # the second coarse channel is not decoded


def test_a_channel_without_gradient_leaves_the_average():
    sources = jnp.asarray(np.random.default_rng(2).random((3, 6, 8, 2)), jnp.float32)
    result = fused(TwoScales(), sources, replace(EQ7, channel=3))
    np.testing.assert_allclose(result.weights, 1 / 3, rtol=1e-6)


def test_padded_features_are_cut():
    class Padded(AnalyticModel):
        def encode(self, variables, sources):
            return jnp.pad(super().encode(variables, sources), ((0, 0), (0, 2), (0, 3), (0, 0)))

        def merge(self, features, weights=None):
            return super().merge(features[:, :6, :7], weights)

    got, plain = (fused(model, SOURCES, EQ7) for model in (Padded(), AnalyticModel()))
    np.testing.assert_allclose(got.losses, plain.losses, rtol=1e-6)


@pytest.mark.parametrize("channel", [1, [0, 1], "mean", "auto"])
@pytest.mark.parametrize("rule", ["mean", "max"])
def test_permuting_sources_permutes_weights(channel, rule):
    weighting, order = replace(EQ7, channel=channel, scale=2.0), [2, 0, 1]
    straight, permuted = (fused(Blurring(rule), s, weighting) for s in (SOURCES, SOURCES[order]))
    np.testing.assert_allclose(permuted.weights, np.asarray(straight.weights)[order], atol=1e-6)
    np.testing.assert_allclose(permuted.image, straight.image, atol=1e-6)
    np.testing.assert_allclose(np.sum(straight.weights, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("channel", [1, [1, 0], "mean", "auto"])
def test_jit_equals_eager_and_vmap_equals_a_loop(channel):
    weighting = replace(EQ7, channel=channel)
    eager = fuse(Blurring("sum"), VARIABLES, jnp.asarray(SOURCES), weighting)
    compiled = fused(Blurring("sum"), SOURCES, weighting)
    batch = jax.vmap(lambda s: fuse(Blurring("sum"), VARIABLES, s, weighting))(SOURCES[None])
    for other in (compiled, jax.tree.map(lambda leaf: leaf[0], batch)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), other, eager)
    assert (eager.found is None) == (channel != "auto")


def test_the_largest_and_the_smallest_scale():
    for channel in (0, "mean", "auto"):
        weighting = replace(EQ7, channel=channel)
        average = fused(AnalyticModel(), SOURCES, replace(weighting, scale=0.0))
        np.testing.assert_allclose(average.weights, 1 / 3, rtol=1e-6)
        np.testing.assert_allclose(
            average.image, fuse(AnalyticModel(), VARIABLES, jnp.asarray(SOURCES), StaticWeighting()).image, rtol=1e-5
        )
        selection = fused(AnalyticModel(), SOURCES, replace(weighting, form="linear", scale=1e7))
        best = np.argmin(selection.losses, axis=0)
        np.testing.assert_allclose(selection.weights, np.arange(3)[:, None, None] == best, atol=1e-3)
        np.testing.assert_array_equal(np.isfinite(selection.image), True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"form": "linear"}, lambda g: softmax(-2 * g, axis=0)),
        ({"form": "sigmoid"}, lambda g: softmax(expit(-2 * g), axis=0)),
        ({"form": "exp"}, lambda g: softmax(np.exp(-2 * g), axis=0)),
        ({"form": "exp", "correlation": "positive"}, lambda g: softmax(-np.exp(-2 * g), axis=0)),
        ({"form": "exp", "normalization": "none"}, lambda g: np.exp(-2 * g)),
        ({"form": "sigmoid", "normalization": "proportional"}, lambda g: expit(-2 * g) / expit(-2 * g).sum(axis=0)),
    ],
)
def test_forms_and_normalizations_are_those_of_the_loss(options, expected):
    gradients = np.random.default_rng(3).random((3, 4, 5)).astype(np.float32)
    got = weights_from_losses(jnp.asarray(gradients), replace(EQ7, scale=2.0, **options))
    np.testing.assert_allclose(got, expected(gradients), rtol=1e-5)


sums_of = jax.jit(partial(channel_sums, score=True))


def test_auto_takes_the_channel_that_agrees_with_the_detail():
    rng = np.random.default_rng(4)
    fine, flat = rng.random((40, 40)), np.full((40, 40), 0.5)
    left = np.arange(40) < 20
    sources = jnp.asarray(np.stack([np.where(left, fine, flat), np.where(left, flat, fine)])[..., None], jnp.float32)
    right, wrong = np.stack([np.where(left, 1, 2), np.where(left, 2, 1)]), rng.uniform(1, 2, (2, 40))
    maps = jnp.asarray(np.broadcast_to(np.stack([wrong, 3 - right, right], -1)[:, None], (2, 40, 40, 3)), jnp.float32)
    for factors in ([1.0, 1.0, 1.0], [1e-3, 1e3, 1e-5]):  # the units of a channel do not matter
        sums = sums_of(maps * jnp.array(factors), sources, jnp.ones(40, bool))
        assert int(channel_mix("auto", sums)[1]) == 2
        scores = np.asarray(channel_scores(sums))
        spread = 1 / 3  # of 1 - g / mean(g) for g of 1 and 2
        assert scores[2] > 0.5 - spread and scores[1] == pytest.approx(-scores[2] - 2 * spread, abs=1e-4)
        assert abs(scores[0] + spread) < 0.4


def test_auto_never_takes_a_channel_without_gradient():
    sources = jnp.asarray(np.random.default_rng(6).random((2, 8, 9, 1)), jnp.float32)
    maps = jnp.abs(sources) * jnp.array([0.0, 1.0, 0.0])
    sums = sums_of(maps, sources, jnp.ones(8, bool))
    assert int(channel_mix("auto", sums)[1]) == 1


def test_detail_is_where_the_texture_is():
    flat, detail_of = jnp.full((1, 40, 40, 1), 0.5), jax.jit(local_detail)
    assert float(np.max(detail_of(flat))) == pytest.approx(0.004, rel=1e-3)
    textured = flat.at[0, ::2, :20].set(1.0)
    detail = detail_of(textured)[0]
    assert float(detail[20, 5]) > 20 * float(detail[20, 38])


def test_an_index_out_of_range_is_not_silent_in_the_core():
    assert np.isnan(fused(AnalyticModel(), SOURCES, replace(EQ7, channel=2)).weights).all()


def test_a_loss_that_is_not_one_number():
    with pytest.raises(InputError, match=r"returns one real number .* abs_difference returned float32 of shape \(6, 7"):

        def abs_difference(component, source):
            return jnp.abs(component - source)

        fused(AnalyticModel(), SOURCES, replace(EQ7, loss=abs_difference))
    with pytest.raises(InputError, match="returned int32 of shape"):
        fused(AnalyticModel(), SOURCES, replace(EQ7, loss=lambda u, x: 1))


def test_features_without_a_map_per_source():
    class Together(AnalyticModel):
        def encode(self, variables, sources):
            return jnp.mean(sources, axis=0)

    with pytest.raises(InputError, match=r"a map for each of the 3 sources; this network has \(6, 7, 2\)"):
        count_channels(Together(), VARIABLES, SOURCES.shape)
