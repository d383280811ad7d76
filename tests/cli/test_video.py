"""Videos: made by PyAV's encoder, fused frame by frame; times, audio and depth kept; damage said."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ttd_jax import Fuser
from ttd_jax.engine.temporal import Steady
from ttd_jax.io.video import open_video

SIZE = (48, 64)
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]


def picture(kind: str, index: int) -> np.ndarray:
    """Frame of a scene: stripes that stand, beside a bar that moves in the infrared."""
    noise = np.random.default_rng(index).normal(0, 8, SIZE)
    base = noise + 90 + 60 * np.sin(X / 3) if kind == "vis" else noise + 60
    bar = abs(X - 5 - 3 * index) < 4
    gray = np.clip(np.where(bar & (kind == "ir"), 230, base), 0, 255)
    return np.repeat(gray.astype(np.uint8)[..., None], 3, -1)


def make_video(path, kind, count=12, rate=25, deep=False, audio=False, size=SIZE, start=0):
    """A video of ``count`` frames."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx265" if deep else "libx264", rate=rate)
        stream.width, stream.height = size[1], size[0]
        stream.pix_fmt = "yuv420p10le" if deep else "yuv420p"
        stream.options = {"crf": "8", "g": "4", **({"x265-params": "log-level=none"} if deep else {})}
        sound = file.add_stream("aac", rate=8000, layout="mono") if audio else None
        for index in range(count):
            pixels = picture(kind, index)[: size[0], : size[1]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index + start, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if sound is not None:
            wave = np.sin(np.arange(8000 * count // rate) / 5).astype(np.float32)
            for begin in range(0, len(wave) - 1023, 1024):
                chunk = av.AudioFrame.from_ndarray(wave[None, begin : begin + 1024], format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = 8000, begin, Fraction(1, 8000)
                file.mux(sound.encode(chunk))
            file.mux(sound.encode())


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


FAST = ["--backbone", "pyramid", "--weighting", "static"]


def test_two_videos_become_one(ttd_jax, place):
    make_video("a.mp4", "vis", audio=True)
    make_video("b.mp4", "ir")
    done = ttd_jax("fuse", "visible=a.mp4", "infrared=b.mp4", "-o", "out.mp4", *FAST)
    assert done.code == 0 and done.err == ""
    assert done.out.startswith("out.mp4: 12 frames, 64 x 48, 25 a second, 8 bits; fused ")
    with av.open("out.mp4") as file, av.open("a.mp4") as source:
        times = [frame.time for frame in file.decode(video=0)]
        assert times == [frame.time for frame in source.decode(video=0)]
    with av.open("out.mp4") as file, av.open("a.mp4") as source:
        copied, given = ([bytes(p) for p in one.demux(audio=0) if p.size] for one in (file, source))
        assert copied == given[: len(copied)] and len(copied) >= len(given) - 1
    video, sources = open_video("out.mp4"), [open_video(name) for name in ("a.mp4", "b.mp4")]
    expected = Fuser("pyramid", weighting="static")
    for frame, *both in zip(video.frames(), *(source.frames() for source in sources), strict=True):
        image = expected([one.pixels for one in both]).image
        assert np.abs(frame.pixels.astype(float) - image).mean() < 4.5  # what the encoder loses


def test_ten_bits_stay_ten(ttd_jax, place):
    make_video("a.mkv", "vis", deep=True, count=5)
    make_video("b.mkv", "ir", count=5)
    done = ttd_jax("fuse", "a.mkv", "b.mkv", "-o", "out.mkv", *FAST)
    assert done.code == 0 and "10 bits" in done.out
    found = open_video("out.mkv")
    assert found.deep and next(found.frames()).pixels.dtype == np.uint16


def test_the_shortest_is_fused_and_that_is_said(ttd_jax, place):
    make_video("a.mp4", "vis", count=9)
    make_video("b.mp4", "ir", count=12)
    done = ttd_jax("fuse", "a.mp4", "b.mp4", "-o", "out.mp4", *FAST)
    assert done.code == 0 and done.out.startswith("out.mp4: 9 frames")
    assert "lengths differ: a.mp4 ends after 9 frames, so does the result" in done.err


def test_damage_in_the_middle_is_said_and_the_rest_is_fused(ttd_jax, place):
    make_video("a.mkv", "vis", count=40)
    make_video("b.mkv", "ir", count=40)
    whole = bytearray(Path("b.mkv").read_bytes())
    rng = np.random.default_rng(1)
    middle = slice(len(whole) // 2, len(whole) // 2 + 1500)
    whole[middle] = rng.integers(0, 256, 1500, dtype=np.uint8).tobytes()
    Path("b.mkv").write_bytes(whole)
    done = ttd_jax("fuse", "a.mkv", "b.mkv", "-o", "out.mkv", *FAST)
    assert done.code == 1 and "failed: " in done.err
    assert 20 < sum(1 for _ in open_video("out.mkv").frames()) < 41
    Path("b.mkv").write_bytes(whole[: len(whole) // 3])
    done = ttd_jax("fuse", "a.mkv", "b.mkv", "-o", "short.mkv", *FAST)
    assert done.code == 1 and "failed: " in done.err and Path("short.mkv").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["a.mp4", "fast.mp4", "-o", "out.mp4"], "one frame rate; got a.mp4 25, fast.mp4 30"),
        (["a.mp4", "small.mp4", "-o", "out.mp4"], "one size; got a.mp4 64 x 48, small.mp4 32 x 48"),
        (["a.mp4", "b.png", "-o", "out.mp4"], "videos go together with videos"),
        (["a.mp4", "no.mp4", "-o", "out.mp4"], "cannot read no.mp4"),
        (["a.mp4", "bad.mp4", "-o", "out.mp4"], "bad.mp4 is damaged, truncated or no video"),
        (["a.mp4", "small.mp4", "-o", "out.png"], "the result of videos is a video"),
        (["a.mp4", "fast.mp4", "-o", "a.mp4"], "also a source"),
        (["a.mp4", "fast.mp4", "-o", "out.mp4", "--temporal", "1"], "less than 1; got 1"),
        (["a.mp4", "a2.mp4", "-o", "out.mp4", "--save-weights", "w.png"], "--save-weights is for images"),
        (["a.mp4", "fast.mp4", "-o", "out.mp4", "--rate", "20"], "--rate is for image sequences"),
        (["a.mp4", "fast.mp4", "-o", "out.mp4", "--frames", "0"], "--frames is 1 or more"),
        (["a.mp4", "fast.mp4", "-o", "out.mp4", "--quality", "101"], "a quality is from 1 to 100"),
        (["b.png", "c.png", "-o", "out.png", "--temporal", "0.5"], "--temporal is for videos"),
    ],
)
def test_mistakes(ttd_jax, place, arguments, words):
    make_video("a.mp4", "vis", count=2)
    make_video("fast.mp4", "ir", count=2, rate=30)
    make_video("small.mp4", "ir", count=2, size=(48, 32))
    Path("bad.mp4").write_bytes(b"nonsense" * 40)
    done = ttd_jax("fuse", *arguments)
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1
    assert not Path("out.mp4").exists() and not Path("out.png").exists()


def test_without_the_extra_it_is_named(ttd_jax, place, monkeypatch):
    make_video("a.mp4", "vis", count=2)
    monkeypatch.setitem(sys.modules, "av", None)
    done = ttd_jax("fuse", "a.mp4", "a.mp4", "-o", "out.mp4")
    assert done.code == 2 and "pip install 'ttd-jax[video]'" in done.err


def scene(index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy sources with a bar that moves in one, and where it is."""
    clean = np.stack([0.4 + 0.2 * np.sin(X / 3), np.full(SIZE, 0.3)])
    bar = abs(X - 5 - 3 * index) < 4
    clean[1][bar] = 0.9
    return (clean + 0.02 * rng.standard_normal(clean.shape)).astype(np.float32)[..., None], bar


def choose(sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fusion whose weights flicker."""
    share = np.clip(0.5 + 0.3 * rng.standard_normal(SIZE) + 2 * (sources[1] - sources[0])[..., 0], 0, 1)
    return share * sources[1, ..., 0] + (1 - share) * sources[0, ..., 0]


def test_steady_frames_flicker_less_and_nothing_trails():
    rng = np.random.default_rng(0)
    steady, plain, steadied, trail = Steady(0.8), [], [], []
    for index in range(16):
        sources, _ = scene(index, rng)
        fused = choose(sources, rng)
        smooth = steady(sources, fused)
        plain.append(fused)
        steadied.append(smooth)
        before = abs(X - 5 - 3 * (index - 2)) < 4
        left = before & ~(abs(X - 5 - 3 * index) < 10)
        trail.append(np.mean(smooth[left] - fused[left]) if left.any() else 0)
    still = X[0] > 58
    flicker = [np.std(frames[4:], axis=0)[:, still].mean() for frames in (np.array(plain), np.array(steadied))]
    assert flicker[1] < 0.6 * flicker[0]
    assert abs(np.mean(trail)) < 0.01
    assert steady.cuts == 0


def test_a_cut_begins_anew():
    rng = np.random.default_rng(0)
    steady = Steady(0.9)
    dark, light = np.full((2, *SIZE, 1), 0.2), rng.random((2, *SIZE, 1))
    steady(dark, dark[0, ..., 0] + 0.1)
    np.testing.assert_allclose(steady(light, light[0, ..., 0]), light[0, ..., 0], atol=1e-6)
    assert steady.cuts == 1
