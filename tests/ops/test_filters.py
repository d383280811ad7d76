"""Window filters against SciPy, and their precision in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ttd_jax.ops import filters
from ttd_jax.ops.elementary import arctan, tan_half_turn


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (2, 40, 47)).astype(np.float32)


def valid(image, kernel):
    half = len(kernel) // 2
    for axis in (-2, -1):
        image = ndimage.correlate1d(image, kernel, axis=axis)
    return image[..., half:-half, half:-half]


@pytest.mark.parametrize("kernel", [filters.gaussian_kernel(11, 1.5), filters.box_kernel(7), (0.2, 0.0, 0.8)])
def test_local_mean_and_covariance(kernel, image):
    x, y = image.astype(float)
    np.testing.assert_allclose(filters.local_mean(jnp.asarray(image), kernel), valid(image, kernel), rtol=1e-5)
    moments = filters.local_moments(list(jnp.asarray(image)), kernel, pairs=((0, 1), (1, 0)))
    covariance = valid(x * y, kernel) - valid(x, kernel) * valid(y, kernel)
    for found in moments.covariances:
        np.testing.assert_allclose(found, covariance, rtol=1e-4, atol=1e-2)
    for k, plane in enumerate((x, y)):
        np.testing.assert_allclose(moments.means[k], valid(plane, kernel), rtol=1e-5)
        variance = valid(plane * plane, kernel) - valid(plane, kernel) ** 2
        np.testing.assert_allclose(moments.variances[k], variance, rtol=1e-4)


def test_gaussian_kernels():
    assert sum(filters.gaussian_kernel(31, 4)) == pytest.approx(1)
    centre = filters.gaussian_kernel(31, 4, normalize=False)[15]
    assert centre == pytest.approx(1 / (4 * np.sqrt(2 * np.pi)))


def test_variance_keeps_its_precision_in_float32():
    """A faint texture on a bright ground, where E[x²] - E[x]² in float32 is off by more than the variance."""
    texture = np.random.default_rng(0).normal(0, 0.02, (40, 40))
    image = (250 + texture).astype(np.float32)
    kernel = filters.gaussian_kernel(11, 1.5)
    exact = valid(image.astype(float) ** 2, kernel) - valid(image.astype(float), kernel) ** 2
    (found,) = filters.local_moments([jnp.asarray(image)], kernel).variances
    np.testing.assert_allclose(found, exact, rtol=5e-4)
    naive = valid(image**2, kernel) - valid(image, kernel) ** 2
    assert np.max(np.abs(naive - exact) / exact) > 1


def test_variance_of_one_level_is_zero():
    for kernel in (filters.gaussian_kernel(17, 3.4), filters.box_kernel(11)):
        (variance,) = filters.local_moments([jnp.full((30, 30), 254.7)], kernel).variances
        assert not np.any(variance)


@pytest.mark.parametrize(("border", "mode"), [("edge", "nearest"), ("constant", "constant"), ("reflect", "mirror")])
def test_gradients(border, mode, image):
    for found, kernel in ((filters.sobel, ndimage.sobel), (filters.prewitt, ndimage.prewitt)):
        right, down = found(jnp.asarray(image), border)
        for k, plane in enumerate(image):
            np.testing.assert_array_equal(right[k], kernel(plane, axis=1, mode=mode))
            np.testing.assert_array_equal(down[k], kernel(plane, axis=0, mode=mode))


def test_central_differences(image):
    np.testing.assert_allclose(filters.central_differences(image, -1), np.gradient(image, axis=-1))
    np.testing.assert_allclose(filters.central_differences(image, -2), np.gradient(image, axis=-2))


def test_pixel_sum_and_mean(image):
    np.testing.assert_allclose(filters.pixel_sum(jnp.asarray(image)), image.sum(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(filters.pixel_mean(jnp.asarray(image)), image.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize(("double", "absolute", "relative"), [(False, 2e-7, 2e-6), (True, 1e-15, 1e-13)])
def test_arctan_and_tangent(double, absolute, relative):
    with jax.enable_x64(double):
        dtype = jnp.result_type(float)
        slopes = np.concatenate([np.linspace(-60, 60, 20001), [1e30, -1e30, 1, -1, np.sqrt(2) - 1, 0]]).astype(dtype)
        np.testing.assert_allclose(arctan(jnp.asarray(slopes)), np.arctan(slopes.astype(float)), rtol=0, atol=absolute)
        assert arctan(jnp.zeros(1, dtype))[0] == 0
        x = np.linspace(0, 0.95, 20001).astype(dtype)
        np.testing.assert_allclose(tan_half_turn(jnp.asarray(x)), np.tan(np.pi / 2 * x.astype(float)), rtol=relative)
