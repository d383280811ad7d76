"""Losses of a fused image against closed forms and scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
from skimage.metrics import structural_similarity

from ttd_jax.core.gradients import total_loss
from ttd_jax.core.losses import gradient_difference, structural_dissimilarity


def test_ssim_against_skimage():
    u, x = np.random.default_rng(5).random((2, 30, 28, 2))
    with jax.enable_x64(True):
        got = 1 - np.asarray(jax.jit(structural_dissimilarity)(jnp.asarray(u), jnp.asarray(x)))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1, "full": True}
    full = [structural_similarity(u[..., c], x[..., c], **options)[1] for c in range(2)]
    np.testing.assert_allclose(got, np.mean(full, axis=0), rtol=1e-9)  # along the border too


def test_the_gradient_loss_on_a_ramp():
    ramp = jnp.asarray(np.broadcast_to(0.01 * np.arange(8), (6, 8))[..., None], jnp.float32)
    got = gradient_difference(ramp, jnp.zeros((6, 8, 1)))
    np.testing.assert_allclose(got[:, 1:-1], 0.01, rtol=1e-4)  # one level a pixel to the right, none downwards
    np.testing.assert_allclose(gradient_difference(ramp + 0.5, ramp), 0, atol=1e-6)


def test_a_loss_of_ones_own_sees_two_images_of_one_shape():
    shapes = []

    def noted(component, source):
        shapes.append((component.shape, source.shape))
        return jnp.mean((component - source) ** 2)

    total_loss(noted)(jnp.ones((4, 5, 3)), jnp.zeros((4, 5, 1)))
    assert shapes == [((4, 5, 3), (4, 5, 3))]
