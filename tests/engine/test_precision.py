"""Products in bfloat16: what is rounded, what is not, and how far results move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import analytic
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, fuse
from ttd_jax.core.model import FusionModel
from ttd_jax.core.precision import RoundedModel, round_products, with_precision
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
A, B = jnp.asarray(RNG.random((2, 8, 8)), jnp.float32)


def rounded(x):
    return x.astype(jnp.bfloat16).astype(jnp.float32)


def exactly(x, y):
    """The product of what is rounded, in float64."""
    return np.asarray(rounded(x), np.float64) @ np.asarray(rounded(y), np.float64)


def loop(x, y):
    return jax.lax.fori_loop(0, 1, lambda _, z: z @ y, x)


def scan(x, y):
    return jax.lax.scan(lambda carry, _: (carry @ y, None), x, None, length=1)[0]


def branch(x, y):
    return jax.lax.cond(x[0, 0] >= 0, lambda: x @ y, lambda: x - y)


def mapped(x, y):
    return jax.lax.map(lambda row: row @ y, x)


def called(x, y):
    return jax.jit(jnp.matmul)(x, y)


def convolved(x, y):
    image = x.reshape(1, 8, 1, 8)  # eight pixels of eight channels
    return jax.lax.conv_general_dilated(
        image, y[None, None], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).reshape(8, 8)


@pytest.mark.parametrize("product", [jnp.matmul, loop, scan, branch, mapped, called, convolved, jax.checkpoint(scan)])
def test_operands_are_rounded_and_sums_are_not(product):
    got = jax.jit(round_products(product))(A, B)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, exactly(A, B), rtol=1e-6)
    assert np.abs(got - product(A, B)).max() > 1e-4


def test_everything_else_stays_as_it_is():
    def other(x, y):
        return {
            "sum": x + y,
            "relu": jax.nn.relu(x - y),
            "soft": jax.nn.softmax(x * y),
            "i": jnp.arange(3) @ jnp.ones(3, int),
        }

    got, expected = jax.jit(round_products(other))(A, B), jax.jit(other)(A, B)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_gradients_pass():
    plain = jax.grad(lambda x: jnp.sum(jax.nn.relu(x @ B)))(A)
    through = jax.grad(lambda x: jnp.sum(round_products(lambda x: jax.nn.relu(x @ B))(x)))(A)
    np.testing.assert_allclose(through, plain, rtol=2e-2)


def test_a_rounded_model_is_a_fusion_model():
    model = analytic.AnalyticModel("sum", extras=True)
    wrapped = with_precision(model, "bfloat16")
    assert isinstance(wrapped, FusionModel)
    assert wrapped == RoundedModel(analytic.AnalyticModel("sum", extras=True)) and hash(wrapped) == hash(
        RoundedModel(model)
    )
    assert with_precision(model, "float32") is model
    assert wrapped.facts == model.facts
    stack = jnp.asarray(RNG.random((2, 4, 4, 1)), jnp.float32)
    np.testing.assert_array_equal(wrapped.merge(stack), model.merge(stack))
    features = wrapped.encode(analytic.VARIABLES, stack)  # no products in it
    np.testing.assert_allclose(features, model.encode(analytic.VARIABLES, stack), rtol=1e-6)
    image = wrapped.decode(analytic.VARIABLES, features[0])
    np.testing.assert_allclose(image, model.decode(analytic.VARIABLES, features[0]), rtol=1e-6)
    image = wrapped.render(analytic.VARIABLES, features[0], stack)
    np.testing.assert_allclose(image, model.render(analytic.VARIABLES, features[0], stack), rtol=1e-6)


def psnr(x, y):
    return -10 * np.log10(np.mean(np.square(np.asarray(x, float) - np.asarray(y, float))))


@pytest.mark.parametrize("weighting", ["loss", "static"])
def test_the_network_of_the_package_moves_little(weighting):
    sources = list(RNG.random((2, 40, 48)).astype(np.float32))
    plain = fuse(sources, weighting=weighting)
    half = fuse(sources, weighting=weighting, precision="bfloat16")
    assert 40 < psnr(plain.image, half.image) < 100
    np.testing.assert_allclose(half.weights.sum(axis=0), 1, atol=1e-6)
    assert (plain.report["precision"], half.report["precision"]) == ("float32", "bfloat16")


def test_ifcnn_moves_little_and_keeps_its_remarks(ifcnn_variables):
    sources = list(RNG.random((3, 20, 24)).astype(np.float32))
    backbone = ifcnn_backbone(ifcnn_variables, "sum")
    plain, half = (Fuser(backbone, precision=one)(sources) for one in ("float32", "bfloat16"))
    assert 35 < psnr(plain.image, half.image) < 100
    assert half.report["remarks"] == plain.report["remarks"] != []


def test_an_unknown_precision():
    with pytest.raises(InputError, match="precision is one of float32, bfloat16; got 'float16'"):
        Fuser(analytic.backbone(), precision="float16")
