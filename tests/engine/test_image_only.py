"""Nothing but the image: the same image, and what could be told of it is not there."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser, GradientWeighting, InputError, LossWeighting
from ttd_jax.backbones import load_backbone

SHAPES = {"grey": (2, 40, 52), "colour": (2, 40, 52, 3), "three": (3, 33, 47)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", ["pyramid", "bandnet"])
def test_the_image_is_the_same(name, shape):
    backbone, sources = load_backbone(name), [*np.random.default_rng().random(shape).astype(np.float32)]
    result = Fuser(backbone, image_only=True)(sources)
    np.testing.assert_allclose(result.image, Fuser(backbone)(sources).image, atol=1e-6)
    assert [result.weights, result.losses, result.components, result.bands] == [None] * 4


def test_a_batch_and_windows_too(ifcnn_variables):
    from tests.networks import ifcnn_backbone

    backbone, stacks = ifcnn_backbone(ifcnn_variables), np.random.default_rng().random((2, 2, 70, 40), np.float32)
    batch = Fuser(backbone, image_only=True).batch(stacks)
    np.testing.assert_allclose(batch.image, Fuser(backbone).batch(stacks).image, atol=1e-6)
    whole, tiled = (Fuser(backbone, image_only=True, tile=tile)([*stacks[0]]) for tile in (None, 50))
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-5)
    assert batch.weights is None and tiled.components is None


def test_losses_that_no_weights_can_be_made_of_are_still_refused():
    nowhere = LossWeighting(lambda component, source: jnp.full(source.shape[:2], jnp.nan))
    fuser = Fuser(analytic.backbone("mean"), weighting=nowhere, image_only=True)
    with pytest.raises(InputError, match="NaN or infinite at 100"):
        fuser([*np.random.default_rng(0).random((2, 8, 9))])


def test_gradients_have_their_losses_checked():
    assert GradientWeighting().checks_losses and not LossWeighting("l1").checks_losses


def test_an_explanation_needs_the_rest():
    with pytest.raises(InputError, match="leave image_only out"):
        Fuser(load_backbone("pyramid"), image_only=True)([*np.random.default_rng(0).random((2, 8, 9))], explain=True)
