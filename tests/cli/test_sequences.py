"""Image sequences and cameras as videos: numbers are times, what is missing is said, constant memory as for videos."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.align.made import made_pairs, moved
from tests.cli.test_video import FAST, SIZE, make_video, picture
from ttd_jax import Fuser
from ttd_jax.align.estimate import distance
from ttd_jax.align.frames import place as placed_by
from ttd_jax.align.together import estimate_together
from ttd_jax.errors import InputError
from ttd_jax.io import camera
from ttd_jax.io.images import read_image, write_image
from ttd_jax.io.sequences import open_stills
from ttd_jax.io.video import open_video


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_frames(folder, kind, numbers, depth=np.uint8, name="{:04d}.png"):
    Path(folder).mkdir(exist_ok=True)
    for number in numbers:
        pixels = picture(kind, number).astype(depth) * (257 if depth == np.uint16 else 1)
        write_image(f"{folder}/{name.format(number)}", pixels)


def times(path):
    with av.open(str(path)) as file:
        return [frame.time for frame in file.decode(video=0)]


def test_numbered_files_become_numbered_files(ttd_jax, place):
    make_frames("vis", "vis", range(7, 12), np.uint16)
    make_frames("ir", "ir", range(7, 12))
    done = ttd_jax("fuse", "visible=vis/%04d.png", "infrared=ir/%04d.png", "-o", "out_%03d.png", *FAST)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("out_%03d.png: 5 frames, 64 x 48, 25 a second, 16 bits; fused ")
    assert sorted(path.name for path in place.glob("out*")) == [f"out_{n:03d}.png" for n in range(7, 12)]
    given = {"visible": "vis/0009.png", "infrared": "ir/0009.png"}
    np.testing.assert_array_equal(
        read_image("out_009.png").pixels, Fuser("pyramid", weighting="static")(given).image
    )  # nothing is lost
    again = ["fuse", "vis/%04d.png", "ir/%04d.png", "-o", "out_%03d.png", "--frames", "2", *FAST]
    assert "output out_007.png exists already" in ttd_jax(*again).err
    done = ttd_jax(*again, "--overwrite")
    assert done.code == 0 and "3 files of an earlier run still fit out_%03d.png, such as out_009.png" in done.err


def test_folders_become_a_video_that_is_that_of_videos(ttd_jax, place):
    make_frames("vis", "vis", range(0, 60, 10), name="a_{}.png")  # in the order of numbers, not of names
    make_frames("ir", "ir", range(0, 60, 10), name="b_{:03d}.png")
    arguments = ["visible=vis", "infrared=ir", "--temporal", "0.8", *FAST]
    done = ttd_jax("fuse", *arguments, "-o", "out.mp4", "--rate", "30000/1001", "--quality", "100")
    assert done.code == 0 and "6 frames, 64 x 48, 29.97 a second, 8 bits" in done.out
    np.testing.assert_allclose(times("out.mp4"), np.arange(6) * 1001 / 30000, atol=1e-4)
    sets = [[f"vis/a_{n}.png", f"ir/b_{n:03d}.png"] for n in range(0, 60, 10)]
    expected = Fuser("pyramid", weighting="static").stream(sets, temporal=0.8)
    for frame, result in zip(open_video("out.mp4").frames(), expected, strict=True):
        assert np.abs(frame.pixels.astype(float) - result.image).mean() < 3


def test_equal_numbers_are_one_time_and_what_is_missing_is_said(ttd_jax, place):
    make_frames("vis", "vis", [1, 2, 3, 4, 5, 6, 7, 8])
    make_frames("ir", "ir", [2, 3, 5, 6, 7, 8])
    Path("ir/0007.png").write_bytes(b"nonsense")
    done = ttd_jax("fuse", "vis/%04d.png", "ir/%04d.png", "-o", "out_%d.png", *FAST)
    assert done.code == 1
    assert sorted(path.name for path in place.glob("out*")) == [f"out_{n}.png" for n in (2, 3, 5, 6, 8)]
    assert "ir/%04d.png: 1 numbers between the first frame and the last are missing" in done.err
    assert "ir/%04d.png: 1 frames are damaged and were left out" in done.err
    assert "vis/%04d.png: 3 frames have no partner at their time and were left out" in done.err
    done = ttd_jax("fuse", "vis/%04d.png", "ir/%04d.png", "-o", "out.mp4", *FAST)
    assert done.code == 1 and times("out.mp4") == pytest.approx([0.04, 0.08, 0.16, 0.2, 0.28])


def test_a_video_beside_a_sequence_has_the_rate(ttd_jax, place):
    make_video("a.mp4", "vis", count=6, rate=10)
    make_frames("ir", "ir", range(100, 106))
    done = ttd_jax("fuse", "a.mp4", "ir", "-o", "out.mp4", *FAST)
    assert done.code == 0 and "6 frames, 64 x 48, 10 a second" in done.out
    done = ttd_jax("fuse", "a.mp4", "ir", "-o", "f_%02d.jpg", "--frames", "3", "--quality", "90", *FAST)
    assert done.code == 0 and sorted(p.name for p in place.glob("f_*")) == ["f_01.jpg", "f_02.jpg", "f_03.jpg"]
    assert "ends early" not in done.err


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_animated_files_have_their_own_times(ttd_jax, place, ending):
    for kind in ("vis", "ir"):
        first, *rest = (Image.fromarray(picture(kind, index)) for index in range(4))
        first.save(f"{kind}.{ending}", save_all=True, append_images=rest, duration=[40, 40, 120, 40], loop=0)
    stills = open_stills(f"ir.{ending}")
    pixels = [frame.pixels for frame in stills.frames()]
    assert len(pixels) == 4 and pixels[0].shape == (*SIZE, 3)
    assert np.abs(pixels[3].astype(float) - picture("ir", 3)).mean() < 12  # a palette, or a loss
    np.testing.assert_array_equal(stills.at(Fraction(9, 100)).pixels, pixels[2])  # shown from 0.08 to 0.2
    stills.close()
    done = ttd_jax("fuse", f"vis.{ending}", f"ir.{ending}", "-o", "out.mp4", *FAST)
    assert (done.code, done.err) == (0, "") and "4 frames" in done.out
    np.testing.assert_allclose(times("out.mp4"), [0, 0.04, 0.08, 0.2], atol=0.01)


def test_pages_of_tiff_are_frames(ttd_jax, place):
    for kind in ("vis", "ir"):
        tifffile.imwrite(f"{kind}.tif", np.stack([picture(kind, n) for n in range(4)]), photometric="rgb")
    done = ttd_jax("fuse", "vis.tif", "ir.tif", "-o", "out_%02d.tif", *FAST)
    assert done.code == 0 and sorted(p.name for p in place.glob("out*")) == [f"out_{n:02d}.tif" for n in range(1, 5)]


def test_a_camera_is_read_until_it_is_enough(ttd_jax, place, monkeypatch):
    """FFmpeg's made test picture in the place of a device, with the fine time stamps that cameras have."""
    made = "testsrc=size=64x48:rate=20,settb=1/1000000" + ",format=yuv420p"
    monkeypatch.setattr(camera, "device_of", lambda number: (made + (",hue=s=0" if number else ""), "lavfi"))
    done = ttd_jax("fuse", "visible=<video0>", "infrared=<video1>", "-o", "out.mp4", "--frames", "7", *FAST)
    assert (done.code, done.err) == (0, "") and "7 frames, 64 x 48, 20 a second" in done.out
    np.testing.assert_allclose(times("out.mp4"), np.arange(7) / 20, atol=1e-3)
    done = ttd_jax("fuse", "<video0>", "<video1>", "-o", "no.mp4", "--align")
    assert done.code == 2 and "<video0> is a camera" in done.err


