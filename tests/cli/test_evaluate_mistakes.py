"""``ttd-jax evaluate`` and ``ttd-jax metrics``: every kind of bad folder, file and option."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.evaluating import CHOSEN, FEW, NAMES, SOURCES, close
from ttd_jax.comparison import evaluate_folders
from ttd_jax.errors import InputError
from ttd_jax.io.images import read_image, write_image
from ttd_jax.metrics import evaluate


def test_unmatched_names_are_listed_and_the_rest_is_scored(ttd_jax, folders):
    Path("mean/2.tif").unlink()
    Path("vis/1.png").unlink()
    write_image("ir/extra.png", np.zeros((40, 48), np.uint8))
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN")
    assert done.code == 1
    assert done.err.splitlines() == [
        "ttd-jax: unmatched: not in vis: 1, extra",
        "ttd-jax: unmatched: not in mean: 2, extra",
    ]
    assert [line.split()[0] for line in done.out.splitlines()[1:3]] == ["3", "mean"]


def test_many_unmatched_names_are_cut_short_but_not_in_json(ttd_jax, folders):
    for k in range(30):
        shutil.copy("vis/1.png", f"vis/x{k:02}.png")
    arguments = ["evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN"]
    done = ttd_jax(*arguments)
    assert done.err.splitlines()[0].endswith("x18, x19 and 10 more (all with --format json)")
    found = json.loads(ttd_jax(*arguments, "--format", "json").out)
    assert found["unmatched"] == {folder: [f"x{k:02}" for k in range(30)] for folder in ("ir", "mean")}


def test_an_unreadable_file_in_the_middle(ttd_jax, folders):
    damaged = Path("mean/2.tif")
    damaged.write_bytes(damaged.read_bytes()[:-500])
    done = ttd_jax("evaluate", *SOURCES, "--fused", "copy", "--fused", "mean", "--metrics", "EN", "--format", "json")
    assert done.code == 1
    assert done.err.startswith("ttd-jax: failed: 2: mean/2.tif is damaged, truncated or no image: ")
    assert done.err.count("\n") == 1
    found = json.loads(done.out)
    assert list(found["failed"]) == ["2"]
    assert [list(row["images"]) for row in found["methods"].values()] == [["1", "3"], ["1", "3"]]  # fair to both
    assert "mean of 2 images, 1 failed;" in found["protocol"]


def test_different_sizes(ttd_jax, folders):
    write_image("mean/3.tif", np.zeros((20, 24), np.uint8), overwrite=True)
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN")
    assert done.code == 1
    assert done.err == (
        "ttd-jax: failed: 3: sizes differ: vis/3.png 48 x 40, ir/3.bmp 48 x 40, mean/3.tif 24 x 20 (width x height): "
        "crop or resize them to match\n"
    )


def test_a_pixel_type_without_a_scale(ttd_jax, folders):
    import tifffile

    tifffile.imwrite("mean/1.tif", np.zeros((40, 48), np.int16))
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN")
    assert done.code == 1
    assert done.err == (
        "ttd-jax: failed: 1: mean/1.tif: pixels are bool, uint8, uint16 or float in [0, 1]; got int16: shift and "
        "scale them to [0, 1] yourself, so that nothing is guessed\n"
    )


def test_another_depth_is_taken_at_its_own_full_scale_and_said(ttd_jax, folders):
    for name in NAMES:
        pixels = read_image(f"vis/{name}.png").pixels
        write_image(f"vis/{name}.png", pixels.astype(np.uint16) * 257, overwrite=True)
    done = ttd_jax("evaluate", *SOURCES, "--fused", "copy", *FEW, "--format", "json")
    assert done.code == 0
    assert done.err == (
        "ttd-jax: note: pixels are uint16 and uint8 in one set: each was taken at its own full scale (3 times)\n"
    )
    found = json.loads(done.out)
    assert found["pixels"] == ["uint16", "uint8"]
    scores = evaluate(
        read_image("copy/1.png").pixels, [read_image(p).pixels for p in ("copy/1.png", "ir/1.bmp")], metrics=CHOSEN
    )
    assert close(found["methods"]["copy"]["images"]["1"], scores)


def test_alpha_and_one_bit(ttd_jax, folders):
    from PIL import Image

    alpha = np.dstack([read_image("copy/1.png").pixels, np.full((40, 48), 9, np.uint8)])
    Image.fromarray(alpha, "LA").save("copy/1.png")
    mask = np.random.default_rng(0).random((40, 48)) > 0.5
    Image.fromarray(mask).save("copy/2.png")
    done = ttd_jax("evaluate", *SOURCES, "--fused", "copy", "--metrics", "SD", "--format", "json")
    assert (done.code, done.err) == (0, "ttd-jax: note: alpha was dropped (1 time)\n")
    images = json.loads(done.out)["methods"]["copy"]["images"]
    assert images["1"]["SD"] == pytest.approx(np.std(alpha[..., 0]), rel=1e-6)
    assert images["2"]["SD"] == pytest.approx(np.std(mask * 255.0), rel=1e-6)


def test_undefined_values_stay_out_of_means_and_are_counted(ttd_jax, folders):
    write_image("mean/2.tif", np.full((40, 48), 100, np.uint8), overwrite=True)  # CC of one level is NaN
    done = ttd_jax("evaluate", *SOURCES, "--fused", "copy", "--fused", "mean", "--metrics", "CC", "--format", "json")
    found = json.loads(done.out)
    assert (done.code, found["undefined"]) == (0, {"CC": 1})
    assert found["methods"]["mean"]["images"]["2"] == {"CC": None}
    for method in ("copy", "mean"):
        images = found["methods"][method]["images"]
        assert found["methods"][method]["mean"]["CC"] == pytest.approx((images["1"]["CC"] + images["3"]["CC"]) / 2)
    assert "images where a metric is undefined, not in its mean: CC 1;" in found["protocol"]


def test_a_metric_that_is_defined_nowhere_has_no_rank(folders):
    for name in NAMES:
        write_image(f"mean/{name}.tif", np.full((40, 48), 100, np.uint8), overwrite=True)
    found = evaluate_folders({"copy": "copy", "mean": "mean"}, ["vis", "ir"], metrics=["CC"])
    assert all(math.isnan(row["CC"]) for row in found.means().values())
    assert found.ranks() == {"copy": {"CC": None}, "mean": {"CC": None}}


def test_programs_of_many_sizes_are_dropped(tmp_path, monkeypatch):
    """What is compiled for one size would otherwise stay for all of a folder."""
    for folder in ("a", "b", "fused"):
        (tmp_path / folder).mkdir()
        for k in range(10):
            write_image(tmp_path / folder / f"{k}.png", np.full((16 + k, 16), 100, np.uint8))
    dropped = []
    monkeypatch.setattr("jax.clear_caches", lambda: dropped.append(None))
    found = evaluate_folders({"x": tmp_path / "fused"}, [tmp_path / "a", tmp_path / "b"], metrics=["SD"])
    assert (len(found.images), len(dropped)) == (10, 2)


def test_from_python_a_wrong_option_is_an_error_and_not_a_failure_of_every_image(folders):
    for fused, sources, options, message in [
        ({"mean": "mean"}, ["vis", "ir"], {"channel": "hsv"}, "channel is one of 'y', 'gray', 'rgb'; got 'hsv'"),
        ({"mean": "mean"}, ["vis"], {}, "two or more source folders; got 1"),
        ({}, ["vis", "ir"], {}, "name at least one folder of fused images"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            evaluate_folders(fused, sources, **options)


def test_nothing_left(ttd_jax, folders):
    for name in NAMES:
        Path(f"mean/{name}.tif").write_text("no image")
    done = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN", "-o", "out.txt")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("ttd-jax: failed: ") == 3
    assert done.err.splitlines()[-1] == "ttd-jax: error: no image could be evaluated"
    assert not Path("out.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--sources", "vis", "--fused", "mean"],
            "metrics compare fused images with two or more source folders; got 1",
        ),
        ([*SOURCES, "--fused", "none"], "none is not a folder: expected folders of images"),
        ([*SOURCES, "--fused", "empty"], "empty holds no images (.png .tif .tiff .jpg .jpeg .bmp .webp .heic .heif "),
        ([*SOURCES, "--fused", "vis/1.png"], "vis/1.png is not a folder: expected folders of images"),
        ([*SOURCES, "--fused", "other"], "no image name is in all of vis, ir, other: "),
        (
            [*SOURCES, "--fused", "mean", "--fused", "copy", "--method", "mean"],
            "two methods are called 'mean' (mean, copy): name them with --method",
        ),
        (
            [*SOURCES, "--fused", "mean", "--metrics", "EN", "Q"],
            "unknown metric 'Q'; the metrics are EN, CE, ",
        ),
        ([*SOURCES, "--fused", "mean", "--metrics", "EN", "EN/zoo"], "EN comes twice in --metrics: run once for each "),
        ([*SOURCES, "--fused", "mean", "--metrics", "EN/best"], "EN has the variants shannon, zoo; got 'best'"),
        (
            [*SOURCES, "--fused", "mean", "--convention", "mine"],
            "convention is one of standard, ttd, cddfuse, vifb, mefb, tang, tang-published, zoo; got 'mine'",
        ),
        (
            [*SOURCES, "--fused", "mean", "--convention", "ttd", "--metrics", "VIF"],
            "the convention 'ttd' has no VIF: leave it out, or name its variant (vifp_mean, ",
        ),
        ([*SOURCES, "--fused", "mean", "-o", "no/out.csv"], "output folder {here}/no does not exist: create it first"),
        ([*SOURCES, "--fused", "mean", "-o", "empty", "--overwrite"], "output empty is a folder: name a file"),
    ],
)
def test_bad_input(ttd_jax, folders, arguments, message):
    Path("empty").mkdir()
    Path("other").mkdir()
    write_image("other/x.png", np.zeros((6, 8), np.uint8))
    before = sorted(Path().rglob("*"))
    done = ttd_jax("evaluate", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("ttd-jax: error: " + message.format(here=folders))
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --sources, --fused"),
        ([*SOURCES], "the following arguments are required: --fused"),
        (
            [*SOURCES, "--method", "a", "--fused", "mean"],
            "--method names the --fused before it; there is none before 'a'",
        ),
        (
            [*SOURCES, "--fused", "mean", "--method", "a", "--method", "b"],
            "--method 'b': mean has the name 'a' already",
        ),
        ([*SOURCES, "--fused", "mean", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        ([*SOURCES, "--fused", "mean", "--channel", "hsv"], "argument --channel: invalid choice: 'hsv'"),
    ],
)
def test_usage(ttd_jax, arguments, message):
    done = ttd_jax("evaluate", *arguments)
    assert (done.code, done.out) == (2, "")
    assert f"ttd-jax evaluate: error: {message}" in done.err.splitlines()[-1]


def test_names_do_not_leak_from_one_run_to_the_next(ttd_jax, folders):
    arguments = ["evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN", "--format", "json"]
    assert list(json.loads(ttd_jax(*arguments, "--method", "a").out)["methods"]) == ["a"]
    assert list(json.loads(ttd_jax(*arguments).out)["methods"]) == ["mean"]


def test_a_file_name_cannot_break_the_table(ttd_jax, folders):
    for path in ("vis/1.png", "ir/1.bmp", "mean/1.tif"):
        Path(path).rename(Path(path).with_name("a\nb" + Path(path).suffix))
    lines = ttd_jax("evaluate", *SOURCES, "--fused", "mean", "--metrics", "EN").out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["2", "3", "a\\nb", "mean"]


def test_help_and_bad_folders_need_no_jax(folders):
    script = """
import sys
from ttd_jax.cli import main

def run(*arguments):
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code

codes = [run("evaluate", "--help"), run("metrics", "--help"), run("evaluate", "--sources", "ir", "ir", "--fused", "no")]
print(codes, "jax" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr.splitlines()[-1] == "[0, 0, 2] False", done.stderr
