"""``ttd-jax evaluate`` and ``ttd-jax metrics``: figures, formats and ranks."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.evaluating import CHOSEN, FEW, NAMES, SOURCES, close, expected
from ttd_jax import __version__


def test_csv_has_what_evaluate_gives(ttd_jax, folders):
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", *FEW, "--format", "csv")
    assert (done.code, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["row"] for row in rows] == ["image", "image", "image", "mean", "protocol"]
    by_image = {name: expected("mean", name, ".tif") for name in NAMES}
    for row, (name, scores) in zip(rows, by_image.items(), strict=False):
        assert (row["method"], row["image"]) == ("mean", name)
        assert {metric: float(row[metric]) for metric in CHOSEN} == scores
    means = {metric: np.mean([scores[metric] for scores in by_image.values()]) for metric in CHOSEN}
    assert close({metric: float(rows[3][metric]) for metric in CHOSEN}, means)
    assert rows[4]["image"].startswith(f"ttd-jax {__version__}, jax ")


def test_json_of_two_methods(ttd_jax, folders):
    arguments = [*SOURCES, "--fused", "copy", "--method", "first source", "--fused", "mean", *FEW, "--format", "json"]
    done = ttd_jax("evaluate", *arguments, "--convention", "vifb", "--channel", "gray")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert list(found["methods"]) == ["first source", "mean"]
    assert found["methods"]["first source"]["folder"] == "copy"
    for method, folder, suffix in (("first source", "copy", ".png"), ("mean", "mean", ".tif")):
        for name in NAMES:
            assert found["methods"][method]["images"][name] == expected(folder, name, suffix, convention="vifb")
    assert found["metrics"]["CE"] == {"full_name": "cross entropy", "variant": "vifb", "direction": "lower"}
    assert (found["convention"], found["channel"], found["image_count"]) == ("vifb", "gray", 3)
    assert (found["sources"], found["pixels"], found["failed"], found["unmatched"]) == (
        ["vis", "ir"],
        ["uint8"],
        {},
        {},
    )
    ranks = {method: row["rank"] for method, row in found["methods"].items()}
    # the copy has the noise of one source, the mean less: more entropy and gradient for the copy
    assert ranks["first source"]["AG"] == ranks["first source"]["EN"] == 1
    assert ranks["mean"]["AG"] == ranks["mean"]["EN"] == 2


def test_the_protocol_says_how(ttd_jax, folders):
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN", "SF/unit", "CE/mean")
    line = done.out.splitlines()[-1]
    assert re.fullmatch(
        rf"ttd-jax {re.escape(__version__)}, jax [\d.]+, float32; convention standard: EN/shannon↑ SF/unit↑ CE/mean↓; "
        r"channel y; mean of 3 images; sources vis, ir; fused mean; pixels uint8",
        line,
    )


def test_table_of_one_method(ttd_jax, folders):
    lines = ttd_jax("evaluate", *SOURCES, "--fused", "mean", *FEW).out.splitlines()
    assert lines[0].split() == ["image", "EN↑", "CE↓", "AG↑"]
    assert [line.split()[0] for line in lines[1:5]] == [*NAMES, "mean"]
    found = [float(cell) for cell in lines[1].split()[1:]]
    assert found == pytest.approx(list(expected("mean", "1", ".tif").values()), abs=6e-4)
    assert len({len(line) for line in lines[:5]}) == 1  # aligned
    assert lines[5] == ""


def test_ranks_in_the_table(ttd_jax, folders):
    shutil.copytree("mean", "again")
    lines = ttd_jax(
        "evaluate", *SOURCES, "--fused", "mean", "--fused", "copy", "--fused", "again", *FEW
    ).out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["method", "mean", "copy", "again"]
    ranks = [re.findall(r"\((\d)\)", line) for line in lines[1:4]]
    assert ranks[0] == ranks[2]  # equal means share a rank
    assert [row[0] for row in ranks] == ["2", "1", "2"]  # entropy: the copy, which is noisier
    assert all(sorted(column) in (["1", "2", "2"], ["1", "1", "3"]) for column in zip(*ranks, strict=True))


def test_markdown(ttd_jax, folders):
    out = ttd_jax(
        "evaluate", *SOURCES, "--fused", "mean", "--method", "a|b_c", "--fused", "copy", *FEW, "--format", "markdown"
    ).out
    lines = out.splitlines()
    assert lines[:2] == ["| method | EN ↑ | CE ↓ | AG ↑ |", "| --- | ---: | ---: | ---: |"]
    assert lines[2].startswith("| a\\|b\\_c | ")
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines[:4]] == [5, 5, 5, 5]
    assert sum(line.count("**") for line in lines[2:4]) == 2 * len(CHOSEN)  # one best of each


def test_latex(ttd_jax, folders):
    out = ttd_jax(
        "evaluate", *SOURCES, "--fused", "mean", "--method", "50%_&", "--fused", "copy", *FEW, "--format", "latex"
    ).out
    lines = out.splitlines()
    assert lines[0].startswith("% ttd-jax ") and lines[2] == r"\begin{tabular}{lrrr}" and lines[-1] == r"\end{tabular}"
    assert lines[4] == r"method & EN $\uparrow$ & CE $\downarrow$ & AG $\uparrow$ \\"
    assert lines[6].startswith(r"50\%\_\& & ") and lines[6].endswith(r" \\")
    for mark in (r"\textbf", r"\underline"):
        assert out.count(mark) == len(CHOSEN)


def test_latex_of_one_method(ttd_jax, folders):
    lines = ttd_jax("evaluate", *SOURCES, "--fused", "mean", *FEW, "--format", "latex").out.splitlines()
    assert [line.split(" & ")[0] for line in lines[6:9]] == NAMES
    assert lines[9] == r"\midrule" and lines[10].startswith("mean & ")


def test_an_output_file(ttd_jax, folders):
    arguments = ["evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN", "--format", "json", "-o", "out.json"]
    assert ttd_jax(*arguments) == (0, "", "")
    before = Path("out.json").read_bytes()
    assert json.loads(before)["image_count"] == 3
    done = ttd_jax(*arguments, "--convention", "zoo")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "ttd-jax: error: output out.json exists already: choose another name or pass --overwrite (overwrite=True)\n"
    )
    assert Path("out.json").read_bytes() == before
    assert ttd_jax(*arguments, "--convention", "zoo", "--overwrite").code == 0
    assert json.loads(Path("out.json").read_text())["convention"] == "zoo"
