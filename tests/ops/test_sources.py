"""Sums over the sources, source by source, against NumPy's and jax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax as expected

from ttd_jax.ops.sources import softmax, total


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 40])
def test_any_number_of_sources(count):
    x = np.random.default_rng().normal(0, 30, (count, 5, 7)).astype(np.float32)
    np.testing.assert_allclose(total(jnp.asarray(x)), x.astype(np.float64).sum(0), atol=1e-4)
    np.testing.assert_allclose(softmax(jnp.asarray(x)), expected(x.astype(np.float64), axis=0), atol=1e-5)


def test_scores_of_any_size_give_numbers():
    x = jnp.array([[1e30, -1e30, 0.0], [1e30, 0.0, -1e30]])
    np.testing.assert_allclose(softmax(x), [[0.5, 0, 1], [0.5, 1, 0]])


def test_gradients_are_those_of_jax():
    x, y = jnp.asarray(np.random.default_rng().normal(size=(2, 3, 4)), jnp.float32)
    ours, theirs = (jax.grad(lambda a, f=f: jnp.vdot(f(a), y))(x) for f in (softmax, lambda a: jax.nn.softmax(a, 0)))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
