"""One way through: single, batch, window and explanation run the same programs and say the same of themselves."""

import json

import jax
import numpy as np
import pytest

from tests import analytic
from tests.engine.test_compile import counted
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, LossWeighting, fuse
from ttd_jax.cli import main
from ttd_jax.engine.programs import Programs
from ttd_jax.io.images import write_image

RNG = np.random.default_rng(0)
PAIR = list(RNG.random((2, 24, 26)).astype(np.float32))
COLOR = list((0.3 + 0.4 * RNG.random((2, 12, 14, 3))).astype(np.float32))
MEAN = analytic.backbone("mean")


def grey_looking(image):
    """Three equal channels."""
    return np.repeat(image[..., :1], 3, axis=-1)


def test_an_explanation_is_of_the_same_precision(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables)
    explained = fuse(PAIR, backbone=backbone, precision="bfloat16", explain=True)
    static, exact = (
        fuse(PAIR, backbone=backbone, weighting="static", precision=precision).image
        for precision in ("bfloat16", "float32")
    )
    np.testing.assert_array_equal(explained.static, static)
    error = sum(np.abs(static - x).mean() for x in PAIR)
    assert explained.report["theory"]["static"]["error"] == pytest.approx(error, rel=1e-6)
    assert np.abs(exact - static).max() > 1e-4


def test_an_explanation_works_in_the_same_windows_and_asks_for_memory_too(ifcnn_variables, monkeypatch):
    asked = []
    monkeypatch.setattr("ttd_jax.engine.programs.check_memory", lambda program, *rest: asked.append(program.out_info))
    sources = list(RNG.random((2, 50, 60)).astype(np.float32))
    backbone = ifcnn_backbone(ifcnn_variables)
    tiled, whole = (Fuser(backbone, tile=tile)(sources, explain=True) for tile in (45, None))
    assert [out.image.shape for out in asked] == [(45, 45)] * 2 + [(50, 60)] * 2
    np.testing.assert_allclose(tiled.static, whole.static, atol=1e-5)


def test_a_batch_says_what_a_single_set_says():
    one, many = fuse(PAIR, backbone=MEAN).report, Fuser(MEAN).batch(np.stack([PAIR, PAIR])).report
    assert many.keys() == one.keys()
    assert many["reference"] == "source 1"
    same = ("sources", "reference", "dtype", "color", "backbone", "weighting", "precision", "remarks")
    assert {key: many[key] for key in same} == {key: one[key] for key in same}
    assert json.loads(json.dumps(many)) == many


def test_the_explain_command_fuses_statically_once(tmp_path, monkeypatch, capsys):
    weightings = []
    run = Programs.run
    monkeypatch.setattr(Programs, "run", lambda self, stack: weightings.append(self.weighting) or run(self, stack))
    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name, image in zip(names, PAIR, strict=True):
        write_image(name, (image * 255).astype(np.uint8))
    assert main(["explain", *names, "-o", str(tmp_path / "figure.png"), "--no-compile-cache"]) == 0
    assert [type(weighting).__name__ for weighting in weightings] == ["LossWeighting", "StaticWeighting"]
    assert "bound (Eq. 10)" in capsys.readouterr().out


def test_weights_in_the_order_of_the_sources_where_that_order_is_a_cycle():
    a, b, c = RNG.random((3, 6, 8)).astype(np.float32)
    weighting = LossWeighting(scale=5.0)
    turned = fuse({"infrared": a, "other": b, "visible": c}, backbone=MEAN, weighting=weighting)
    straight = fuse([c, a, b], backbone=MEAN, weighting=weighting)
    for name in ("weights", "losses", "components"):
        first, *others = getattr(straight, name)
        np.testing.assert_allclose(getattr(turned, name), [*others, first], atol=1e-6)
    assert np.abs(straight.weights[0] - straight.weights[1]).max() > 0.01


@pytest.mark.parametrize("color", ["rgb", "luma"])
def test_colour_that_is_asked_for_binds_where_it_looks_grey(ifcnn_variables, color):
    backbone = ifcnn_backbone(ifcnn_variables)
    sources = [grey_looking(image) for image in COLOR]
    result = Fuser(backbone, color=color)(sources)
    assert result.report["color"] == color and result.image.shape == (12, 14, 3)
    tinted = [source.copy() for source in sources]
    for source in tinted:
        source[0, 0, 0] += 1e-3  # now it is a colour image beyond doubt
    np.testing.assert_allclose(result.image[6:], Fuser(backbone, color=color)(tinted).image[6:], atol=2e-4)


@pytest.mark.parametrize("make", ["ifcnn", "analytic"])
def test_a_black_frame_compiles_nothing_and_fuses_as_grey(ifcnn_variables, make):
    backbone = ifcnn_backbone(ifcnn_variables) if make == "ifcnn" else MEAN
    fuser = Fuser(backbone).compile((2, 12, 14, 3))
    frames = [COLOR, [np.zeros_like(COLOR[0])] * 2, [COLOR[0], grey_looking(COLOR[1])], list(map(grey_looking, COLOR))]
    with counted() as programs:
        results = [fuser(frame) for frame in frames]
    assert not programs
    for frame, result in ((frames[1], results[1]), (frames[3], results[3])):
        assert result.report["color"] == "gray"
        grey = Fuser(backbone)([image[..., 0] for image in frame])
        np.testing.assert_allclose(result.image, np.repeat(grey.image[..., None], 3, axis=-1), atol=1e-6)
        np.testing.assert_allclose(result.components, grey.components, atol=1e-6)


def test_the_weights_of_a_stack_of_many_are_those_of_each():
    stacks = RNG.random((3, 2, 9, 10)).astype(np.float32)
    many = Fuser(MEAN).batch(stacks)
    for n, stack in enumerate(stacks):
        one = fuse(list(stack), backbone=MEAN)
        jax.tree.map(
            lambda got, expected: np.testing.assert_allclose(got, expected, atol=1e-6),
            (many.image[n], many.weights[n], many.losses[n], many.components[n]),
            (one.image, one.weights, one.losses, one.components),
        )
