"""Exported fusions, run by the example in a process that cannot import this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jax import export

from tests.backbones.golden import random_variables
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, StaticWeighting, save_backbone
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.spec import Backbone
from ttd_jax.errors import InputError
from ttd_jax.export import export_fuser
from ttd_jax.io.images import read_image, write_image

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_exported.py"
WITHOUT_US = """
import runpy, sys
for name in ("ttd_jax", "flax", "orbax"):
    sys.modules[name] = None  # importing it fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
RNG = np.random.default_rng(0)


def run_exported(*arguments):
    """The example, for each list of arguments in turn; one process is enough for all."""
    for line in arguments:
        command = [sys.executable, "-I", "-c", WITHOUT_US, str(EXAMPLE), *map(str, line)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def write_sources(folder, name, *shapes):
    paths = [folder / f"{name}{i}.png" for i in range(len(shapes))]
    for path, shape in zip(paths, shapes, strict=True):
        write_image(path, RNG.integers(0, 256, shape, dtype=np.uint8))
    return paths


def random_backbone(name, preset):
    spec = BACKBONES[name].of_preset(preset)
    model = spec.build(**spec.presets[preset])
    variables = random_variables(spec, model)
    return Backbone(spec, model, variables)


def call(path, stack):
    return export.deserialize(bytearray(path.read_bytes())).call(stack)


def test_one_file_runs_at_two_sizes_without_the_package(ttd_jax, tmp_path, ifcnn_variables):
    program, checkpoint = tmp_path / "fuse.stablehlo", tmp_path / "ifcnn"
    backbone = ifcnn_backbone(ifcnn_variables, "mean")
    save_backbone(backbone, checkpoint, preset="mean")
    done = ttd_jax("export", "--checkpoint", checkpoint, "-o", program)
    note = "ttd-jax: note: takes grey sources; for colour ones export with --channels 3\n"
    assert (done.code, done.err) == (0, note)
    assert done.out == (
        f"{program}: takes float32[2,height,width,1], returns image float32[height,width], "
        "weights float32[2,height,width]; for cpu, cuda\n"
    )
    about = json.loads(Path(f"{program}.json").read_text())
    assert (about["backbone"], about["color"], about["platforms"]) == ("ifcnn", "gray", ["cpu", "cuda"])
    runs = []
    for name, shape in (("small", (9, 21)), ("large", (50, 33))):
        runs.append([program, *write_sources(tmp_path, name, shape, shape), tmp_path / f"{name}.png"])
    run_exported(*runs)
    for _, *sources, output in runs:
        expected = Fuser(backbone)(sources).image
        difference = np.abs(read_image(output).pixels.astype(int) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3  # halves may round either way


def test_colour_with_a_grey_source(tmp_path, ifcnn_variables):
    """Which sources have colour is found out as the program runs."""
    program = tmp_path / "fuse.stablehlo"
    export_fuser(Fuser(), program, channels=3, sources=3, size=(12, 14), platforms=["cpu"])
    color = RNG.random((3, 12, 14, 3)).astype(np.float32)
    for stack in (color, np.concatenate([np.repeat(color[:1, ..., :1], 3, axis=-1), color[1:]])):
        expected = Fuser()(list(stack))
        got = call(program, stack)
        np.testing.assert_allclose(got["image"], expected.image, atol=1e-5)
        np.testing.assert_allclose(got["weights"], expected.weights, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "preset", "weighting"),
    [("ifcnn", "max", "static"), ("cddfuse", "ivf", "loss"), ("piafusion", "default", "loss")],
)
def test_other_networks_for_any_size(tmp_path, name, preset, weighting):
    backbone = random_backbone(name, preset)
    fuser = Fuser(backbone, weighting=weighting)
    export_fuser(fuser, tmp_path / "program", platforms=["cpu"])
    for shape in ((8, 11), (13, 9)):
        stack = RNG.random((2, *shape)).astype(np.float32)
        sources = dict(zip(backbone.spec.roles or "ab", stack, strict=True))
        expected = fuser(sources)
        got = call(tmp_path / "program", stack[..., np.newaxis])
        np.testing.assert_allclose(got["image"], expected.image, atol=2e-5)
        assert ("weights" in got) == (expected.weights is not None)


@pytest.mark.parametrize("name", ["mgdn", "bandnet"])
def test_a_network_that_must_know_the_size_says_so_and_takes_one(tmp_path, name):
    fuser = Fuser(random_backbone("mgdn", "focus"), weighting="static") if name == "mgdn" else Fuser()
    with pytest.raises(InputError) as caught:
        export_fuser(fuser, tmp_path / "program")
    message = str(caught.value)
    assert message.startswith(f"{name} needs to know the image's size (") and "\n" not in message
    assert message.endswith("export it for one size (--size WIDTHxHEIGHT, size=(height, width))")
    assert not list(tmp_path.iterdir())
    about = export_fuser(fuser, tmp_path / "program", size=(20, 26), platforms=["cpu"])
    assert about["takes"] == ["float32[2,20,26,1]"]
    stack = RNG.random((2, 20, 26)).astype(np.float32)
    got = call(tmp_path / "program", stack[..., np.newaxis])
    np.testing.assert_allclose(got["image"], fuser(list(stack)).image, atol=1e-5)


def test_a_maximum_has_no_weights_and_bfloat16_is_kept(tmp_path, ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables, "mean")
    fuser = Fuser(backbone, weighting=StaticWeighting("max"), precision="bfloat16")
    about = export_fuser(fuser, tmp_path / "program", platforms=["cpu"])
    assert set(about["returns"]) == {"image"} and about["precision"] == "bfloat16"
    stack = RNG.random((2, 8, 10)).astype(np.float32)
    got = call(tmp_path / "program", stack[..., np.newaxis])
    np.testing.assert_allclose(got["image"], fuser(list(stack)).image, atol=5e-3)


def test_nothing_is_overwritten_unless_asked(ttd_jax, tmp_path):
    program = tmp_path / "fuse.stablehlo"
    Path(f"{program}.json").write_text("mine")
    done = ttd_jax("export", "-o", program, "--size", "8x8", "--platforms", "cpu")
    assert done.code == 2 and f"output {program}.json exists already" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["fuse.stablehlo.json"]
    assert ttd_jax("export", "-o", program, "--size", "8x8", "--platforms", "cpu", "--overwrite").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fuse.stablehlo", "fuse.stablehlo.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "8"], "--size is WIDTHxHEIGHT, such as 640x480; got '8'"),
        (
            ["--sources", "1"],
            "an export is of 2 sources or more, of 1 or 3 channels, at least",
        ),
        (["--channels", "2"], "an export is of 2 sources or more, of 1 or 3 channels"),
        (["--platforms", "cpu,toaster"], "platforms are cpu, cuda, rocm, tpu; got toaster"),
    ],
)
def test_exports_that_cannot_be(ttd_jax, tmp_path, arguments, message):
    done = ttd_jax("export", "-o", tmp_path / "program", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"ttd-jax: error: {message}") and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
