"""From losses to weights: forms, normalisations, correlation and the limits of the scale."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.special import expit, softmax

from tests.analytic import MEAN, STD, AnalyticModel
from ttd_jax.core.dominability import reconstruction_losses, relative_dominability, weights_from_losses
from ttd_jax.core.losses import absolute_error, squared_error
from ttd_jax.core.weighting import PAPER, LossWeighting, StaticWeighting
from ttd_jax.errors import InputError

LOSSES = np.random.default_rng(1).random((3, 4, 5)).astype(np.float32)
losses_of_any_size = st.integers(2, 5).flatmap(
    lambda m: arrays(np.float32, (m, 3, 4), elements=st.floats(0, 4, width=32))
)


def weights(losses=LOSSES, **options):
    return np.asarray(weights_from_losses(jnp.asarray(losses), replace(PAPER, **options)))


def test_losses_by_hand():
    component = jnp.array([[[0.5, 0.0, 1.0]]])
    source = jnp.array([[[0.25, 0.5, 1.0]]])
    assert float(squared_error(component, source)[0, 0]) == pytest.approx((0.0625 + 0.25 + 0) / 3)
    assert float(absolute_error(component, source)[0, 0]) == pytest.approx((0.25 + 0.5 + 0) / 3)


def test_a_grey_source_is_compared_with_every_channel():
    component = np.random.default_rng(2).random((2, 3, 3)).astype(np.float32)
    got = squared_error(jnp.asarray(component), jnp.full((2, 3, 1), 0.5))
    np.testing.assert_allclose(got, np.mean((component - 0.5) ** 2, axis=-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("space", "difference"),
    [
        ("image", lambda u, x: u - x),
        ("normalized", lambda u, x: (u - x) / STD),
        ("mixed", lambda u, x: (u - MEAN) / STD - x),
    ],
)
def test_space_of_the_comparison(space, difference):
    u, x = np.random.default_rng(3).random((2, 3, 4, 5, 1)).astype(np.float32)
    got = reconstruction_losses(AnalyticModel(), jnp.asarray(u), jnp.asarray(x), replace(PAPER, space=space, loss="l1"))
    np.testing.assert_allclose(got, np.abs(difference(u, x))[..., 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "score"),
    [("exp", lambda x: np.exp(-7 * x)), ("linear", lambda x: -7 * x), ("sigmoid", lambda x: expit(-7 * x))],
)
def test_forms_against_scipy(form, score):
    np.testing.assert_allclose(
        relative_dominability(jnp.asarray(LOSSES), scale=7.0, form=form), score(LOSSES), rtol=1e-5
    )
    np.testing.assert_allclose(weights(form=form, scale=7.0), softmax(score(LOSSES), axis=0), rtol=1e-5)


def test_the_log_form_makes_inverse_powers():
    powers = (LOSSES + 1 / 255.0) ** -1.5
    np.testing.assert_allclose(weights(form="log", scale=1.5), powers / powers.sum(axis=0), rtol=1e-5)


def test_normalizations():
    score = np.exp(-2 * LOSSES)
    np.testing.assert_allclose(weights(normalization="proportional", scale=2.0), score / score.sum(0), rtol=1e-5)
    np.testing.assert_allclose(weights(normalization="none", scale=2.0), score, rtol=1e-6)


def test_proportional_exp_is_softmax_of_the_negative_loss():
    """Which is why Table 5's "Proportional Norm" repeats Table 4's "Softmax(-l)" but for rounding."""
    proportional = weights(form="exp", normalization="proportional", scale=3.0)
    np.testing.assert_allclose(proportional, weights(form="linear", scale=3.0), rtol=1e-5)


def test_positive_correlation_exchanges_two_sources():
    np.testing.assert_allclose(weights(LOSSES[:2], correlation="positive"), weights(LOSSES[:2])[::-1], rtol=1e-6)
    assert (weights(correlation="positive").argmax(0) == LOSSES.argmax(0)).all()


def test_published_value():
    # the released CDDFuse script: softmax(exp(-50 l)); with l = 0 and l = 1 that is e / (e + 1)
    got = weights(np.array([[[0.0]], [[1.0]]], np.float32), scale=50.0)
    assert float(got[0, 0, 0]) == pytest.approx(np.e / (np.e + 1), abs=1e-6)


def test_limits_of_the_scale():
    np.testing.assert_allclose(weights(scale=0.0), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(weights(scale=0.0, form="linear"), 1 / 3, rtol=1e-6)
    chosen = (LOSSES == LOSSES.min(0)).astype(np.float32)
    np.testing.assert_allclose(weights(scale=1e6, form="linear"), chosen, atol=1e-6)
    np.testing.assert_allclose(weights(scale=1e6), 1 / 3, rtol=1e-6)  # exp saturates at 0 for all
    perfect = np.stack([np.zeros((4, 5), np.float32), *LOSSES[1:] + 0.1])
    np.testing.assert_allclose(weights(perfect, scale=1e6)[0], np.e / (np.e + 2), rtol=1e-5)


@given(losses_of_any_size, st.floats(0, 100, width=32), st.sampled_from(["exp", "linear", "sigmoid", "log"]))
def test_weights_sum_to_one_and_order_the_losses_backwards(losses, scale, form):
    got = weights(losses, scale=scale, form=form)
    np.testing.assert_allclose(got.sum(0), 1, atol=1e-6)
    order = np.argsort(losses, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(got, order, axis=0), axis=0) <= 1e-6).all()


@given(losses_of_any_size, st.randoms(use_true_random=False))
def test_permuting_losses_permutes_weights(losses, random):
    order = list(range(len(losses)))
    random.shuffle(order)
    np.testing.assert_allclose(weights(losses[order]), weights(losses)[order], atol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
def test_smoothing_against_scipy(sigma):
    losses = np.random.default_rng(4).random((2, 9, 11)).astype(np.float32)
    blurred = gaussian_filter(losses, (0, sigma, sigma), mode="nearest", radius=(0, *[math.ceil(3 * sigma)] * 2))
    np.testing.assert_allclose(weights(losses, smoothing=sigma), softmax(np.exp(-blurred), axis=0), rtol=1e-4)


def test_the_best_of_many_sources_stays_within_its_bound():
    # exp lies in (0, 1], so a softmax over M sources stays under e / (e + M - 1)
    for count in range(2, 6):
        extreme = np.full((count, 1, 1), 1e9, np.float32)
        extreme[0] = 0
        assert float(weights(extreme)[0, 0, 0]) == pytest.approx(np.e / (np.e + count - 1), rel=1e-5)


def test_options_left_out_come_from_the_recipe():
    recipe = LossWeighting(
        "l1",
        scale=3.0,
        component="black",
        space="mixed",
        form="sigmoid",
        normalization="proportional",
        correlation="negative",
        smoothing=3.0,
    )
    assert LossWeighting().complete(recipe) == recipe
    own = LossWeighting(scale=0.0, loss="mse").complete(recipe)
    assert (own.loss, own.scale, own.component) == ("mse", 0.0, "black")


def test_the_scale_is_traced_and_the_names_are_static():
    leaves, treedef = jax.tree.flatten(replace(PAPER, scale=2.0))
    assert leaves == [2.0, 0.0]
    assert treedef == jax.tree.structure(replace(PAPER, scale=9.0))
    assert treedef != jax.tree.structure(replace(PAPER, scale=9.0, loss="l1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "ssim"}, "loss is one of 'mse', 'l1' or a function of component and source; got 'ssim'"),
        ({"component": "both"}, "component is one of 'alone', 'scaled', 'black', 'fused'; got 'both'"),
        ({"space": "lab"}, "space is one of 'image', 'normalized', 'mixed'; got 'lab'"),
        ({"form": "cubic"}, "form is one of 'exp', 'linear', 'sigmoid', 'log'; got 'cubic'"),
        ({"normalization": "max"}, "normalization is one of 'softmax', 'proportional', 'none'; got 'max'"),
        ({"correlation": "zero"}, "correlation is one of 'negative', 'positive'; got 'zero'"),
        ({"scale": -1}, "scale is a finite number of at least 0; got -1"),
        ({"scale": float("nan")}, "scale is a finite number of at least 0; got nan"),
        ({"scale": float("inf")}, "scale is a finite number of at least 0; got inf"),
        ({"scale": np.float32(-2)}, "scale is a finite number of at least 0; got np.float32(-2.0)"),
        ({"scale": "50"}, "scale is a finite number of at least 0; got '50'"),
        ({"smoothing": -1}, "smoothing is a number of pixels from 0 to 100; got -1"),
        ({"smoothing": float("nan")}, "smoothing is a number of pixels from 0 to 100; got nan"),
        (
            {"form": "linear", "normalization": "proportional"},
            'normalization="proportional" needs positive scores: use form="exp" or "sigmoid"',
        ),
        (
            {"correlation": "positive", "normalization": "none"},
            'correlation="positive" is defined for normalization="softmax" only',
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError) as caught:
        LossWeighting(**options)
    assert str(caught.value) == message


def test_an_unknown_static_rule():
    with pytest.raises(InputError) as caught:
        StaticWeighting("median")
    assert str(caught.value) == "static rules are max, mean, sum, l1; got 'median'"


def test_records_are_values():
    assert LossWeighting(scale=2.0) == LossWeighting(scale=2.0)
    assert hash(StaticWeighting("mean")) == hash(StaticWeighting("mean"))
    with pytest.raises(AttributeError):
        LossWeighting().loss = "l1"  # type: ignore[misc]
