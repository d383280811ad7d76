"""Fusions in ONNX Runtime beside our own: any height and width where the network allows it, any number of sources."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.backbones.golden import random_variables
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, GradientWeighting, StaticWeighting
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.spec import Backbone
from ttd_jax.errors import InputError
from ttd_jax.export import export_fuser
from ttd_jax.io.images import read_image, write_image

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_onnx.py"
SEED = np.random.SeedSequence()  # fresh in every run; the messages below tell it
RNG = np.random.default_rng(SEED)


def random_backbone(name):
    spec = BACKBONES[name].of_preset(next(iter(BACKBONES[name].presets)))
    model = spec.build(**spec.presets[next(iter(spec.presets))])
    return Backbone(spec, model, random_variables(spec, model))


def run(path, stack):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, {"sources": stack}), strict=True))


def compare(fuser, path, stack, *, share=1.0, most=1e-5):
    """The exported file's results beside those of the fuser: such a share within 1e-5, and all within ``most``."""
    own = stack if stack.shape[-1] == 3 else stack[..., 0]
    roles = fuser.backbone.spec.roles
    expected = fuser(dict(zip(roles, own, strict=True)) if roles else list(own))
    found = run(path, stack)
    assert set(found) == ({"image"} if expected.weights is None else {"image", "weights"})
    for name in found:
        own = getattr(expected, name)
        np.testing.assert_allclose(found[name], own, atol=most, err_msg=f"seed {SEED.entropy}")
        assert np.quantile(np.abs(found[name] - own), share) <= 1e-5, f"seed {SEED.entropy}"


def draw(count, height, width, channels):
    return RNG.random((count, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("bandnet", (3, 21, 34, 3)), ("pyramid", (3, 37, 22, 3)), ("pyramid", (2, 9, 175, 1))],
)
def test_by_band_for_one_size(tmp_path, name, shape):
    count, height, width, channels = shape
    fuser = Fuser(name)
    path = tmp_path / "fuse.onnx"
    about = export_fuser(fuser, path, format="onnx", sources=count, channels=channels, size=(height, width))
    assert about["takes"] == [f"float32[{count},{height},{width},{channels}]"]
    stack = draw(*shape)
    stack[0, 3:7, 2:6] = 1.0  # clipped pixels are judged for themselves
    if channels == 3:
        stack[1] = stack[1, ..., :1]  # a grey source among colour ones
    compare(fuser, path, stack, share=0.98, most=2e-4)  # in noise a choice by band is steep


def test_ifcnn_for_any_size(tmp_path, ifcnn_variables):
    fuser, path = Fuser(ifcnn_backbone(ifcnn_variables, "mean")), tmp_path / "fuse.onnx"
    about = export_fuser(fuser, path, format="onnx", sources=3)
    assert about["takes"] == ["float32[3,height,width,1]"]
    for size in ((16, 23), (31, 18)):
        compare(fuser, path, draw(3, *size, 1))


@pytest.mark.parametrize("weighting", [GradientWeighting(channel="auto"), StaticWeighting("max")])
def test_other_weightings(tmp_path, ifcnn_variables, weighting):
    fuser, path = Fuser(ifcnn_backbone(ifcnn_variables, "mean"), weighting=weighting), tmp_path / "fuse.onnx"
    export_fuser(fuser, path, format="onnx", size=(17, 20))
    compare(fuser, path, draw(2, 17, 20, 1))


@pytest.mark.parametrize("weighting", ["loss", GradientWeighting(channel="auto")])
def test_a_network_with_a_branch_for_any_size(tmp_path, weighting):
    fuser, path = Fuser(random_backbone("piafusion"), weighting=weighting), tmp_path / "fuse.onnx"
    export_fuser(fuser, path, format="onnx")
    compare(fuser, path, draw(2, 17, 20, 1))


def test_the_file_says_what_it_is_and_runs_without_the_package(tmp_path):
    path = tmp_path / "fuse.onnx"
    export_fuser(Fuser("pyramid"), path, format="onnx", size=(20, 26))
    beside = json.loads(Path(f"{path}.json").read_text())
    inside = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert json.loads(inside["ttd_jax"]) == beside
    assert (beside["backbone"], beside["opset"], "platforms" in beside) == ("pyramid", 18, False)
    for name in "ab":
        write_image(tmp_path / f"{name}.png", RNG.integers(0, 256, (20, 26), dtype=np.uint8))
    sources, output = [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "fused.png"
    without = "import runpy, sys\nfor name in ('ttd_jax', 'jax'): sys.modules[name] = None\n"
    code = f"{without}sys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-I", "-c", code, *map(str, (EXAMPLE, path, *sources, output))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    difference = np.abs(read_image(output).pixels.astype(int) - Fuser("pyramid")(sources).image)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-2  # halves may round either way


@pytest.mark.parametrize(
    ("fuser", "options", "message"),
    [
        ({}, {}, "bandnet needs to know the image's size ("),
        ({}, {"platforms": ["cpu"]}, "an ONNX file runs wherever there is a runtime: leave platforms out"),
        ({}, {"format": "tflite"}, "format is one of 'stablehlo', 'onnx'; got 'tflite'"),
        (
            {"precision": "bfloat16"},
            {"size": (20, 20)},
            "this fusion cannot be exported to ONNX: it computes in bfloat16",
        ),
    ],
)
def test_what_cannot_be_says_why(tmp_path, fuser, options, message):
    with pytest.raises(InputError) as caught:
        export_fuser(Fuser(**fuser), tmp_path / "fuse.onnx", **({"format": "onnx"} | options))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"an export to ONNX needs onnx: pip install 'ttd-jax\[onnx\]'"):
        export_fuser(Fuser("pyramid"), tmp_path / "fuse.onnx", format="onnx", size=(20, 20))
