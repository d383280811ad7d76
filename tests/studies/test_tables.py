"""The paper's tables: the figures typed in, the search for data, the protocol, and Table 3 to every digit."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from convert.from_torch import convert_file
from studies.datasets import DATASETS, find_pairs
from studies.published import TABLES
from studies.tables import check_recipes, compute, fuser, load_backbones, report
from ttd_jax.core import fusion
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.metrics import evaluate

RNG = np.random.default_rng(0)


@pytest.fixture
def medical(tmp_path):
    """Two MRI-CT pairs, the one in colour, in folders named in another way than the data set's authors do."""
    for folder in ("mri", "ct"):
        (tmp_path / "sets" / "mri_ct" / folder).mkdir(parents=True)
    for name, shape in (("1.png", (40, 48)), ("2.png", (40, 48, 3))):
        for folder in ("mri", "ct"):
            Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "sets/mri_ct" / folder / name)
    return tmp_path


def test_the_printed_rows_fit_their_columns():
    assert sorted(TABLES) == list(range(1, 10))
    for table in TABLES.values():
        for part in table.parts:
            assert part.dataset in DATASETS
            assert len({row.label for row in part.rows}) == len(part.rows)
            assert all(len(row.values) == len(part.metrics) for row in part.rows)


@pytest.mark.parametrize(
    ("number", "part", "static", "improvement"),
    [
        (1, 0, "IFCNN", (0.03, 1.24, 0.30, 0.79, 1.22, 0.02, 0.03)),
        (1, 1, "IFCNN", (0.02, 1.10, 0.14, 0.40, 0.69, 0.02, 0.02)),
        (1, 1, "CDDFuse", (0.07, 0.40, 0.19, 0.46, 1.10, 0.02, 0.03)),
        (1, 1, "PIAFusion", (0.02, 2.92, 0.23, 0.61, 0.87, 0.18, 0.01)),
        (2, 0, "IFCNN", (1.08, 1.46, 0.04, 0.53, 1.58, 0.19)),
        (2, 1, "IFCNN", (0.20, 0.39, 0.01, 0.15, 0.66, 0.00)),
        (3, 0, "IFCNN", (0.04, 4.16, 0.41, 1.19, 1.57, 0.01, 0.09)),
        (3, 0, "CDDFuse", (0.01, 0.06, 0.91, 2.27, 3.18, 0.03, 0.04)),
        (3, 0, "PIAFusion", (0.14, 2.11, 0.13, 0.41, 1.03, 0.39, 0.55)),
        (6, 0, "IFCNN", (0.04, 3.19, 0.59, 1.56, 2.28, 0.00, 0.03)),
        (6, 0, "CDDFuse", (0.01, 1.82, 1.05, 2.29, 4.74, 0.03, 0.02)),
        (6, 0, "PIAFusion", (0.10, 2.47, 0.22, 0.63, 1.24, 0.45, 0.49)),
        (7, 0, "IFCNN", (0.03, 1.60, 0.38, 0.98, 1.75, 0.00, 0.02)),
        (7, 0, "CDDFuse", (0.01, 2.87, 0.48, 1.19, 2.70, 0.03, 0.07)),
    ],
)
def test_the_rows_differ_by_what_the_paper_prints_as_improvement(number, part, static, improvement):
    """The paper prints the differences too, which catches a digit typed wrong here."""
    rows = {row.label: row.values for row in TABLES[number].parts[part].rows}
    found = np.abs(np.subtract(rows[f"{static}+TTD"], rows[static]))
    np.testing.assert_allclose(found, improvement, atol=1e-9)


def test_pairs_are_found_above_in_and_whatever_the_case(medical):
    expected = [(medical / f"sets/mri_ct/mri/{n}.png", medical / f"sets/mri_ct/ct/{n}.png") for n in (1, 2)]
    for data in (medical, medical / "sets", medical / "sets/mri_ct"):
        assert find_pairs(data, "MRI-CT") == expected
    assert find_pairs(medical, "MRI-PET") == []