def test_a_recording_ends_with_an_interrupt(ttd_jax, place, monkeypatch):
    from ttd_jax.cli import video

    monkeypatch.setattr(camera, "device_of", lambda number: ("testsrc=size=64x48:rate=20", "lavfi"))

    def stopped(items, total, what, unit):
        for index, item in enumerate(items):
            if index == 4:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(video, "followed", stopped)
    done = ttd_jax("fuse", "<video0>", "<video1>", "-o", "out.mp4", *FAST)
    assert done.code == 0 and len(times("out.mp4")) == 4
    make_video("a.mp4", "vis")
    assert ttd_jax("fuse", "a.mp4", "a.mp4", "-o", "no.mp4", *FAST).code == 130 and not Path("no.mp4").exists()


def test_there_is_no_such_camera(ttd_jax, place, monkeypatch):
    monkeypatch.setattr(camera, "device_of", lambda number: (f"/dev/video{number}", "v4l2"))
    done = ttd_jax("fuse", "<video77>", "<video78>", "-o", "out.mp4")
    assert done.code == 2 and "<video77> is no camera that can be read" in done.err and not Path("out.mp4").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["no_%d.png", "vis", "-o", "out.mp4"], "no file fits no_%d.png"),
        (["gone/%d.png", "vis", "-o", "out.mp4"], "gone is no folder"),
        (["vis", "one.png", "-o", "out.mp4"], "one.png is one picture"),
        (["vis", "gone.png", "-o", "out.mp4"], "cannot read gone.png"),
        (["vis/%d_%d.png", "vis", "-o", "out.mp4"], "one number such as %04d"),
        (["vis", "small", "-o", "out.mp4"], "one size; got vis 64 x 48, small 32 x 48"),
        (["vis", "empty", "-o", "out.mp4"], "empty holds no images"),
        (["vis", "twice", "-o", "out.mp4"], "have one number"),
        (["vis", "ir/%04d.png", "-o", "vis/f_%04d.png"], "would lie among the frames of a source"),
        (["vis", "ir/%04d.png", "-o", "ir/0%03d.png"], "would lie among the frames of a source"),
        (["vis/%04d.png", "ir/%04d.png", "-o", "out.png"], "or numbered files such as out_%04d.png; got out.png"),
        (["vis/%04d.png", "ir/%04d.png", "-o", "out_%d.xyz"], "cannot write out_%d.xyz"),
        (["vis/%04d.png", "one.png", "-o", "out.mp4"], "videos go together with videos"),
        (["vis", "ir", "-o", "out.mp4", "--rate", "0"], "a number such as 25"),
        (["vis", "ir", "-o", "out", "--rate", "20"], "--rate is for videos"),
    ],
)
def test_mistakes(ttd_jax, place, arguments, words):
    make_frames("vis", "vis", range(2))
    make_frames("ir", "ir", range(2))
    make_frames("twice", "ir", range(2))
    write_image("twice/001.png", picture("ir", 1))
    Path("empty").mkdir()
    Path("small").mkdir()
    write_image("small/1.png", picture("vis", 0)[:, :32])
    write_image("one.png", picture("vis", 0))
    before = sorted(place.rglob("*"))
    done = ttd_jax("fuse", *arguments)
    assert done.code == 2 and words in done.err and done.err.count("error") == 1
    assert sorted(place.rglob("*")) == before


