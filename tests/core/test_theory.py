"""Covariance and bound: against NumPy, closed forms, and the inequalities that must hold for any image."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from scipy.stats import pearsonr

from ttd_jax.core.dominability import weights_from_losses
from ttd_jax.core.theory import correlation, covariance, cross_losses, generalization_bound
from ttd_jax.core.weighting import PAPER

RNG = np.random.default_rng(0)


def stacks(low, high):
    """Two to four maps of 3 x 4 pixels."""
    elements = st.floats(low, high, width=32)
    return st.integers(2, 4).flatmap(lambda m: arrays(np.float32, (m, 3, 4), elements=elements))


def softmax(scores):
    return np.asarray(jax.nn.softmax(jnp.asarray(scores), axis=0))


def bound(fused, weights, components, sources):
    """The bound of single-channel arrays, as floats."""
    got = generalization_bound(*(jnp.asarray(a, jnp.float32) for a in (fused, weights, components, sources)))
    return type(got)(*map(float, got))


def test_covariance_and_correlation_against_numpy_and_scipy():
    weights, losses = RNG.random((2, 3, 20, 30)).astype(np.float32)
    losses -= 0.5 * weights
    expected = [np.cov(w.ravel(), x.ravel(), ddof=0)[0, 1] for w, x in zip(weights, losses, strict=True)]
    np.testing.assert_allclose(covariance(jnp.asarray(weights), jnp.asarray(losses)), expected, rtol=1e-4)
    expected = [pearsonr(w.ravel(), x.ravel()).statistic for w, x in zip(weights, losses, strict=True)]
    np.testing.assert_allclose(correlation(jnp.asarray(weights), jnp.asarray(losses)), expected, rtol=1e-4)


def test_covariance_by_hand():
    losses = jnp.array([[[0.0, 1.0]], [[1.0, 0.0]]])  # each source is wrong in one of two pixels
    weights = jnp.array([[[0.8, 0.2]], [[0.2, 0.8]]])
    np.testing.assert_allclose(covariance(weights, losses), [-0.15, -0.15], rtol=1e-6)
    np.testing.assert_allclose(correlation(weights, losses), [-1, -1], rtol=1e-6)


def test_a_correlation_is_no_more_than_one_whatever_is_rounded():
    weights = jnp.asarray(RNG.random((500, 8, 9)), jnp.float32)
    found = np.asarray(correlation(weights, 3 * weights))
    assert found.min() > 1 - 1e-5 and found.max() <= 1


@pytest.mark.parametrize("count", [2, 3, 7])
def test_uniform_weights_have_no_covariance(count):
    losses = jnp.asarray(RNG.random((count, 31, 17)), jnp.float32)
    uniform = jnp.full(losses.shape, 1 / count)
    np.testing.assert_array_equal(covariance(uniform, losses), 0)
    np.testing.assert_array_equal(correlation(uniform, losses), 0)
    np.testing.assert_array_equal(correlation(losses, jnp.zeros_like(losses)), 0)


def test_many_pixels_lose_no_digits():
    weights, losses = RNG.random((2, 2, 1500, 2000)).astype(np.float32)
    losses = 100 + losses - 0.01 * weights
    pairs = zip(weights.astype(np.float64), losses.astype(np.float64), strict=True)
    expected = [np.cov(w.ravel(), x.ravel(), ddof=0)[0, 1] for w, x in pairs]
    np.testing.assert_allclose(covariance(jnp.asarray(weights), jnp.asarray(losses)), expected, rtol=0.01)


@given(stacks(0, 4), st.floats(0, 50))
def test_softmax_of_negative_losses_can_not_covary_positively(losses, scale):
    """True for any losses at all: a negative sum says nothing about an image."""
    total = float(covariance(jnp.asarray(softmax(-scale * losses)), jnp.asarray(losses)).sum())
    assert total <= 1e-6


@given(stacks(0, 4), st.floats(0, 50))
def test_positive_correlation_has_the_other_sign(losses, scale):
    weighting = replace(PAPER, loss="l1", scale=scale, form="linear", correlation="positive")
    weights = weights_from_losses(jnp.asarray(losses), weighting)
    assert float(covariance(weights, jnp.asarray(losses)).sum()) >= -1e-6


def test_the_formula_of_the_paper_can_covary_positively():
    """softmax(exp(-loss)) is no monotone map: where all losses are large it stops looking at them."""
    losses = jnp.array([[[0.0, 5.0]], [[0.5, 6.0]]])  # source 1 is better by .5, then by 1, which exp hides
    weights = jax.nn.softmax(jnp.exp(-losses), axis=0)
    first = expit(1 - np.exp(-0.5)), expit(np.exp(-5) - np.exp(-6))
    expected = (first[0] - first[1]) * (-0.5 - -1.0) / 4
    assert float(covariance(weights, losses).sum()) == pytest.approx(expected, rel=1e-4) and expected > 0.01


def test_cross_losses_by_hand():
    components = RNG.random((3, 4, 5, 2)).astype(np.float32)
    sources = RNG.random((3, 4, 5, 2)).astype(np.float32)
    expected = [[np.abs(u - x).mean() for x in sources] for u in components]
    np.testing.assert_allclose(cross_losses(jnp.asarray(components), jnp.asarray(sources)), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
def test_every_term_against_the_formula(count):
    components, sources = RNG.random((2, count, 6, 7, 1)).astype(np.float32)
    fused = RNG.random((6, 7, 1)).astype(np.float32)
    weights = softmax(RNG.random((count, 6, 7)).astype(np.float32))
    got = bound(fused, weights, components, sources)
    error = sum(np.abs(fused - x).mean() for x in sources)
    decomposed, constant, total = 0.0, 0.0, 0.0
    for i, m in itertools.product(range(count), repeat=2):
        distance = np.abs(components[i] - sources[m])[..., 0]
        decomposed += (weights[i] * distance).mean()
        constant += distance.mean() * ((2 * count - 1) / count if i == m else (count - 1) / count)
        if i == m:
            total += np.cov(weights[m].ravel(), distance.ravel(), ddof=0)[0, 1]
    np.testing.assert_allclose(got, [error, decomposed, total, constant, total + constant], rtol=1e-5)


@given(st.data())
def test_the_chain_of_inequalities_holds_for_a_weighted_mean(data):
    """Eq. 8 to 10 for any components, sources and weights, if the fused image is the mean of the components."""
    scores = data.draw(stacks(-20, 20))
    unit = arrays(np.float32, (*scores.shape, 1), elements=st.floats(0, 1, width=32))
    components, sources, weights = data.draw(unit), data.draw(unit), softmax(scores)
    fused = np.sum(weights[..., np.newaxis] * components, axis=0)
    got = bound(fused, weights, components, sources)
    assert got.error <= got.decomposed + 1e-5
    assert got.decomposed <= got.bound + 1e-5


def test_a_negative_covariance_lowers_the_bound_and_nothing_else_does():
    components, sources = RNG.random((2, 2, 8, 9, 1)).astype(np.float32)
    losses = np.abs(components - sources)[..., 0]
    fused = sources.mean(axis=0)
    better, even, worse = (bound(fused, softmax(k * losses), components, sources) for k in (-5, 0, 5))
    assert better.constant == even.constant == worse.constant
    assert better.bound < even.bound < worse.bound
    assert even.covariance == 0 and even.bound == even.constant
    assert better.covariance < 0 < worse.covariance


def test_the_error_of_two_sources_is_blind_to_the_weights():
    """Between two sources every value has the same sum of distances, so the bounded error can not rank fusions."""
    sources = RNG.random((2, 8, 9, 1)).astype(np.float32)
    expected = np.abs(sources[0] - sources[1]).mean()
    for scale in (0, 1, 30):
        weights = softmax(scale * RNG.standard_normal((2, 8, 9)).astype(np.float32))
        fused = np.sum(weights[..., np.newaxis] * sources, axis=0)
        got = bound(fused, weights, sources, sources)  # components without error
        assert got.error == pytest.approx(expected, rel=1e-5)
        assert got.decomposed == pytest.approx(expected, rel=1e-5)
        assert got.bound == pytest.approx(expected, rel=1e-5) and got.covariance == 0
