"""The converter as a command: what it writes, prints and returns, and that a failure leaves nothing behind."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from convert.from_torch import convert_file, main
from tests.convert.writer import SAVERS, Global, Reduce, ifcnn_state_dict, save_legacy, save_zip, tensor
from ttd_jax import load_backbone
from ttd_jax.errors import InputError

SCRIPT = Path(__file__).parents[2] / "convert" / "from_torch.py"


@pytest.fixture
def source(tmp_path, ifcnn_variables):
    return save_legacy(tmp_path / "IFCNN-MAX.pth", ifcnn_state_dict(ifcnn_variables))


def run(capsys, *arguments):
    """Exit code, standard output and standard error."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def failed(capsys, expected_code, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (expected_code, "")
    assert err.startswith("ttd-jax-convert: error: ") and err.endswith("\n") and err.count("\n") == 1
    return err.removeprefix("ttd-jax-convert: error: ").rstrip()


@pytest.mark.parametrize("layout", SAVERS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_conversion_is_exact(tmp_path, capsys, ifcnn_variables, layout, prefix):
    path = SAVERS[layout](tmp_path / "a.pth", ifcnn_state_dict(ifcnn_variables, prefix))
    code, out, err = run(capsys, "ifcnn", path, "--output", tmp_path / "out", "--preset", "sum")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{tmp_path / 'out'}: ifcnn, preset sum, 83,587 parameters",
        "  keys: 13 used, 2 ignored by name",
        f"  source: a.pth, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
        "  licence: no licence file: convert your own copy",
    ]
    backbone = load_backbone("ifcnn", tmp_path / "out")
    assert (backbone.model.rule, backbone.manifest["preset"]) == ("sum", "sum")
    jax.tree.map(np.testing.assert_array_equal, dict(backbone.variables), ifcnn_variables)


def test_the_preset_comes_from_the_files_name(tmp_path, capsys, source):
    assert run(capsys, "ifcnn", source, "--output", tmp_path / "out")[0] == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["preset"], manifest["config"]) == ("max", {"rule": "max"})


def test_overwriting_must_be_asked_for(tmp_path, capsys, source):
    output = tmp_path / "out"
    assert run(capsys, "ifcnn", source, "--output", output, "--preset", "max")[0] == 0
    before = (output / "manifest.json").read_bytes()
    message = failed(capsys, 2, "ifcnn", source, "--output", output, "--preset", "sum")
    assert message == f"output {output} exists already: choose another name or pass --overwrite (overwrite=True)"
    with pytest.raises(InputError, match="exists already"):
        convert_file("ifcnn", source, output)
    assert (output / "manifest.json").read_bytes() == before
    assert run(capsys, "ifcnn", source, "--output", output, "--preset", "sum", "--overwrite")[0] == 0
    assert load_backbone(checkpoint=output).model.rule == "sum"
    assert sorted(os.listdir(tmp_path)) == ["IFCNN-MAX.pth", "out"]


def test_bad_usage(tmp_path, capsys, source):
    assert run(capsys, "resnet", source, "--output", tmp_path / "out")[0] == 2
    assert run(capsys, "ifcnn", source)[0] == 2
    message = failed(capsys, 2, "ifcnn", source, "--output", tmp_path / "out", "--preset", "median")
    assert message == "presets of ifcnn are max, mean, sum; got 'median'"
    missing = tmp_path / "no" / "out"
    message = failed(capsys, 2, "ifcnn", source, "--output", missing)
    assert message == f"output folder {missing.parent} does not exist: create it first"
    assert os.listdir(tmp_path) == ["IFCNN-MAX.pth"]
    with pytest.raises(InputError, match=r"backbones are .*; got 'resnet'"):
        convert_file("resnet", source, tmp_path / "out")


def test_files_that_do_not_fit(tmp_path, capsys, ifcnn_variables):
    missing = ifcnn_state_dict(ifcnn_variables)
    del missing["conv1.weight"]
    missing["conv5.weight"] = tensor(np.zeros((3, 3), np.float32))
    missing["conv4.bias"] = tensor(np.zeros(4, np.float32))
    path = save_zip(tmp_path / "a.pth", missing)
    message = failed(capsys, 3, "ifcnn", path, "--output", tmp_path / "out")
    assert message == (
        f"{path} is no ifcnn (max) checkpoint: unexpected key conv5.weight (3, 3); missing params/conv1/kernel "
        "(7, 7, 3, 64); params/conv4/bias is float32(4,), expected float32(3,)"
    )
    assert os.listdir(tmp_path) == ["a.pth"]


def test_a_file_of_another_network_lists_a_dozen_problems_and_counts_the_rest(tmp_path, capsys):
    path = save_zip(tmp_path / "a.pth", {f"layer{i}.weight": tensor(np.zeros(2, np.float32)) for i in range(30)})
    message = failed(capsys, 3, "ifcnn", path, "--output", tmp_path / "out")
    assert message.count("unexpected key") == 12
    assert message.endswith("; and 31 more")  # 18 keys and 13 variables


def test_hostile_and_broken_files(tmp_path, capsys, source):
    hostile = save_zip(tmp_path / "b.pth", {"a": Reduce(Global("os", "system"), (f"touch {tmp_path / 'ran'}",))})
    message = failed(capsys, 3, "ifcnn", hostile, "--output", tmp_path / "out")
    assert "refused: the file asks for os.system" in message
    cut = tmp_path / "c.pth"
    cut.write_bytes(source.read_bytes()[:-7])
    message = failed(capsys, 3, "ifcnn", cut, "--output", tmp_path / "out")
    assert message == f"{cut}: ends before its last number: truncated, download it again"
    message = failed(capsys, 3, "ifcnn", tmp_path / "no.pth", "--output", tmp_path / "out")
    assert message == f"{tmp_path / 'no.pth'} cannot be read: No such file or directory"
    assert sorted(os.listdir(tmp_path)) == ["IFCNN-MAX.pth", "b.pth", "c.pth"]


def test_a_disk_that_fails_leaves_nothing(tmp_path, capsys, source, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("json.dumps", fail)
    message = failed(capsys, 1, "ifcnn", source, "--output", tmp_path / "out")
    assert message == f"{tmp_path / 'out'}: No space left on device"
    assert os.listdir(tmp_path) == ["IFCNN-MAX.pth"]


def test_as_a_script_from_anywhere_without_pytorch(tmp_path, source):
    command = [SCRIPT] if SCRIPT.is_file() else ["-m", "ttd_jax_convert.from_torch"]  # in a checkout, or installed
    # -W error, since a user should not see warnings either
    done = subprocess.run(
        [sys.executable, "-W", "error", *command, "ifcnn", source.name, "--output", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("out: ifcnn, preset max, 83,587 parameters\n")
    assert load_backbone(checkpoint=tmp_path / "out").name == "ifcnn"


@pytest.mark.parametrize("name", ["x/" * 3000 + "y", "y" * 300], ids=["path", "name"])
def test_names_that_are_too_long(tmp_path, capsys, source, name):
    before = sorted(tmp_path.rglob("*"))
    assert "File name too long" in failed(capsys, 2, "ifcnn", source, "--output", name)
    assert "File name too long" in failed(capsys, 3, "ifcnn", name, "--output", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before