def test_a_size_that_changes_is_an_error_and_nothing_is_left(ttd_jax, place):
    make_frames("vis", "vis", range(4))
    make_frames("ir", "ir", range(4))
    write_image("ir/0002.png", picture("ir", 2)[:, :32], overwrite=True)
    done = ttd_jax("fuse", "vis", "ir", "-o", "out.mp4", *FAST)
    assert done.code == 2 and "ir changes its size to 32 x 48 at 2" in done.err and not Path("out.mp4").exists()


def test_a_video_is_registered_by_several_frames(ttd_jax, place):
    """The other camera sees the scene from elsewhere; in one of five frames it sees nothing."""
    (reference, _, truth, registered), *_ = made_pairs("exposure", 1, size=240, seed=3)
    whole = np.pad(registered, 48, mode="reflect")
    for folder in ("vis", "ir"):
        Path(folder).mkdir()
    rng = np.random.default_rng(0)
    for index in range(10):
        noise = 0.01 * rng.standard_normal((2, 240, 240))
        source = moved(whole, truth) if index != 5 else np.full((240, 240), 0.5)
        for folder, image, one in zip(("vis", "ir"), (reference, source), noise, strict=True):
            write_image(f"{folder}/{index}.png", np.rint(255 * np.clip(image + one, 0, 1)).astype(np.uint8))
    done = ttd_jax("fuse", "visible=vis", "infrared=ir", "-o", "out.mp4", "--align", "--json", *FAST)
    assert done.code == 0, done.err
    told = json.loads(done.out)["alignment"]
    assert told["agreement"]["infrared"]["frames"] == 4 and told["agreement"]["infrared"]["of"] == 5
    assert distance(np.array(told["transforms"]["infrared"]), truth, (240, 240)) < 0.5
    video, (_, _, height, width) = open_video("out.mp4"), told["frame"]
    assert (video.height, video.width) == (height, width) and height % 2 == width % 2 == 0
    write_image("ir/5.png", np.zeros((240, 240), np.uint8), overwrite=True)
    for index in (1, 3, 7):
        write_image(f"ir/{index}.png", np.rint(255 * rng.random((240, 240))).astype(np.uint8), overwrite=True)
    done = ttd_jax("fuse", "visible=vis", "infrared=ir", "-o", "no.mp4", "--align", *FAST)
    assert done.code == 2 and "infrared could not be aligned to visible: 0 of 5 frames agree" in done.err


def test_frames_that_keep_the_reference():
    shifted = np.array([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])
    first, second = np.zeros((10, 20, 1), np.float32), np.ones((10, 20, 3), np.float32)
    found = placed_by([np.eye(3), shifted], (10, 20), frame="keep")
    image = found.move([first, second])[1]
    assert image.shape == (10, 20, 3) and np.all(image[:, :17] == 1) and np.all(image[:, 17:] == 0)
    assert placed_by([np.eye(3), shifted], (10, 20), even=True).frame == (0, 0, 10, 16)
    with pytest.raises(InputError, match="in common"):
        placed_by([np.eye(3), shifted * [[1, 1, 5], [1, 1, 1], [1, 1, 1]]], (10, 20))


def test_no_frames_are_no_agreement():
    with pytest.raises(InputError, match="0 of 0 frames agree"):
        estimate_together([])


def test_seeking_in_a_video_finds_the_frame(place):
    make_video("a.mp4", "ir", count=30)
    video = open_video("a.mp4")
    for index in (17, 3, 29, 0):
        found = video.at(Fraction(index, 25))
        assert abs(found.pixels.astype(float) - picture("ir", index)).mean() < 6
        assert found.seconds == Fraction(index, 25)
    assert video.at(Fraction(5)) is None
