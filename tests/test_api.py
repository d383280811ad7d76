"""``fuse``, ``Fuser`` and ``FusionResult``: what goes in, what comes out, what is said."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

import ttd_jax
from tests import analytic
from tests.analytic import decode, encode
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, FusionModel, FusionResult, LossWeighting, StaticWeighting, fuse
from ttd_jax.errors import CheckpointError, InputError
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)
A, B = RNG.random((2, 6, 8)).astype(np.float32)
MEAN, MAX = analytic.backbone("mean"), analytic.backbone("max")


def eight_bit(image):
    return np.rint(image * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("dtypes", "asked", "expected"),
    [
        (("uint8", "uint8"), None, "uint8"),
        (("uint8", "uint16"), None, "uint16"),
        (("bool", "bool"), None, "uint8"),
        (("float16", "uint16"), None, "float16"),
        (("float64", "float32"), None, "float64"),
        (("uint8", "uint8"), "uint16", "uint16"),
        (("uint8", "uint8"), np.float32, "float32"),
        (("float32", "float32"), np.uint8, "uint8"),
    ],
)
def test_type_of_the_result(dtypes, asked, expected):
    full = {"uint8": 255, "uint16": 65535}
    sources = [np.rint(A * full.get(d, 1)).astype(d) if d in (*full, "bool") else A.astype(d) for d in dtypes]
    result = fuse(sources, backbone=MEAN, dtype=asked)
    assert result.image.dtype == expected
    assert result.report["dtype"] == expected


def test_type_of_the_result_that_a_network_has_of_its_own():
    sources, depth = [eight_bit(A), eight_bit(A)], analytic.backbone("mean", result_dtype="float32")
    assert fuse(sources, backbone=depth).image.dtype == np.float32
    assert fuse(sources, backbone=depth, dtype="uint8").image.dtype == np.uint8


def test_a_network_outside_any_rule_for_colour_gives_one_channel_as_a_plane():
    sources = [RNG.random((6, 8)).astype(np.float32) for _ in range(2)]
    result = fuse(sources, backbone=analytic.backbone("mean", raw=True), weighting="static")
    assert result.image.shape == (6, 8)
    np.testing.assert_allclose(result.image, np.clip(decode(encode(np.mean(sources, axis=0))), 0, 1), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3), (6, 8, 4), (6, 8, 2)])
def test_shape_of_the_result(shape):
    a, b = RNG.random((2, *shape)).astype(np.float32)
    kept = shape if shape[2:] in ((), (1,), (3,)) else (*shape[:2], 3) if shape[2] == 4 else shape[:2]
    result = fuse([a, b], backbone=MEAN)
    assert result.image.shape == kept
    assert result.report["shape"] == list(kept)
    assert result.weights.shape == result.losses.shape == result.components.shape == (2, 6, 8)
    assert all(array.dtype == np.float32 for array in (result.weights, result.losses, result.components))


def test_static_fusion_by_hand():
    result = fuse([A, B], backbone=MEAN, weighting="static")
    np.testing.assert_allclose(result.image, np.clip(decode(encode((A + B) / 2)), 0, 1), atol=1e-6)
    np.testing.assert_allclose(result.weights, np.full((2, 6, 8), 0.5))
    assert result.losses is None and result.components is None
    assert fuse([A, B], backbone=MAX, weighting="static").weights is None


def test_dynamic_fusion_by_hand():
    result = fuse([A, B], backbone=MEAN, weighting=LossWeighting(loss="l1", scale=3))
    components = [decode(encode(x)) for x in (A, B)]
    losses = [np.abs(u - x) for u, x in zip(components, (A, B), strict=True)]
    first = 1 / (1 + np.exp(np.exp(-3 * losses[1]) - np.exp(-3 * losses[0])))
    np.testing.assert_allclose(result.components, components, atol=1e-6)
    np.testing.assert_allclose(result.losses, losses, atol=1e-6)
    np.testing.assert_allclose(result.weights, [first, 1 - first], atol=1e-6)
    np.testing.assert_allclose(
        result.image, np.clip(decode(first * encode(A) + (1 - first) * encode(B)), 0, 1), atol=1e-6
    )


@pytest.mark.parametrize("rule", ["max", "mean", "sum"])
def test_static_rules_can_be_chosen(ifcnn_variables, rule):
    chosen = fuse([A, B], backbone=ifcnn_backbone(ifcnn_variables, "max"), weighting=StaticWeighting(rule))
    own = fuse([A, B], backbone=ifcnn_backbone(ifcnn_variables, rule), weighting="static")
    np.testing.assert_array_equal(chosen.image, own.image)


def test_options_left_out_come_from_the_recipe():
    bare = fuse([A, B], backbone=MEAN, weighting=LossWeighting(loss="l1"))
    full = fuse([A, B], backbone=MEAN, weighting=replace(MEAN.recipes["default"], loss="l1"))
    np.testing.assert_array_equal(bare.image, full.image)
    assert bare.report["weighting"] == {
        "loss": "l1",
        "scale": 50.0,
        "component": "alone",
        "space": "image",
        "form": "exp",
        "normalization": "softmax",
        "correlation": "negative",
        "smoothing": 0.0,
        "bands": 1,
        "saliency": 0.0,
    }
    assert fuse([A, B], backbone=MEAN, recipe="paper").report["weighting"]["scale"] == 1.0


@pytest.mark.parametrize("count", [3, 5])
def test_more_than_two_sources(count):
    sources = list(RNG.random((count, 6, 8)).astype(np.float32))
    result = fuse(sources, backbone=MEAN)
    assert result.weights.shape == (count, 6, 8)
    np.testing.assert_allclose(result.weights.sum(0), 1, atol=1e-6)


def test_a_mapping_keeps_its_order_and_puts_the_reference_first():
    seen = []

    class Watching(analytic.AnalyticModel):
        def render(self, variables, latent, sources):
            seen.append(sources)
            return self.decode(variables, latent) + 0.1 * sources[0]  # as networks do that single out the reference

    backbone = replace(MEAN, model=Watching("mean"))
    fuser = Fuser(backbone, weighting=LossWeighting(scale=5.0))
    by_role, in_order, turned = fuser({"infrared": A, "visible": B}), fuser([B, A]), fuser([A, B])
    assert seen
    np.testing.assert_array_equal(by_role.image, in_order.image)
    np.testing.assert_array_equal(by_role.weights, in_order.weights[::-1])
    np.testing.assert_array_equal(by_role.components, in_order.components[::-1])
    np.testing.assert_array_equal(by_role.losses, in_order.losses[::-1])
    assert by_role.report["sources"] == ["infrared", "visible"]
    assert by_role.report["reference"] == "visible"
    assert np.abs(in_order.image - turned.image).max() > 0.01


def test_a_backbone_with_roles():
    backbone = analytic.backbone("mean", roles=("visible", "infrared"), max_sources=2)
    expected = fuse([A, B], backbone=MEAN)
    for sources in ({"visible": A, "infrared": B}, {"infrared": B, "visible": A}):
        np.testing.assert_array_equal(fuse(sources, backbone=backbone).image, expected.image)
    np.testing.assert_array_equal(Fuser(backbone).batch(np.stack([[A, B]])).image[0], expected.image)
    for sources, got in (([A, B], "source 1, source 2"), ({"visible": A, "mri": B}, "visible, mri")):
        with pytest.raises(InputError) as caught:
            fuse(sources, backbone=backbone)
        assert str(caught.value) == (
            f"analytic takes the roles visible and infrared; got {got}: name them "
            "(visible=PATH infrared=PATH, or a mapping in Python)"
        )
    with pytest.raises(InputError, match=r"^analytic takes 2 sources; got 3$"):
        fuse([A, B, A], backbone=backbone)


def test_from_files_to_a_file(tmp_path):
    for name, pixels in (("a.png", A), ("b.tif", B)):
        write_image(tmp_path / name, np.rint(pixels * 65535).astype(np.uint16))
    result = fuse([tmp_path / "a.png", str(tmp_path / "b.tif")], backbone=MEAN)
    assert result.image.dtype == np.uint16
    result.save(tmp_path / "fused.png")
    np.testing.assert_array_equal(read_image(tmp_path / "fused.png").pixels, result.image)
    with pytest.raises(InputError, match="exists already"):
        result.save(tmp_path / "fused.png")
    result.save(tmp_path / "fused.png", overwrite=True)


def test_the_report_is_plain_data(checkpoint):
    sources = {"visible": np.dstack([eight_bit(A)] * 4), "infrared": eight_bit(B)}
    report = fuse(sources, checkpoint=checkpoint).report
    assert json.loads(json.dumps(report)) == report
    assert report["sources"] == ["visible", "infrared"]
    assert (report["backbone"], report["preset"], len(report["checkpoint"])) == ("ifcnn", "mean", 64)
    assert report["versions"] == {"ttd_jax": ttd_jax.__version__, "jax": jax.__version__}
    assert set(report["seconds"]) == {"read", "program", "fuse"} and min(report["seconds"].values()) >= 0
    assert report["remarks"] == ["visible: alpha was dropped"]
    static = fuse(sources, checkpoint=checkpoint, weighting="static").report
    assert static["weighting"] == "static"
    assert json.loads(json.dumps(static)) == static


def test_a_sum_of_many_is_remarked(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables, "sum")
    remark = "a sum rule trained on two sources makes 3 too bright: prefer a mean or max preset"
    assert remark in fuse([A, B, A], backbone=backbone).report["remarks"]
    assert remark in Fuser(backbone).batch(np.stack([[A, B, A]])).report["remarks"]
    assert remark not in fuse([A, B], backbone=backbone).report["remarks"]


def test_backbones_by_name_and_checkpoint(checkpoint):
    expected = fuse([A, B], checkpoint=checkpoint)
    named = fuse([A, B], backbone="ifcnn", checkpoint=str(checkpoint))
    np.testing.assert_array_equal(named.image, expected.image)
    with pytest.raises(InputError, match="pass one of backbone and checkpoint"):
        fuse([A, B], backbone=MEAN, checkpoint=checkpoint)
    for call in (lambda: fuse([A, B], backbone="ifcnn"), lambda: Fuser("ifcnn")):
        with pytest.raises(InputError, match="backbone ifcnn needs a checkpoint: get one"):
            call()


def test_an_installation_without_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr("ttd_jax.backbones.BUNDLED", tmp_path)
    ttd_jax.fuser.bundled_backbone.cache_clear()
    with pytest.raises(CheckpointError, match="no checkpoint of its own: name one"):
        fuse([A, B])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "hsv"}, "color is one of auto, gray, luma, rgb; got 'hsv'"),
        ({"color": "rgb"}, "this backbone takes one channel: use color='luma', which keeps the colour, or 'gray'"),
        ({"dtype": "int8"}, "an image is uint8, uint16, float16, float32 or float64; got 'int8'"),
        ({"recipe": "best"}, "recipes of analytic are default, paper; got 'best'"),
        (
            {"weighting": "best"},
            "weighting is 'loss', 'gradient', 'static', a LossWeighting, a GradientWeighting, a StaticWeighting or one "
            "of your own; got 'best'",
        ),
        (
            {"weighting": LossWeighting(scale=np.ones(2))},
            "scale is one number; got an array of shape (2,)",
        ),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options, message):
    with pytest.raises(InputError) as caught:
        Fuser(MEAN, **options)
    assert str(caught.value) == message


def test_a_backbone_with_one_static_rule():
    class OneRule(FusionModel):
        encode, merge, decode = (staticmethod(getattr(MEAN.model, name)) for name in ("encode", "merge", "decode"))

    backbone = replace(MEAN, model=OneRule())
    expected = fuse([A, B], backbone=MEAN, weighting="static")
    np.testing.assert_array_equal(fuse([A, B], backbone=backbone, weighting="static").image, expected.image)
    with pytest.raises(InputError, match="this backbone has one static rule: use weighting='static'"):
        Fuser(backbone, weighting=StaticWeighting("max"))


def test_a_result_is_an_array():
    result = FusionResult(eight_bit(A), None, None, None, {})
    np.testing.assert_array_equal(np.asarray(result), result.image)
    assert np.asarray(result) is not None and np.shares_memory(np.asarray(result), result.image)
    assert np.asarray(result, dtype=float).dtype == float
    assert not np.shares_memory(np.array(result, copy=True), result.image)
    np.testing.assert_array_equal(np.abs(np.asarray(result).astype(int) - result), 0)
    np.testing.assert_array_equal(
        fuse([result, result], backbone=MEAN).image, fuse([eight_bit(A)] * 2, backbone=MEAN).image
    )


def test_a_result_is_a_record():
    result = FusionResult(A, None, None, None, {})
    with pytest.raises(AttributeError):
        result.image = B  # type: ignore[misc]
    assert "metadata" not in repr(result)


def test_a_result_with_a_channel_axis_is_saved(tmp_path):
    result = fuse([eight_bit(A)[..., None], eight_bit(B)[..., None]], backbone=MEAN)
    for name in ("a.png", "a.tif", "a.jpg", "a.bmp", "a.webp"):
        result.save(tmp_path / name)
        assert read_image(tmp_path / name).pixels.shape[:2] == (6, 8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, result.image[..., 0])


def test_what_is_not_finite_is_not_returned():
    broken = replace(MEAN, variables={"slope": np.float32(np.nan)})
    with pytest.raises(InputError, match="not finite numbers; nothing is returned"):
        fuse([A, B], backbone=broken)


def test_sources_are_left_as_they_were():
    a, b = A.copy(), B.copy()
    a.flags.writeable = b.flags.writeable = False
    fuse([a, b], backbone=MEAN)
    np.testing.assert_array_equal(a, A)


@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (9, 2), (3, 5), (17, 31)])
def test_any_size(ifcnn_variables, shape):
    sources = list(RNG.random((2, *shape)).astype(np.float32))
    assert fuse(sources, backbone=ifcnn_backbone(ifcnn_variables)).image.shape == shape
