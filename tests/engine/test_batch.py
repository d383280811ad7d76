"""Many sets at once, and shapes compiled ahead of time."""

import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
A, B = RNG.random((2, 6, 8)).astype(np.float32)
MEAN = analytic.backbone("mean")


@pytest.mark.parametrize("shape", [(2,), (3, 4), (1, 5, 5), (2, 0, 5), (2, 5, 5, 2), (2, 5, 5, 3, 1)])
def test_shapes_that_cannot_be_compiled_for(shape):
    with pytest.raises(InputError) as caught:
        Fuser(MEAN).compile(shape)
    assert str(caught.value) == f"a shape to compile for is (M, H, W) or (M, H, W, 3) with M of 2 or more; got {shape}"


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8), (2, 2, 6, 8, 2), (0, 2, 6, 8), (2, 2, 2, 6, 8, 3)])
def test_batches_that_cannot_be(shape):
    with pytest.raises(InputError) as caught:
        Fuser(MEAN).batch(np.zeros(shape, np.uint8))
    assert str(caught.value) == f"a batch is (N, M, H, W), (N, M, H, W, 1) or (N, M, H, W, 3); got {shape}"


def test_a_bad_picture_in_a_batch():
    stack = np.stack([[A, B], [A, B]])
    stack[1, 0, 2, 2] = np.nan
    with pytest.raises(InputError, match="source 1: pixels are finite numbers; got 1 NaN"):
        Fuser(MEAN).batch(stack)
    with pytest.raises(InputError, match="fusion takes two sources or more; got 1"):
        Fuser(MEAN).batch(stack[:1, :1])


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_batch_is_a_stack_of_results(channels, dtype):
    stack = RNG.random((3, 2, 6, 8, *channels))
    stack = stack.astype(dtype) if dtype == "float32" else np.rint(stack * np.iinfo(dtype).max).astype(dtype)
    fuser = Fuser(MEAN)
    batch = fuser.batch(stack)
    assert batch.image.dtype == dtype and batch.image.shape == (3, 6, 8, *channels)
    for n in range(3):
        one = fuser(list(stack[n]))
        np.testing.assert_allclose(
            batch.image[n].astype(float), one.image.astype(float), atol=1 if dtype != "float32" else 1e-6
        )
        np.testing.assert_allclose(batch.weights[n], one.weights, atol=1e-6)


def test_a_batch_is_not_saved_as_one_picture(tmp_path):
    result = Fuser(MEAN).batch(np.stack([[A, B]] * 5))
    with pytest.raises(InputError) as caught:
        result.save(tmp_path / "a.tif")
    assert str(caught.value) == "a picture is (H, W) or (H, W, 3); got (5, 6, 8): write those of a batch one by one"
