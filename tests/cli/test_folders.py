"""``ttd-jax fuse`` on folders: every set of equal stems, on past what fails."""

import json
from pathlib import Path

import numpy as np
import pytest

from ttd_jax import fuse
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders: 1 and 3 fit, 2 is damaged, 4 and 5 are in one folder only."""
    monkeypatch.chdir(tmp_path)
    for folder, names in {
        "vis": ["1.png", "2.png", "3.tif", "4.png"],
        "ir": ["1.tif", "2.png", "3.png", "5.png"],
    }.items():
        Path(folder).mkdir()
        for name in names:
            write_image(Path(folder) / name, RNG.integers(0, 65536, (6, 8), dtype=np.uint16))
    damaged = Path("ir/2.png")
    damaged.write_bytes(damaged.read_bytes()[:50])
    return tmp_path


def test_good_sets_are_fused_and_bad_ones_are_named(ttd_jax, checkpoint, folders):
    done = ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint)
    assert done.code == 1
    assert done.out == "out: 2 fused, 3 failed\n"
    lines = done.err.splitlines()
    assert lines[:2] == ["ttd-jax: failed: 4: missing in ir", "ttd-jax: failed: 5: missing in vis"]
    assert lines[2].startswith("ttd-jax: failed: 2: ir/2.png is damaged, truncated or no image: ") and len(lines) == 3
    assert sorted(path.name for path in Path("out").iterdir()) == ["1.png", "3.tif"]
    expected = fuse(["vis/1.png", "ir/1.tif"], checkpoint=checkpoint)
    np.testing.assert_array_equal(read_image("out/1.png").pixels, expected.image)


def test_roles_weights_static_and_json(ttd_jax, checkpoint, folders):
    options = ["--save-weights", "w", "--save-static", "s", "--json", "--checkpoint", checkpoint]
    done = ttd_jax("fuse", "infrared=ir", "visible=vis", "-o", "out", *options)
    reports = [json.loads(line) for line in done.out.splitlines()]
    assert [report["output"] for report in reports] == ["out/1.tif", "out/3.png"]  # as the first source
    assert all(report["reference"] == "visible" for report in reports)
    assert read_image("w/1.tif").pixels.shape == (6, 16)
    static = fuse({"infrared": "ir/3.png", "visible": "vis/3.tif"}, checkpoint=checkpoint, weighting="static")
    np.testing.assert_array_equal(read_image("s/3.png").pixels, static.image)


def test_a_second_run_overwrites_nothing_unless_asked(ttd_jax, checkpoint, folders):
    arguments = ["fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint]
    Path("out").mkdir()
    write_image("out/1.png", np.zeros((2, 2), np.uint8))
    done = ttd_jax(*arguments)
    assert done.out == "out: 1 fused, 3 failed\n"
    assert "note: 1 existed already and were kept: --overwrite replaces them" in done.err
    assert read_image("out/1.png").pixels.shape == (2, 2)
    assert ttd_jax(*arguments, "--overwrite").out == "out: 2 fused, 3 failed\n"
    assert read_image("out/1.png").pixels.shape == (6, 8)


def test_all_good_is_zero(ttd_jax, checkpoint, folders):
    for path in ("vis/2.png", "vis/4.png", "ir/2.png", "ir/5.png"):
        Path(path).unlink()
    done = ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint)
    assert done == (0, "out: 2 fused, 0 failed\n", "")


def test_notes_are_gathered(ttd_jax, checkpoint, folders):
    for name in ("1.png", "3.tif"):
        write_image(f"vis/{name}", np.full((6, 8), 7, np.uint8), overwrite=True)
    done = ttd_jax("fuse", "visible=vis", "infrared=ir", "-o", "out", "--checkpoint", checkpoint)
    assert done.err.startswith(
        "ttd-jax: note: visible uses 0.0% of the pixel range: stretch it first if that is not meant (2 times)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["vis", "vis/1.png", "-o", "out"],
            "folders go together with folders; got the folder vis and the file vis/1.png",
        ),
        (["vis", "ir", "-o", "vis"], "output vis is also a source or another output: choose another name"),
        (["vis", "ir", "-o", "vis/1.png"], "output vis/1.png is a file: name a folder, since the sources are folders"),
        (["vis", "ir", "-o", "no/out"], "output folder {here}/no does not exist: create it first"),
        (["vis", "empty", "-o", "out"], "empty holds no images (.png .tif .tiff .jpg .jpeg .bmp .webp .heic .heif "),
        (["vis", "-o", "out"], "fusion takes two sources or more; got 1: a folder is many sets"),
        (
            ["vis", "ir", "-o", "out", "--save-static", "out"],
            "output out is also a source or another output: choose another name",
        ),
        (["vis", "other", "-o", "out"], "no image name is in all of vis, other: "),
    ],
)
def test_bad_folders(ttd_jax, checkpoint, folders, arguments, message):
    Path("empty").mkdir()
    Path("other").mkdir()
    write_image("other/x.png", np.zeros((6, 8), np.uint8))
    before = sorted(Path().rglob("*"))
    done = ttd_jax("fuse", *arguments, "--checkpoint", checkpoint)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("ttd-jax: error: " + message.format(here=folders))
    assert sorted(Path().rglob("*")) == before


def test_a_bad_checkpoint_makes_no_folder(ttd_jax, folders):
    done = ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", "none")
    assert done.code == 3
    assert not Path("out").exists()
