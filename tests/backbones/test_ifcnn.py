"""IFCNN against its authors: golden arrays of the official checkpoints, and the fused PNGs they published."""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from convert.from_torch import convert_file
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, LossWeighting, load_backbone
from ttd_jax.backbones.ifcnn import IFCNN, SPEC
from ttd_jax.core.dominability import uni_source_components
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.io.checkpoints import count_parameters
from ttd_jax.io.images import read_image
from ttd_jax.ops import conv as ops_conv
from ttd_jax.ops.padding import replicate_pad

CASES = ("small", "odd", "mri_ct", "lytro_03_crop")
SCENES = ("Camp", "Dune", "Gun", "Navi", "Road", "Road2", "Steamboat", "T2", "Trees4906")


@pytest.fixture(scope="module")
def official(shared_data, tmp_path_factory):
    """The authors' three checkpoints, converted."""
    folder = tmp_path_factory.mktemp("official")
    for preset in ("max", "mean", "sum"):
        source = shared_data / "checkpoints" / "ifcnn" / f"IFCNN-{preset.upper()}.pth"
        convert_file("ifcnn", source, folder / preset, preset)
    return {preset: load_backbone("ifcnn", folder / preset) for preset in ("max", "mean", "sum")}


@partial(jax.jit, static_argnames="model")
def everything(model, variables, sources):
    features = model.encode(variables, sources)
    decodes = jnp.stack([model.decode(variables, one) for one in features])
    return features, decodes, fuse(model, variables, sources, StaticWeighting()).image


def worst(got, golden):
    """Largest absolute difference, relative to the larger of 1 and the golden array's largest magnitude."""
    return float(np.abs(got - golden).max() / max(1, np.abs(golden).max()))


@pytest.mark.optimized
@pytest.mark.shared_data
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", ["max", "mean", "sum"])
def test_golden_arrays(official, shared_data, record_property, rule, case):
    backbone = official[rule]
    assert backbone.model.rule == rule
    with np.load(shared_data / "golden" / "ifcnn_official.npz") as golden:
        sources = np.stack([golden[f"{case}/source_{m}"] for m in "ab"])
        stack = jnp.asarray(sources.reshape(*sources.shape[:3], -1))
        features, decodes, static = everything(backbone.model, backbone.variables, stack)
        differences = {"static": worst(static, golden[f"{case}/{rule}/static"])}
        for m, letter in enumerate("ab"):
            differences[f"decode_{letter}"] = worst(decodes[m], golden[f"{case}/{rule}/decode_{letter}"])
            if case == "small":
                expected = golden[f"{case}/{rule}/features_{letter}"].transpose(1, 2, 0)
                differences[f"features_{letter}"] = worst(features[m], expected)
    record_property("differences", differences)
    assert max(differences.values()) <= 2e-5, differences


@pytest.mark.shared_data
@pytest.mark.parametrize("rule", ["max", "sum"])
def test_published_pictures(official, shared_data, record_property, rule):
    backbone, folder = official[rule], shared_data / "vif" / "ifcnn_iv"
    static = jax.jit(partial(fuse, backbone.model, backbone.variables, weighting=StaticWeighting()))
    off = {}
    for scene in SCENES:
        stack = np.stack([read_image(folder / f"{scene}_{kind}.png").pixels for kind in ("IR", "Vis")])[..., np.newaxis]
        image = static(jnp.asarray(stack / 255, jnp.float32)).image
        grey = opencv_grey(np.floor(np.clip(image, 0, 1) * 255).astype(np.uint8))
        published = read_image(folder / "published" / f"IFCNN-{rule.upper()}-{scene}.png").pixels
        difference = np.abs(grey.astype(int) - published)
        assert difference.max() <= 1, scene
        off[scene] = float(np.mean(difference > 0))
    record_property("share_of_pixels_off_by_one", off)
    assert max(off.values()) <= 1e-4, off


def opencv_grey(rgb: np.ndarray) -> np.ndarray:
    """RGB to grey of the OpenCV of these pictures' time: BT.601 in fixed point with 14 bits (now 15), rounded."""
    weighted = rgb.astype(np.int64) @ np.array([4899, 9617, 1868])
    return ((weighted + (1 << 13)) >> 14).astype(np.uint8)


@pytest.mark.shared_data
def test_fuse_gives_the_golden_luma(official, shared_data):
    with np.load(shared_data / "golden" / "ifcnn_official.npz") as golden:
        sources = [golden["small/source_a"], golden["small/source_b"]]
        expected = np.clip(golden["small/mean/static"] @ np.array([0.299, 0.587, 0.114]), 0, 1)
    got = Fuser(official["mean"], weighting="static")(sources)
    np.testing.assert_allclose(got.image, expected, atol=2e-5)


def test_parameter_count():
    assert count_parameters(SPEC.abstract(IFCNN())) == 83_587


def test_grey_is_three_equal_channels(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables)
    grey = jnp.asarray(np.random.default_rng(0).random((2, 12, 13, 1)), jnp.float32)
    run = jax.jit(lambda s: fuse(backbone.model, backbone.variables, s, StaticWeighting()).image)
    np.testing.assert_allclose(run(grey), run(jnp.repeat(grey, 3, axis=-1)), atol=1e-6)


encode = jax.jit(lambda model, variables, sources: model.encode(variables, sources), static_argnums=0)
decode = jax.jit(lambda model, variables, latent: model.decode(variables, latent), static_argnums=0)