def test_pairs_by_suffix_in_one_folder(tmp_path):
    for name in ("mefb/x/x_A.jpg", "mefb/x/x_B.jpg", "mefb/y_A.jpg", "mefb/y_B.jpg", "mefb/alone_A.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [(a.name, b.name) for a, b in find_pairs(tmp_path, "MEFB")]
    assert found == [("x_A.jpg", "x_B.jpg"), ("y_A.jpg", "y_B.jpg")]


def test_the_protocol(medical, checkpoint):
    """Truncation, the exchange of red and blue, and the metrics, against the formulas on the network's own output."""
    backbone = load_backbones([checkpoint])["ifcnn"]
    pair = find_pairs(medical, "MRI-CT")[1]
    sources = [np.asarray(Image.open(path).convert("L")) for path in pair]
    stack = jnp.asarray(np.stack(sources)[..., np.newaxis] / 255, jnp.float32)
    image = np.asarray(fusion.fuse(backbone.model, backbone.variables, stack, StaticWeighting()).image)
    levels = np.floor(np.clip(image, 0, 1) * 255)
    expected = levels @ [0.114, 0.587, 0.299]
    fused = fuser(backbone, None, DATASETS["MRI-CT"])(pair)
    assert fused.dtype == np.uint8
    assert np.abs(fused - expected).max() <= 1.51  # rounding, and one level where 255 x is whole
    assert np.abs(fused - expected).mean() < 0.3
    part = TABLES[3].parts[0]
    (line,) = [line for line in compute(part, [pair], {"ifcnn": backbone}) if line.recipe == "static"]
    scores = evaluate(fused, sources, metrics=part.metrics, convention="ttd", variants={"SD": "sample"})
    assert line.values == pytest.approx(tuple(scores.values()))


def test_report_and_what_is_missing(medical, checkpoint):
    backbones, part = load_backbones([checkpoint]), TABLES[3].parts[0]
    pairs = find_pairs(medical, "MRI-CT")
    lines = list(compute(part, pairs, backbones))
    assert [(line.row.label, line.recipe) for line in lines] == [
        ("IFCNN", "static"),
        *(("IFCNN+TTD", name) for name in ("default", "vif", "exposure", "focus", "fitted", "paper")),  # medical is vif
    ]  # fmt: skip
    text = report(3, part, pairs, backbones, lines)
    assert text[0] == "Table 3, MRI and CT: MRI-CT, 2 of 21 pairs"
    rows = [row.split() for row in text if row.startswith("IFCNN ")]
    assert rows[0][1:] == ["paper", "4.62", "61.98", "7.86", "19.92", "31.06", "1.49", "4.72"]
    difference = next(row for row in text if "difference" in row).split()[1:]
    assert [float(value) for value in difference] == pytest.approx(
        np.subtract(lines[0].values, part.rows[0].values), abs=6e-4
    )
    assert "note: 2 pairs instead of the paper's 21: the differences are not the method's" in text
    assert any(row.startswith("missing: a checkpoint of cddfuse, from github.com/") for row in text)
    assert "note: the paper's rows of IFCNN are those of IFCNN-SUM.pth; the checkpoint here is mean" in text


def test_recipes(medical, checkpoint):
    backbones = load_backbones([checkpoint])
    check_recipes(["paper"], backbones)
    lines = compute(TABLES[3].parts[0], find_pairs(medical, "MRI-CT")[:1], backbones, ["paper"])
    assert [line.recipe for line in lines] == ["static", "paper"]
    with pytest.raises(
        InputError, match="recipes of ifcnn are default, vif, medical, exposure, focus, fitted, paper; got 'best'"
    ):
        check_recipes(["best"], backbones)


def test_two_checkpoints_of_one_backbone(checkpoint):
    with pytest.raises(InputError, match="two checkpoints are of ifcnn"):
        load_backbones([checkpoint, checkpoint])


def test_the_command_says_what_is_missing(tmp_path):
    """No data set and no checkpoint: printed rows, where to get the rest, and exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "studies.tables", "--table", "2", "--data", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "Table 2, multi-exposure and multi-focus: MFI-WHU, 0 pairs" in done.stdout
    assert "missing: MEFB, from github.com/xingchenzhang/MEFB; expected inside --data: " in done.stdout
    assert "convert it with `python convert/from_torch.py ifcnn FILE.pth" in done.stdout


@pytest.mark.shared_data
def test_table_3_static_row_to_every_printed_digit(shared_data, tmp_path):
    convert_file("ifcnn", shared_data / "checkpoints/ifcnn/IFCNN-SUM.pth", tmp_path / "sum", preset="sum")
    part, pairs = TABLES[3].parts[0], find_pairs(shared_data, "MRI-CT")
    assert len(pairs) == 21
    static_row = replace(part, rows=part.rows[:1])
    (line,) = compute(static_row, pairs, load_backbones([tmp_path / "sum"]))
    assert [f"{value:.2f}" for value in line.values] == [f"{value:.2f}" for value in part.rows[0].values]
