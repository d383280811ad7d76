"""Everyday mistakes: each is refused, or said where it cannot be missed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ttd_jax import fuse
from ttd_jax.errors import InputError
from ttd_jax.inputs import check_sources
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (16, 20), dtype=np.uint16)
TWELVE[0, 0] = 4095
EIGHT = RNG.integers(0, 256, (16, 20), dtype=np.uint8)
FULL = RNG.integers(0, 65536, (16, 20), dtype=np.uint16)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, pixels in {"mri.tif": TWELVE, "pet.png": EIGHT, "a.png": EIGHT, "b.png": 255 - EIGHT}.items():
        write_image(name, pixels)
    return tmp_path


def refused(ttd_jax, *arguments):
    done = ttd_jax(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    return done.err.removeprefix("ttd-jax: error: ").rstrip()


def test_twelve_bits_beside_eight_are_refused(ttd_jax, place, checkpoint):
    message = refused(ttd_jax, "fuse", "mri=mri.tif", "pet=pet.png", "-o", "o.png", "--checkpoint", checkpoint)
    assert message == (
        "mri has 16 bits and uses values up to 4095 of 65535, beside a source of another depth, where it would all but "
        "vanish: if it has 12 bits say --range mri=0 4095 (range={'mri': (0, 4095)}); if it is that dark, 0 65535"
    )


def test_a_range_makes_them_whole(ttd_jax, place, checkpoint):
    arguments = ["fuse", "mri=mri.tif", "pet=pet.png", "-o", "o.tif", "--checkpoint", checkpoint, "--json"]
    done = ttd_jax(*arguments, "--range", "mri=0", "4095")
    assert (done.code, json.loads(done.out)["remarks"]) == (0, [])
    expected = fuse({"mri": (TWELVE / 4095).astype(np.float32), "pet": EIGHT}, checkpoint=checkpoint, dtype="uint16")
    assert np.abs(read_image("o.tif").pixels.astype(int) - expected.image).max() <= 1


def test_ranges_scale_clip_and_say_so():
    checked = check_sources([TWELVE, FULL], range={"source 1": (1000, 3000)})
    expected = np.clip((TWELVE.astype(np.float64) - 1000) / 2000, 0, 1)
    np.testing.assert_allclose(checked.images[0][..., 0], expected, atol=1e-6)
    outside = np.mean((TWELVE < 1000) | (TWELVE > 3000))
    assert checked.remarks == (f"source 1: {outside:.1%} of the pixels lie outside 1000 to 3000 and were clipped",)
    np.testing.assert_allclose(checked.images[1][..., 0], FULL / 65535, atol=1e-6)


def test_a_result_in_the_range_of_its_source(ttd_jax, place, checkpoint):
    deep = RNG.integers(0, 4096, (16, 20), dtype=np.uint16)
    write_image("mri.png", deep)
    write_image("other.png", deep)
    arguments = ["fuse", "mri=mri.png", "x=other.png", "--range", "mri=0", "4095", "--range", "x=0", "4095"]
    assert ttd_jax(*arguments, "-o", "out.png", "--checkpoint", checkpoint, "--weighting", "static").code == 0
    full = read_image("out.png").pixels
    done = ttd_jax(*arguments, "-o", "kept.png", "--keep-range", "--checkpoint", checkpoint, "--weighting", "static")
    assert done.code == 0
    kept = read_image("kept.png").pixels
    assert kept.dtype == np.uint16 and kept.max() <= 4095
    np.testing.assert_allclose(kept, full * (4095 / 65535), atol=0.6)


def test_a_window_is_a_range(ttd_jax, place, checkpoint):
    deep = RNG.integers(0, 4096, (16, 20), dtype=np.uint16)
    write_image("p.png", deep)
    write_image("q.png", deep[::-1])
    common = ["fuse", "p.png", "q.png", "--checkpoint", checkpoint]
    assert ttd_jax(*common, "-o", "range.png", "--range", "1000", "3000").code == 0
    assert ttd_jax(*common, "-o", "window.png", "--window", "2000", "2000").code == 0
    np.testing.assert_array_equal(read_image("range.png").pixels, read_image("window.png").pixels)
    done = ttd_jax(*common, "-o", "no.png", "--window", "2000", "0")
    assert done.code == 2 and "a width above 0" in done.err


def test_signed_numbers_with_a_range():
    hounsfield = RNG.integers(-1000, 3001, (8, 8)).astype(np.int16)
    with pytest.raises(InputError, match="got int16"):
        check_sources([hounsfield, hounsfield // 2])
    checked = check_sources([hounsfield, hounsfield // 2], range=(-1000, 3000))
    np.testing.assert_allclose(checked.images[0][..., 0], (hounsfield + 1000) / 4000, atol=1e-6)
    assert checked.dtype == np.uint16


@pytest.mark.parametrize("given", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_ranges_that_are_none(given):
    with pytest.raises(InputError, match="a range is two numbers, the lower one first"):
        check_sources([TWELVE, FULL], range=given)


def test_a_range_of_no_source():
    with pytest.raises(InputError, match="ranges are of the sources mri, pet; got one of mr"):
        check_sources({"mri": TWELVE, "pet": FULL}, range={"mr": (0, 4095)})


@pytest.mark.parametrize("words", [["0", "many"], ["mri=", "5"]])
def test_range_on_the_command_line(ttd_jax, place, words):
    assert "--range takes two numbers" in refused(ttd_jax, "fuse", "a.png", "b.png", "-o", "o.png", "--range", *words)


@pytest.mark.parametrize(("top", "bits"), [(4095, 12), (1023, 10), (16383, 14), (32767, 15), (300, 9)])
def test_below_half_of_the_scale_is_said(top, bits):
    pixels = (TWELVE.astype(np.int64) * top // 4095).astype(np.uint16)
    full = 2**bits - 1
    remark = (
        f"source 1 has 16 bits and uses values up to {top} of 65535: if it has {bits} bits say --range source 1=0 "
        f"{full} (range={{'source 1': (0, {full})}})"
    )
    assert remark in check_sources([pixels, FULL]).remarks
    assert check_sources([pixels, FULL], range=(0, 65535)).remarks == ()


def test_the_full_scale_is_not_remarked_on():
    assert check_sources([FULL, FULL[::-1]]).remarks == ()
    assert check_sources([FULL, EIGHT]).remarks == ()


def test_one_image_twice_is_said():
    remark = "source 1 and source 2 are equal in every pixel: is one of them the wrong file?"
    assert check_sources([EIGHT, EIGHT.copy()]).remarks == (remark,)


def test_one_folder_twice_is_refused(ttd_jax, place):
    Path("vis").mkdir()
    write_image("vis/1.png", EIGHT)
    Path("link").symlink_to("vis")
    for second in ("vis", "vis/", "link"):
        message = refused(ttd_jax, "fuse", "vis", second, "-o", "out")
        assert message == "the folder vis comes twice: every image would be fused with itself"


@pytest.mark.parametrize(("role", "meant"), [("visble", "visible"), ("infared", "infrared"), ("Infrared", "infrared")])
def test_a_misspelt_role(role, meant):
    with pytest.raises(InputError, match=f"unknown role {role}: did you mean {meant}"):
        check_sources({role: EIGHT, "other": FULL})


@pytest.mark.parametrize("role", ["visible", "visible2", "thermal", "nir", "t1", "flair", "left"])
def test_roles_of_ones_own(role):
    assert check_sources({role: FULL, "other": FULL[::-1]}).roles == (role, "other")


def test_a_folder_of_one_set(ttd_jax, place):
    Path("bracket").mkdir()
    write_image("bracket/1.png", EIGHT)
    assert refused(ttd_jax, "fuse", "bracket", "-o", "o.png") == (
        "fusion takes two sources or more; got 1: a folder is many sets, one set of all its images is bracket/*"
    )


def test_sources_that_are_no_list():
    with pytest.raises(InputError, match=r"the sources are one list or mapping: fuse\(\[first, second\]\)"):
        fuse("a.png", "b.png")


def test_no_command(ttd_jax, place):
    message = refused(ttd_jax, "a.png", "b.png", "-o", "o.png")
    assert message.startswith("expected a command (") and message.endswith(
        "before the images; got a.png: ttd-jax fuse a.png ..."
    )


def test_a_masked_array():
    masked = np.ma.masked_array(EIGHT, EIGHT > 200)
    with pytest.raises(InputError, match=r"source 1 has \d+ masked pixels: fill them first"):
        check_sources([masked, FULL])


def test_an_output_that_exists_is_told_last(ttd_jax, place):
    for sources, said in ((["a.png", "no.png"], "cannot read no.png"), (["a.png", "mri.tif"], "would all but vanish")):
        assert said in refused(ttd_jax, "fuse", *sources, "-o", "b.png")
    assert refused(ttd_jax, "fuse", "a.png", "pet.png", "-o", "b.png").startswith("output b.png exists already")


def test_an_export_says_that_it_is_grey(ttd_jax, place, checkpoint):
    done = ttd_jax("export", "-o", "f", "--checkpoint", checkpoint, "--size", "8x8", "--platforms", "cpu")
    assert done.err == "ttd-jax: note: takes grey sources; for colour ones export with --channels 3\n"


@pytest.mark.parametrize("name", ["a\0.png", "loop.png"])
def test_names_that_are_no_file(ttd_jax, place, name):
    Path("loop.png").symlink_to("loop.png")
    assert "cannot read" in refused(ttd_jax, "fuse", "a.png", name, "-o", "o.png")


@pytest.mark.parametrize("long", ["x/" * 3000 + "y.png", "y" * 300 + ".png"], ids=["path", "name"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fuse", "a.png", "{}", "-o", "o.png"], 2),
        (["fuse", "visible=a.png", "infrared={}", "-o", "o.png"], 2),
        (["fuse", "a.png", "b.png", "-o", "{}"], 2),
        (["fuse", "a.png", "b.png", "-o", "o.png", "--save-weights", "{}"], 2),
        (["fuse", "folder", "other", "-o", "{}"], 2),
        (["fuse", "folder", "{}", "-o", "out"], 2),
        (["fuse", "a.png", "b.png", "-o", "o.png", "--checkpoint", "{}"], 3),
        (["explain", "a.png", "{}"], 2),
        (["export", "-o", "{}"], 2),
        (["evaluate", "--sources", "folder", "other", "--fused", "{}"], 2),
        (["evaluate", "--sources", "folder", "other", "--fused", "folder", "-o", "{}"], 2),
    ],
)
def test_names_that_are_too_long(ttd_jax, place, arguments, code, long):
    for folder in ("folder", "other"):
        Path(folder).mkdir()
        write_image(f"{folder}/1.png", EIGHT)
    before = sorted(Path().rglob("*"))
    done = ttd_jax(*(argument.format(long) for argument in arguments))
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert any(reason in done.err for reason in ("File name too long", "is not a folder: ", "folders go together with"))
    assert len(done.err) < 2100
    assert sorted(Path().rglob("*")) == before


def run(arguments, place, **options):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "HOME": str(place), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = " ".join([sys.executable, "-m", "ttd_jax", *map(str, arguments)])
    return subprocess.run(command, shell=True, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output_is_no_error(place, checkpoint, closed):
    arguments = ["fuse", "a.png", "b.png", "-o", "o.png", "--checkpoint", checkpoint, "--no-compile-cache", closed]
    done = run(arguments, place)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_image(place / "o.png").pixels.shape == (16, 20)


def test_an_error_with_closed_stderr_does_not_go_elsewhere(place):
    done = run(["fuse", "a.png", "no.png", "-o", "o.png", "2>&-"], place)
    assert (done.returncode, done.stdout) == (2, "")