@pytest.fixture
def in_strips(limit):
    """Strips of three rows."""
    limit("STRIP_PIXELS", 100)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 3, 5, 1), (3, 17, 31, 1), (2, 17, 31, 3), (2, 5, 40, 1)])
def test_one_convolution_encodes_as_two_do(ifcnn_variables, shape):
    sources = jnp.asarray(np.random.default_rng(sum(shape)).random(shape), jnp.float32)
    sources = sources.at[:, 0].set(1)  # something to see at the border
    plain, fast = (np.asarray(encode(IFCNN(plain=p), ifcnn_variables, sources)) for p in (True, False))
    np.testing.assert_allclose(fast, plain, rtol=1e-6, atol=1e-5)
    for border in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        np.testing.assert_allclose(fast[border], plain[border], rtol=1e-6, atol=1e-5)
    assert np.abs(plain).max() > 1


def test_the_border_needs_its_own_kernel(ifcnn_variables):
    """The 9x9 convolution alone is wrong on the outermost pixels, and only there."""
    first, second = (ifcnn_variables["params"][name] for name in ("conv1", "conv2"))
    first, second = first["kernel"], second["conv"]["kernel"]
    x = jnp.asarray(np.random.default_rng(0).random((1, 12, 13, 3)), jnp.float32)
    at_once = ops_conv.conv(replicate_pad(x, 4), ops_conv.compose(first, second))
    in_turn = ops_conv.replicate_conv(ops_conv.replicate_conv(x, first), second)
    off = np.abs(at_once - in_turn).max(axis=(0, -1))
    assert off[1:-1, 1:-1].max() < 1e-5 and off[0].max() > 0.01 and off[:, -1].max() > 0.01


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 31), (40, 9)])
def test_folded_decoder(ifcnn_variables, in_strips, shape):
    latent = jnp.asarray(np.random.default_rng(sum(shape)).random((*shape, 64)), jnp.float32)
    plain, fast = (np.asarray(decode(IFCNN(plain=p), ifcnn_variables, latent)) for p in (True, False))
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        np.testing.assert_allclose(fast[border], plain[border], atol=1e-5)


def test_gradients_of_the_folded_layers(ifcnn_variables, in_strips):
    rng = np.random.default_rng(0)
    sources = jnp.asarray(rng.random((2, 17, 31, 1)), jnp.float32)
    probe = jnp.asarray(rng.normal(size=(17, 31, 3)), jnp.float32)

    @partial(jax.jit, static_argnums=0)
    def slopes(model):
        features, back = jax.vjp(lambda s: model.encode(ifcnn_variables, s), sources)
        _, through = jax.vjp(lambda f: model.decode(ifcnn_variables, model.merge(f)), features)
        return through(probe)[0], back(through(probe)[0])[0]

    for plain, fast in zip(slopes(IFCNN(plain=True)), slopes(IFCNN()), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-5 * float(jnp.abs(plain).max()))


def test_a_batch_of_folded_networks(ifcnn_variables, in_strips):
    stacks = jnp.asarray(np.random.default_rng(0).random((2, 3, 17, 31, 1)), jnp.float32)
    run = jax.jit(lambda s: fuse(IFCNN(), ifcnn_variables, s, StaticWeighting()).image)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(stacks), [run(s) for s in stacks], atol=1e-5)


def test_one_black_pixel_stands_for_a_black_image(ifcnn_variables):
    model = IFCNN()
    sources = jnp.asarray(np.random.default_rng(0).random((2, 9, 14, 1)), jnp.float32)
    features = encode(model, ifcnn_variables, sources)
    black = encode(model, ifcnn_variables, jnp.zeros_like(sources))[0]
    components = jax.jit(lambda *arrays: uni_source_components(model, *arrays, kind="black"))
    got = components(ifcnn_variables, sources, features)
    expected = [decode(model, ifcnn_variables, jnp.maximum(own, black)) for own in features]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_heights_and_widths_that_are_not_known(ifcnn_variables):
    """Exported for any size, the network computes layer by layer."""
    height, width = jax.export.symbolic_shape("h, w", constraints=["h >= 8", "w >= 8"])
    any_size = jax.ShapeDtypeStruct((2, height, width, 1), jnp.float32)
    run = jax.jit(lambda s: fuse(IFCNN(), ifcnn_variables, s, StaticWeighting()).image)
    sources = jnp.asarray(np.random.default_rng(0).random((2, 11, 14, 1)), jnp.float32)
    np.testing.assert_allclose(jax.export.export(run)(any_size).call(sources), run(sources), atol=1e-5)


def test_gradients_flow_through_the_network(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables, "sum")
    weighting = LossWeighting(scale=5.0, loss="mse").complete(backbone.recipes["paper"])
    rng = np.random.default_rng(1)
    sources, direction = (jnp.asarray(rng.random((2, 9, 8, 1)), jnp.float32) for _ in range(2))

    @jax.jit
    def total(step):
        return jnp.mean(fuse(backbone.model, backbone.variables, sources + step * direction, weighting).image)

    slope = (total(1e-2) - total(-1e-2)) / 2e-2
    assert float(jax.grad(total)(0.0)) == pytest.approx(float(slope), rel=0.02)


def test_equal_models_are_equal_and_hash_alike():
    assert SPEC.build(rule="sum") == SPEC.build(rule="sum")
    assert hash(SPEC.build(rule="sum")) == hash(SPEC.build(rule="sum"))
    assert SPEC.build(rule="sum") != SPEC.build(rule="max")
