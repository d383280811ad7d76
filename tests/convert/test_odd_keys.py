"""Keys and numbers that are no network's: one line each, whatever stands in them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convert
from convert.from_torch import main
from tests.convert.writer import ifcnn_state_dict, save_zip, tensor

ODD = ["a; b", "; ", "a/b", "conv2/x.conv.weight", "", "missing", "{0}", "k" * 10_000, "a\nb", "é" * 300]


@pytest.mark.parametrize("key", ODD)
def test_odd_keys_are_one_line(tmp_path, capsys, ifcnn_variables, key):
    path = save_zip(tmp_path / "a.pth", {**ifcnn_state_dict(ifcnn_variables), key: tensor(np.ones(3, np.float32))})
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out"), "--preset", "max"]) == 3
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "unexpected key" in message and len(message) < 600
    assert not (tmp_path / "out").exists()


TIMED = f"""
import sys, time
from {convert.__name__}.from_torch import main
started = time.process_time()
code = main(sys.argv[1:])
print(time.process_time() - started)
sys.exit(code)
"""


def test_many_keys_are_refused_soon(tmp_path):
    one = tensor(np.ones(1, np.float32))
    path = save_zip(tmp_path / "a.pth", {f"layers.{number}.weight": one for number in range(30_000)})
    done = subprocess.run(
        [sys.executable, "-c", TIMED, "ifcnn", path, "--output", tmp_path / "out", "--preset", "max"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and len(done.stderr) < 1000
    assert "unexpected key layers.0.weight (1,) and 29999 more of layers" in done.stderr
    assert float(done.stdout) < 5  # some 1.5 on a machine that does nothing else


@pytest.mark.parametrize("name", ["layers.a/b.weight", "layers.a.b.weight"])
def test_a_placeholder_has_neither_dot_nor_slash(name):
    from convert.rules import Rule, Table

    assert Table([Rule("layers.{i}.weight", "params/layers_{i}/kernel")]).find(name) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, capsys, ifcnn_variables, bad):
    state = ifcnn_state_dict(ifcnn_variables)
    numbers = np.zeros(3, np.float32)
    numbers[1] = bad
    state["conv4.bias"] = tensor(numbers)
    path = save_zip(tmp_path / "a.pth", state)
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out"), "--preset", "max"]) == 3
    assert capsys.readouterr().err == (
        f"ttd-jax-convert: error: {path} is no ifcnn (max) checkpoint: params/conv4/bias has 1 numbers that are not "
        "finite\n"
    )


def test_numbers_that_float32_cannot_hold_are_refused(tmp_path, capsys, ifcnn_variables):
    state = ifcnn_state_dict(ifcnn_variables)
    state["conv4.bias"] = tensor(np.array([0, 1e300, 0]))
    path = save_zip(tmp_path / "a.pth", state)
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out"), "--preset", "max"]) == 3
    assert "params/conv4/bias has 1 numbers that are not finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "preset"), [("IFCNN-SUM.pth", "sum"), ("ifcnn_mean_v2.pth", "mean"), ("my.max.pth", "max")]
)
def test_the_preset_is_in_the_files_name(tmp_path, capsys, ifcnn_variables, name, preset):
    path = save_zip(tmp_path / name, ifcnn_state_dict(ifcnn_variables))
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out")]) == 0
    assert f"ifcnn, preset {preset}, 83,587 parameters" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["IFCNN.pth", "summary.pth", "max-or-sum.pth"])
def test_a_preset_that_cannot_be_known_is_demanded(tmp_path, capsys, ifcnn_variables, name):
    path = save_zip(tmp_path / name, ifcnn_state_dict(ifcnn_variables))
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"ttd-jax-convert: error: {name} fits the presets max, mean, sum of ifcnn, which fuse differently, and its "
        "name does not say which: name one with --preset\n"
    )
    assert not (tmp_path / "out").exists()
