"""``ttd-jax explain``: the numbers it prints are the report's, and the figure shows the arrays of the result."""

import json

import numpy as np
import pytest

from ttd_jax import fuse
from ttd_jax.cli import explain
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path):
    """Two grey and one colour picture."""
    for name, shape in {"a": (24, 32), "b": (24, 32), "c": (24, 32, 3)}.items():
        write_image(tmp_path / f"{name}.png", RNG.integers(0, 256, shape, dtype=np.uint8))
    return [tmp_path / f"{name}.png" for name in "abc"]


def test_numbers(ttd_jax, checkpoint, pictures):
    done = ttd_jax("explain", *pictures, "--checkpoint", checkpoint)
    assert (done.code, done.err) == (0, "")
    theory = fuse(pictures, checkpoint=checkpoint, explain=True).report["theory"]
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["weight", "loss", "covariance", "correlation", "error"]
    for line, (name, row) in zip(lines[1:4], theory["sources"].items(), strict=True):
        assert line[0] == name
        np.testing.assert_allclose([float(word) for word in line[1:]], list(row.values()), rtol=1e-3)
    assert float(lines[4][1]) == pytest.approx(theory["covariance"], rel=1e-3)
    for line, key in zip(lines[7:], ("error", "decomposed", "covariance", "constant", "bound"), strict=True):
        expected = [theory[kind][key] for kind in ("static", "dynamic")]
        np.testing.assert_allclose([float(word) for word in line[-2:]], expected, rtol=1e-3)


def test_a_maximum_has_no_bound():
    row = {"error": 0.1, "decomposed": None, "covariance": None, "constant": 0.5, "bound": None}
    theory = {"sources": {"a": dict.fromkeys(("weight", "loss", "covariance", "correlation", "error"), 1e-7)}}
    text = explain.describe({**theory, "covariance": -1e-7, "static": row, "dynamic": row})
    assert text.splitlines()[2].split() == ["sum", "-1e-07"]
    assert text.splitlines()[-1].split() == ["bound", "(Eq.", "10)", "none", "none"]


def test_figure_and_json(ttd_jax, checkpoint, pictures, tmp_path):
    output = tmp_path / "figure.png"
    sources = [f"visible={pictures[2]}", f"infrared={pictures[0]}"]
    done = ttd_jax("explain", *sources, "-o", output, "--json", "--checkpoint", checkpoint)
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["output"] == str(output) and list(report["theory"]["sources"]) == ["visible", "infrared"]
    assert read_image(output).pixels.shape[1:] == (1920, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png", "figure.png"]


def test_overwriting_must_be_asked_for(ttd_jax, checkpoint, pictures, tmp_path):
    output = tmp_path / "figure.png"
    write_image(output, np.zeros((2, 2), np.uint8))
    arguments = ["explain", *pictures[:2], "-o", output, "--checkpoint", checkpoint]
    done = ttd_jax(*arguments)
    assert (done.code, done.out) == (2, "") and "exists already" in done.err
    assert read_image(output).pixels.shape == (2, 2)
    assert ttd_jax(*arguments, "--overwrite").code == 0
    assert read_image(output).pixels.shape[1] == 1920


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png"], "fusion takes two sources or more; got 1"),
        (["a.png", "missing.png"], "cannot read missing.png: No such file or directory"),
        (["a.png", "."], ". is a folder: name one file for each source"),
        (["x=a.png", "b.png"], "give every source a role or none; b.png has none"),
        (["a.png", "b.png", "-o", "a.png", "--overwrite"], "output a.png is also a source or another output"),
        (["a.png", "b.png", "-o", "figure.gif"], "cannot write figure.gif: the name ends in one of .png"),
        (["a.png", "b.png", "--weighting", "static"], "static fusion has no losses to explain: use weighting='loss'"),
    ],
)
def test_mistakes(ttd_jax, checkpoint, pictures, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = ttd_jax("explain", *arguments, "--checkpoint", checkpoint)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"ttd-jax: error: {message}") and done.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]
