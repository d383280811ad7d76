"""Properties of ``fuse`` as a whole that must hold for any sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests import analytic
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, LossWeighting
from ttd_jax.engine.pipeline import fuse_pixels

SIZE = (6, 7)
depths = st.sampled_from(["uint8", "uint16", "float32", "bool"])


@st.composite
def source_sets(draw, counts, channels=((), (3,))):
    """Sources of one size, of any pixel types, grey or colour; few shapes, since each is a program to compile."""
    shape, count = SIZE + draw(st.sampled_from(channels)), draw(st.sampled_from(counts))
    unit = st.floats(0, 1, width=32)
    sources = [
        draw(arrays(depth, shape, elements=unit if depth == "float32" else None))
        for depth in draw(st.lists(depths, min_size=count, max_size=count))
    ]
    for source in sources:
        if source.dtype == np.uint16:
            source.flat[0] = 65535  # 16 bits in use: fewer are refused beside another depth
    return sources


@pytest.fixture(scope="module", params=["ifcnn", "analytic"])
def fuser(request, ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables) if request.param == "ifcnn" else analytic.backbone("mean")
    return Fuser(backbone, weighting=LossWeighting(scale=50.0), dtype="float32")


def draw_sources(data, fuser):
    """Any sources for the analytic model, three for the network: each shape costs its compiler a second."""
    return data.draw(source_sets(counts=(3,) if fuser.backbone.name == "ifcnn" else (2, 3, 5)))


@given(data=st.data())
def test_weights_sum_to_one(fuser, data):
    sources = draw_sources(data, fuser)
    weights = fuser(sources).weights
    assert weights.shape == (len(sources), *SIZE)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)
    assert (weights >= 0).all()


@given(data=st.data())
def test_the_order_of_sources_does_not_matter(fuser, data):
    sources = draw_sources(data, fuser)
    order = data.draw(st.permutations(range(len(sources))))
    straight, permuted = fuser(sources), fuser([sources[i] for i in order])
    np.testing.assert_allclose(permuted.image, straight.image, atol=1e-5)
    np.testing.assert_allclose(permuted.weights, straight.weights[order], atol=1e-5)
    np.testing.assert_allclose(permuted.losses, straight.losses[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(permuted.components, straight.components[order], atol=1e-5)


@given(source=arrays("float32", SIZE, elements=st.floats(0, 1, width=32)), count=st.sampled_from([2, 3, 5]))
def test_identical_sources_get_equal_weights(fuser, source, count):
    # equal but for rounding: a convolution of several images may add up each of them in another order
    np.testing.assert_allclose(fuser([source] * count).weights, 1 / count, atol=1e-5)


@given(sources=source_sets(counts=(2,), channels=((),)))  # more on the analytic model, in the tests of the core
@pytest.mark.parametrize("rule", ["sum", "mean"])
def test_uniform_weights_give_the_static_result(ifcnn_variables, rule, sources):
    backbone = ifcnn_backbone(ifcnn_variables, rule)
    uniform = Fuser(backbone, weighting=LossWeighting(scale=0.0), dtype="float32")(sources)
    static = Fuser(backbone, weighting="static", dtype="float32")(sources)
    np.testing.assert_allclose(uniform.image, static.image, atol=1e-5)
    np.testing.assert_allclose(uniform.weights, static.weights, atol=1e-6)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("count", [2, 5])
def test_a_batch_equals_a_loop(fuser, channels, count):
    stack = np.random.default_rng(count).random((3, count, *SIZE, *channels)).astype(np.float32)
    batch = fuser.batch(stack)
    for n, sources in enumerate(stack):
        one = fuser(list(sources))
        for name in ("image", "weights", "losses", "components"):
            np.testing.assert_allclose(getattr(batch, name)[n], getattr(one, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rule", "name"), [("gray", "analytic"), ("luma", "analytic"), ("rgb", "ifcnn")])
def test_jit_equals_eager(ifcnn_variables, rule, name):
    backbone = ifcnn_backbone(ifcnn_variables) if name == "ifcnn" else analytic.backbone()
    stack = jnp.asarray(np.random.default_rng(9).random((3, *SIZE, 3)), jnp.float32)
    weighting = LossWeighting(scale=jnp.float32(50)).resolve(backbone.recipes["default"])

    def run():
        colored = jnp.array([True, False, True])
        return fuse_pixels(backbone.model, backbone.variables, weighting, stack, colored, rule=rule)

    compiled = jax.jit(run)()
    with jax.disable_jit():
        eager = run()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), eager, compiled)


def test_weights_are_in_the_order_of_the_sources_whatever_comes_first_inside():
    """The reference comes first inside; with three sources the way back is another permutation than the way there."""
    sources = dict(zip(("near", "far", "visible"), np.random.default_rng(4).random((3, *SIZE)), strict=True))
    fuser = Fuser(analytic.backbone("mean"), weighting=LossWeighting(scale=50.0))
    named, plain = fuser(sources), fuser(list(sources.values()))
    for field in ("weights", "losses", "components"):
        np.testing.assert_allclose(getattr(named, field), getattr(plain, field), atol=1e-6)
    assert len({map_.tobytes() for map_ in plain.weights}) == 3
