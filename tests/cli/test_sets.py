"""Folders as they are: patterns, lists, folders in folders, resuming, endings, failures as a list."""

import json
from pathlib import Path

import numpy as np
import pytest

from ttd_jax import Fuser
from ttd_jax.errors import InputError
from ttd_jax.io.folders import match_patterns, match_stems, read_manifest
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def night(tmp_path, monkeypatch):
    """One folder, vis_0001 and ir_0001 and so on, one of them alone."""
    monkeypatch.chdir(tmp_path)
    Path("night").mkdir()
    for name in ("vis_1", "ir_1", "vis_2", "ir_2", "vis_3"):
        write_image(f"night/{name}.png", RNG.integers(0, 256, (6, 8), dtype=np.uint8))
    return tmp_path


def test_patterns_match_what_stands_for_the_braces(night):
    sets = match_patterns(["night/vis_{}.png", "./night/ir_{}.*"])
    assert sets.complete["2"] == [Path("night/vis_2.png"), Path("night/ir_2.png")]
    assert sets.incomplete == {"3": [Path("night/ir_{}.*")]}
    Path("night/more").mkdir()
    Path("night/ir_3.png").write_bytes(Path("night/vis_3.png").read_bytes())
    Path("night/ir_3.png").rename("night/more/ir_3.png")
    assert "3" in match_patterns([str(night / "night/vis_{}.png"), str(night / "night/**/ir_{}.png")]).complete


@pytest.mark.parametrize(
    "patterns, words",
    [
        (["night/vis.png", "night/ir_{}.png"], "a pattern has one {}"),
        (["night/no_{}.png", "night/ir_{}.png"], "no file fits the pattern"),
        (["night/vis_{}.png", "night/{}_1.png"], "no name fits all of"),
        (["night/*_{}.png", "night/ir_{}.png"], "both are 1 of"),
    ],
)
def test_patterns_that_pair_nothing_or_twice(night, patterns, words):
    with pytest.raises(InputError, match=words.replace("{}", r"\{\}").replace("*", r"\*")):
        match_patterns(patterns)


def test_pairs_on_the_command_line_and_resuming(ttd_jax, checkpoint, night):
    arguments = ["fuse", "--pair", "visible=night/vis_{}.png", "infrared=night/ir_{}.png", "-o", "out"]
    done = ttd_jax(*arguments, "--checkpoint", checkpoint, "--failures", "failed.jsonl")
    assert (done.code, done.out) == (1, "out: 2 fused, 1 failed\n")
    assert json.loads(Path("failed.jsonl").read_text()) == {"name": "3", "error": "missing in night/ir_{}.png"}
    Path("night/vis_3.png").unlink()
    Path("out/2.png").unlink()
    done = ttd_jax(*arguments, "--checkpoint", checkpoint, "--skip-existing", "--workers", 3)
    assert (done.code, done.out) == (0, "out: 1 fused, 0 failed\n")
    assert done.err == "ttd-jax: note: 1 already there\n"
    done = ttd_jax(*arguments, "--checkpoint", checkpoint, "--skip-existing", "--save-weights", "w")
    assert (done.code, done.out) == (0, "out: 2 fused, 0 failed\n")  # sets that are not complete are done again


