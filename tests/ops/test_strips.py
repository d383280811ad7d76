"""Rows in strips: every row is there, and is counted once."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ttd_jax.ops.strips import scan_rows


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 9), rows=st.integers(1, 10), axis=st.sampled_from((1, -2)), seed=st.integers(0, 99))
def test_strips_have_every_row_once(height, rows, axis, seed):
    x = jnp.asarray(np.random.default_rng(seed).random((2, height, 3), np.float32))

    def step(total, first, new):
        strip = jax.lax.dynamic_slice_in_dim(x, first, min(rows, height), axis=1)
        fresh = first + jnp.arange(strip.shape[1]) >= new
        return total + jnp.sum(strip * fresh[:, jnp.newaxis].astype(strip.dtype)), {
            "square": strip**2,
            "less": strip - 1,
        }

    total, whole = scan_rows(step, jnp.float32(0), height=height, rows=rows, axis=axis, like=x)
    np.testing.assert_allclose(total, np.sum(x), rtol=1e-5)
    np.testing.assert_array_equal(whole["square"], np.square(x))
    np.testing.assert_array_equal(whole["less"], np.asarray(x) - 1)


def test_integers_stay_integers():
    x = jnp.arange(7)
    found = scan_rows(
        lambda carry, first, new: (carry, jax.lax.dynamic_slice_in_dim(x, first, 3)),
        (),
        height=7,
        rows=3,
        axis=0,
        like=jnp.zeros(()),
    )
    assert found[1].dtype == x.dtype and found[1].tolist() == x.tolist()
