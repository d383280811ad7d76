"""Components of every kind, rule and kind of encoder, against formulas written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.analytic import MIX, OFFSET, SLOPE, VARIABLES, AnalyticModel, decode, encode
from ttd_jax.core.dominability import uni_source_components

SOURCES = np.random.default_rng(0).random((3, 4, 5, 2)).astype(np.float32)


def components(model, kind):
    sources = jnp.asarray(SOURCES)
    return uni_source_components(model, VARIABLES, sources, model.encode(VARIABLES, sources), kind=kind)


@pytest.mark.parametrize("rule", ["sum", "mean", "max"])
def test_alone_is_the_decoded_encoding_whatever_the_rule(rule):
    got = components(AnalyticModel(rule), "alone")
    np.testing.assert_allclose(got, [decode(encode(x)) for x in SOURCES], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "rule", "latent"),
    [
        ("scaled", "sum", lambda x: 3 * encode(x)),
        ("scaled", "mean", lambda x: encode(x)),
        ("scaled", "max", lambda x: encode(x)),
        ("black", "sum", lambda x: encode(x) + 2 * OFFSET),
        ("black", "mean", lambda x: (encode(x) + 2 * OFFSET) / 3),
        ("black", "max", lambda x: np.maximum(encode(x), OFFSET)),
    ],
)
def test_scaled_and_black_are_static_fusions_with_chosen_partners(kind, rule, latent):
    got = components(AnalyticModel(rule), kind)
    np.testing.assert_allclose(got, [decode(latent(x)) for x in SOURCES], rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "merge"), [("sum", lambda z: z.sum(0)), ("mean", lambda z: z.mean(0)), ("max", lambda z: z.max(0))]
)
def test_fused_is_the_static_fusion_for_every_source(rule, merge):
    got = components(AnalyticModel(rule), "fused")
    np.testing.assert_allclose(got, 3 * [decode(merge(encode(SOURCES)))], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "latent"),
    [
        ("alone", lambda x: SLOPE * x + OFFSET + MIX * SOURCES.mean(0)),
        ("scaled", lambda x: 3 * (SLOPE * x + OFFSET + MIX * x)),
        ("black", lambda x: SLOPE * x + 3 * OFFSET + 3 * MIX * x / 3),
    ],
)
def test_a_network_that_mixes_sources_is_encoded_anew_with_the_partners(kind, latent):
    got = components(AnalyticModel("sum", mixing=True), kind)
    np.testing.assert_allclose(got, [decode(latent(x)) for x in SOURCES], rtol=1e-6)


@pytest.mark.parametrize("kind", ["alone", "scaled", "black", "fused"])
def test_components_go_without_residual_and_last_step(kind):
    plain, extra = (components(AnalyticModel("sum", extras=on), kind) for on in (False, True))
    np.testing.assert_array_equal(plain, extra)


def test_features_may_be_a_tree():
    class TwoScales(AnalyticModel):
        def encode(self, variables, sources):
            return {"fine": super().encode(variables, sources), "coarse": 2 * sources}

        def merge(self, features, weights=None):
            return jax.tree.map(lambda leaf: AnalyticModel.merge(self, leaf, weights), features)

        def decode(self, variables, latent):
            return super().decode(variables, latent["fine"] + latent["coarse"])

    got = components(TwoScales("sum"), "black")
    np.testing.assert_allclose(got, [decode(encode(x) + 2 * OFFSET + 2 * x) for x in SOURCES], rtol=1e-6)


def test_unknown_kind_is_refused():
    with pytest.raises(KeyError):
        components(AnalyticModel(), "everything")


class Padding(AnalyticModel):
    """Adds the features of the pixel to the right, and zero beyond the border, so that black looks different there."""

    def encode(self, variables, sources):
        features = super().encode(variables, sources)
        return features + jnp.pad(features[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0)))


def test_a_black_partner_is_a_whole_image_to_a_network_that_sees_its_border():
    def padded(x):
        right = np.zeros_like(x)
        right[:, :-1] = encode(x)[:, 1:]
        return encode(x) + right

    black = padded(np.zeros_like(SOURCES[0]))
    assert black.std() > 0
    got = components(Padding("sum"), "black")
    np.testing.assert_allclose(got, [decode(padded(x) + 2 * black) for x in SOURCES], rtol=1e-5)
