"""Rows in strips: every row is there, and is counted once."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ttd_jax.ops import strips
from ttd_jax.ops.strips import by_rows, continued, is_large, scan_rows, whole_images


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


def test_a_step_is_traced_once():
    x, traced = jnp.arange(7.0), []

    def step(carry, first, new):
        traced.append(first)
        return carry, jax.lax.dynamic_slice_in_dim(x, first, 3)

    jax.jit(lambda: scan_rows(step, (), height=7, rows=3, axis=0, like=x))()
    assert len(traced) == 1


def local_mean(image):
    """Means of five rows, whatever its height; beyond the border the outermost row."""
    padded = jnp.pad(image, ((0, 0), (2, 2), (0, 0)), mode="edge")
    return sum(padded[:, i : i + image.shape[1]] for i in range(5)) / 5


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 60), rows=st.integers(1, 12), unit=st.sampled_from((1, 2, 4)), seed=st.integers(0, 99))
def test_filters_by_rows_give_what_the_whole_gives(height, rows, unit, seed):
    x = np.random.default_rng(seed).random((2, height, 3), np.float32)
    coarse = np.random.default_rng(seed + 1).random((2, -(-height // unit), 3), np.float32)

    def filtered(x, coarse):
        mean = local_mean(x)
        return {"every": mean[:, ::unit], "sum": mean + jnp.repeat(coarse, unit, axis=1)[:, : x.shape[1]]}

    found = by_rows(filtered, jnp.asarray(x), jnp.asarray(coarse), reach=2, unit=unit, pixels=6 * rows)
    mean = ndimage.uniform_filter1d(x.astype(float), 5, axis=1, mode="nearest")
    np.testing.assert_allclose(found["every"], mean[:, ::unit], atol=1e-6)
    np.testing.assert_allclose(found["sum"], mean + np.repeat(coarse, unit, axis=1)[:, :height], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 90), rows=st.integers(1, 12))
def test_blocks_by_rows_leave_out_what_makes_no_block(height, rows):
    x = np.random.default_rng(height).random((2, height, 3), np.float32)

    def blocks(x):
        return x[:, : x.shape[1] // 8 * 8].reshape(2, -1, 8, 3).sum(axis=2)

    found = by_rows(blocks, jnp.asarray(x), reach=8, unit=8, pixels=6 * rows)
    np.testing.assert_array_equal(found, blocks(jnp.asarray(x)))


@given(first=st.integers(-9, 9), count=st.integers(1, 9))
def test_an_image_is_continued_as_by_padding(first, count):
    x = np.arange(20.0).reshape(4, 5)
    padded = np.pad(x, ((0, 0), (30, 30)), mode="edge")
    np.testing.assert_array_equal(continued(jnp.asarray(x), first, count, axis=1), padded[:, 30 + first :][:, :count])


def test_other_runtimes_are_given_whole_images(monkeypatch):
    monkeypatch.setattr(strips, "LARGE", 24)
    planes = jnp.zeros((2, 3, 4))
    assert is_large(planes)
    with whole_images():
        assert not is_large(planes)