def test_lists_of_sets(ttd_jax, checkpoint, night):
    Path("list.csv").write_text("visible,infrared,name\nnight/vis_1.png,night/ir_2.png,a/x\nnight/vis_2.png,,\n")
    roles, sets = read_manifest("list.csv")
    assert roles == ["visible", "infrared"] and sets.incomplete == {"vis_2": [Path("infrared")]}
    done = ttd_jax("fuse", "--manifest", "list.csv", "-o", "out", "--checkpoint", checkpoint, "--json")
    assert done.code == 1 and json.loads(done.out)["reference"] == "visible"
    assert Path("out/a/x.png").exists()
    lines = [{"near": "night/vis_1.png", "far": "no.png"}, {"near": "night/vis_2.png", "far": "night/ir_2.png"}]
    Path("list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = ttd_jax("fuse", "--manifest", "list.jsonl", "-o", "o2", "--checkpoint", checkpoint, "--failures", "f.jsonl")
    assert (done.code, done.out) == (1, "o2: 1 fused, 1 failed\n")
    (failed,) = [json.loads(line) for line in Path("f.jsonl").read_text().splitlines()]
    assert failed["near"] == str(Path("night/vis_1.png").absolute()) and "cannot read no.png" in failed["error"]
    assert read_manifest("f.jsonl")[1].complete["vis_1"][1] == Path("no.png").absolute()  # to be tried again


@pytest.mark.parametrize(
    "text, words",
    [
        ("visible\na.png\n", "name two columns or more"),
        ("a,b,name\n1,2,../x\n", "leaves the output folder"),
        ("a,b\n1.png,2\n1.png,3\n", "two sets called 1"),
        ('{"a": 1}\n', "every line is an object of texts"),
        ('{"a": "1"\n', "cannot be read"),
        ("a,b\n1,\n", "name two columns or more"),
        ('{"a": "1", "b": ""}\n', "lists no complete set"),
    ],
)
def test_lists_that_are_none(night, text, words):
    Path("list").write_text(text)
    with pytest.raises(InputError, match=words):
        read_manifest("list")


def test_folders_in_folders(ttd_jax, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("vis/monday/1", "vis/tuesday/1", "ir/monday/1", "ir/tuesday/1"):
        Path(name).parent.mkdir(parents=True)
        write_image(f"{name}.png", RNG.integers(0, 256, (6, 8), dtype=np.uint8))
    assert list(match_stems(["vis", "ir"], recursive=True).complete) == ["monday/1", "tuesday/1"]
    options = ["--recursive", "--suffix", ".jpg", "--quality", "60", "--save-weights", "w", "--checkpoint", checkpoint]
    assert ttd_jax("fuse", "vis", "ir", "-o", "out", *options).out == "out: 2 fused, 0 failed\n"
    assert read_image("out/tuesday/1.jpg").pixels.shape == (6, 8)
    assert read_image("w/tuesday/1.png").pixels.dtype == np.uint16


def test_quality_changes_the_size_and_is_refused_elsewhere(tmp_path):
    image = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for ending in (".jpg", ".webp"):
        sizes = []
        for quality in (20, 90):
            write_image(tmp_path / f"a{ending}", image, overwrite=True, quality=quality)
            sizes.append((tmp_path / f"a{ending}").stat().st_size)
        assert sizes[0] < 0.7 * sizes[1]
    with pytest.raises(InputError, match="a quality is for JPEG and WebP"):
        write_image(tmp_path / "a.png", image, quality=50)
    with pytest.raises(InputError, match="from 1 to 100"):
        write_image(tmp_path / "b.jpg", image, quality=0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["a.png", "--pair", "vis_{}.png", "ir_{}.png"], "name the sources once"),
        (["--pair", "night/vis_{}.png"], "two patterns or more"),
        (["--pair", "night/vis_{}.png", "night/vis_{}.png"], "a pattern comes twice"),
        (["night/vis_1.png", "night/ir_1.png", "--recursive"], "--recursive is for folders"),
        (["--pair", "night/vis_{}.png", "night/ir_{}.png", "--suffix", "jpg"], "an ending such as .jpg"),
        (["--pair", "night/vis_{}.png", "night/ir_{}.png", "--overwrite", "--skip-existing"], "choose one"),
        ([], "got none"),
    ],
)
def test_mistakes(ttd_jax, night, arguments, words):
    done = ttd_jax("fuse", *arguments, "-o", "out")
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1
    assert not Path("out").exists()


def test_many_readers_keep_the_order():
    sets = [[RNG.random((4, 5)), RNG.random((4, 5))] for _ in range(12)]
    fuser = Fuser("pyramid", weighting="static")
    for one, result in zip(sets, fuser.stream(iter(sets), workers=4), strict=True):
        np.testing.assert_array_equal(result.image, fuser(one).image)
