"""Convolutions against SciPy, in one piece and in strips, borders included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from ttd_jax.ops import borders
from ttd_jax.ops import conv as module
from ttd_jax.ops.conv import compose, conv, depthwise_conv, reflect_conv, replicate_conv, zero_conv
from ttd_jax.ops.padding import replicate_pad


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def expected(x, kernel, dilation=1):
    """Channel by channel, in float64, with the image continued by its outermost pixels."""
    size = kernel.shape[0]
    spread = np.zeros((dilation * (size - 1) + 1,) * 2 + kernel.shape[2:])
    spread[::dilation, ::dilation] = kernel
    x = x.astype(np.float64)
    maps = [
        sum(correlate(x[..., c], spread[..., c, k], mode="nearest") for c in range(x.shape[-1]))
        for k in range(kernel.shape[-1])
    ]
    return np.stack(maps, axis=-1)


@pytest.mark.parametrize("strip_pixels", [40_000, 100, 1], ids=["one", "strips", "smallest strips"])
@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 5, 2), (17, 31, 2), (40, 9, 1), (60, 3, 2)])
@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (3, 2), (7, 1)])
def test_replicate_convolution(monkeypatch, strip_pixels, shape, size, dilation):
    monkeypatch.setattr(module, "STRIP_PIXELS", strip_pixels)
    x, kernel = draw(*shape), draw(size, size, shape[-1], 4, seed=1)
    got = jax.jit(lambda x, kernel: replicate_conv(x, kernel, dilation=dilation))(x, kernel)
    np.testing.assert_allclose(got, expected(x, kernel, dilation), atol=2e-5)


def test_what_follows_a_convolution_of_a_batch(monkeypatch):
    monkeypatch.setattr(module, "STRIP_PIXELS", 100)
    x, kernel = draw(2, 17, 31, 3), draw(3, 3, 3, 4, seed=2)
    got = jax.jit(lambda x, kernel: replicate_conv(x, kernel, then=lambda y: y[..., :2] * y[..., 2:]))(x, kernel)
    whole = np.stack([expected(one, kernel) for one in x])
    np.testing.assert_allclose(got, whole[..., :2] * whole[..., 2:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_padded_convolution(channels):
    x, kernel = draw(2, 9, 13, channels), draw(5, 5, channels, 2, seed=1)
    got = jax.jit(lambda x, kernel: conv(replicate_pad(x, 2), kernel))(x, kernel)
    np.testing.assert_allclose(got, [expected(one, kernel) for one in x], atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 40, 2), (4, 40, 2), (5, 40, 2), (40, 4, 2), (12, 13, 2)])
def test_mirrored_convolution_of_narrow_maps_too(monkeypatch, shape):
    monkeypatch.setattr(borders, "MEND_PIXELS", 0)
    x, kernel = draw(*shape), draw(5, 5, 2, 3, seed=4)
    got = reflect_conv(jnp.asarray(x), jnp.asarray(kernel))
    alone = [sum(correlate(x[..., c], kernel[..., c, k], mode="mirror") for c in range(2)) for k in range(3)]
    np.testing.assert_allclose(got, np.stack(alone, axis=-1), atol=2e-5)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_each_channel_for_itself(size):
    x, kernel = draw(2, 9, 11, 4), draw(size, size, 4, seed=3)
    got = depthwise_conv(replicate_pad(jnp.asarray(x), size // 2), jnp.asarray(kernel))
    alone = [[correlate(one[..., c], kernel[..., c], mode="nearest") for c in range(4)] for one in x]
    np.testing.assert_allclose(got, np.moveaxis(np.array(alone), 1, -1), atol=1e-5)


def test_two_convolutions_composed(monkeypatch):
    """Inside; along the border both layers extend their own input."""
    x, first, second = draw(15, 16, 2), draw(5, 5, 2, 3, seed=1), draw(3, 3, 3, 4, seed=2)
    both = compose(jnp.asarray(first), jnp.asarray(second))
    assert both.shape == (7, 7, 2, 4)
    in_turn = expected(expected(x, first), second)
    np.testing.assert_allclose(expected(x, np.asarray(both))[1:-1, 1:-1], in_turn[1:-1, 1:-1], atol=1e-4)


def test_other_platforms_compute_padded_maps_at_once(monkeypatch):
    x, kernel = draw(60, 31, 2), draw(3, 3, 2, 4, seed=1)
    monkeypatch.setattr(module, "STRIP_PIXELS", 100)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    traced = str(jax.make_jaxpr(lambda x: replicate_conv(x, jnp.asarray(kernel)))(x))
    assert "scan" not in traced
    np.testing.assert_allclose(replicate_conv(jnp.asarray(x), jnp.asarray(kernel)), expected(x, kernel), atol=2e-5)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolution_with_zeros_around(dilation, channels):
    x, kernel = draw(3, 14, 17, channels), draw(3, 3, channels, 4, seed=1)
    got = zero_conv(jnp.asarray(x), jnp.asarray(kernel), dilation=dilation)
    reach = 2 * dilation  # the zeros, and where those of SciPy's continued image are not
    framed = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    whole = np.stack([expected(one, kernel, dilation) for one in framed])
    np.testing.assert_allclose(got, whole[:, reach:-reach, reach:-reach], atol=1e-5)
