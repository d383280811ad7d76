"""Long stacks: windows beside the whole, pages of TIFF, the index of the sharpest frame, registration of breathing."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from tests.align.made import moved
from ttd_jax import Fuser, InputError
from ttd_jax.align.estimate import distance
from ttd_jax.align.long import register_frames
from ttd_jax.io.frames import Frames, read_frames
from ttd_jax.io.images import read_image, write_image
from ttd_jax.stacks import fuse_stack


def focus_stack(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (M, H, W) of a plane that tilts away, and which of them is sharp where."""
    rng = np.random.default_rng(0)
    texture = sum(ndimage.gaussian_filter(rng.standard_normal((height, width)), s) * s for s in (0.7, 2, 6))
    clean = np.clip(0.5 + 0.15 * texture / texture.std(), 0, 1)
    sharp = np.arange(width) * count // width
    blurred = [ndimage.gaussian_filter(clean, 1.2 * d) if d else clean for d in range(count)]
    frames = [np.stack([blurred[abs(m - s)][:, x] for x, s in enumerate(sharp)], axis=1) for m in range(count)]
    return np.array(frames, np.float32), np.broadcast_to(sharp, (height, width))


def eight(frames: np.ndarray) -> np.ndarray:
    return np.rint(frames * 255).astype(np.uint8)


def test_windows_are_nearly_the_whole():
    frames, sharp = focus_stack(4, 260, 420)
    fuser = Fuser(dtype="float32")
    whole = fuser(list(frames)).image
    fused = fuse_stack(fuser, frames, side=256)
    assert abs(fused.image - whole).max() < 0.05 and abs(fused.image - whole).mean() < 0.001
    assert np.mean(abs(fused.depth.astype(int) - sharp) <= 1) > 0.95
    assert np.mean(fused.depth == sharp) > 0.8


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="tells what is in memory on Linux only")
def test_frames_in_a_file_are_not_kept_in_memory(tmp_path):
    path = tmp_path / "frames"
    np.repeat(eight(focus_stack(2, 300, 400)[0]), 20, axis=0).tofile(path)

    def fuse(frames: np.ndarray) -> int:
        """Kilobytes of the file in memory after its fusion."""
        fuse_stack(Fuser("pyramid", weighting="static"), frames, side=200)
        text = Path("/proc/self/smaps").read_text().partition(str(path))[2]
        return int(text.partition("Rss:")[2].split()[0])

    frames = np.memmap(path, np.uint8, "r", shape=(40, 300, 400))
    assert fuse(frames) < 500
    np.testing.assert_array_equal(frames.reshape(2, 20, 300, 400)[:, 3], eight(focus_stack(2, 300, 400)[0]))
    del frames
    own = np.memmap(path, np.uint8, "c", shape=(40, 300, 400))
    own[:] = 7  # what is only in memory stays there
    fuse(own)
    assert (own == 7).all()


def test_a_folder_pages_and_files_are_the_same_stack(ttd_jax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = eight(focus_stack(5, 60, 80)[0])
    Path("folder").mkdir()
    for index, frame in enumerate(frames):
        write_image(f"folder/{index}.png", frame)
    tifffile.imwrite("pages.tif", frames, photometric="minisblack")
    tifffile.imwrite("stack.ome.tif", frames, metadata={"axes": "ZYX"}, photometric="minisblack")
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save("moving.png", save_all=True, append_images=rest)
    images = []
    for given in (
        ["folder"],
        ["moving.png"],
        ["pages.tif"],
        ["stack.ome.tif"],
        sorted(map(str, Path("folder").iterdir())),
    ):
        done = ttd_jax("fuse", *given, "--stack", "-o", "out.png", "--depth", "d.png", "--overwrite")
        assert done.code == 0 and done.out.startswith("out.png: 5 frames, 80 x 60 uint8, ")
        images.append(read_image("out.png").pixels)
    assert all(np.array_equal(image, images[0]) for image in images)
    depth = read_image("d.png").pixels
    assert depth.dtype == np.uint16 and depth[:, :8].mean() < 12000 and depth[:, -8:].mean() > 50000


def test_sixteen_bits_and_colour(ttd_jax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = np.rint(focus_stack(3, 40, 50)[0] * 65535).astype(np.uint16)
    colour = np.stack([frames, frames // 2, frames // 3], axis=-1)
    tifffile.imwrite("rgb.tif", colour, photometric="rgb")
    assert ttd_jax("fuse", "rgb.tif", "--stack", "-o", "out.tif").code == 0
    found = read_image("out.tif").pixels
    assert found.dtype == np.uint16 and found.shape == (40, 50, 3)
    assert abs(found[..., 1] / np.maximum(found[..., 0], 1) - 0.5).mean() < 0.05


def test_breathing_is_undone():
    frames, _ = focus_stack(5, 420, 480)
    truths = [
        np.array([[s, 0, 240 * (1 - s)], [0, s, 210 * (1 - s)], [0, 0, 1.0]]) for s in (0.98, 0.99, 1, 1.01, 1.02)
    ]
    breathing = [
        moved(frame, np.array([[s[0, 0], 0, 192 * (1 - s[0, 0])], [0, s[0, 0], 162 * (1 - s[0, 0])], [0, 0, 1]]))
        for frame, s in zip(frames, truths, strict=True)
    ]
    transforms, (_, _, height, width) = register_frames((str(i), f[..., None]) for i, f in enumerate(breathing))
    for found, truth in zip(transforms, truths, strict=True):
        s = truth[0, 0]
        expected = np.array([[1.0 * s, 0, 192 * (1 - s)], [0, s, 162 * (1 - s)], [0, 0, 1]])
        assert distance(found, expected, breathing[0].shape) < 0.5
    assert 0.9 * 324 < height <= 324 and 0.9 * 384 < width <= 384


def test_many_frames_are_read_one_at_a_time(tmp_path):
    frames = Frames()
    for index in range(120):
        frames.add(str(index), np.full((8, 9), index, np.uint8))
    assert frames.pixels.shape == (120, 8, 9) and frames.pixels[77, 3, 4] == 77
    assert fuse_stack(Fuser("pyramid"), frames.pixels).image.shape == (8, 9)
    with pytest.raises(InputError, match="frames of a stack are alike"):
        frames.add("odd", np.zeros((8, 8), np.uint8))
    for index in range(80):
        frames.add(str(index), np.zeros((8, 9), np.uint8))
    with pytest.raises(InputError, match="up to 200 frames"):
        frames.add("more", np.zeros((8, 9), np.uint8))
    frames.close()


def test_mistakes(ttd_jax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write_image("a.png", np.zeros((8, 8), np.uint8))
    tifffile.imwrite("five.tif", np.zeros((2, 3, 8, 8), np.uint8), metadata={"axes": "ZCYX"}, photometric="minisblack")
    for arguments, words in {
        ("empty", "--stack"): "holds no images",
        ("a.png", "--stack"): "two frames or more; got 1",
        ("five.tif", "--stack"): "expected one stack",
        ("a.png", "gone.png", "--stack"): "cannot read gone.png",
        ("a.png", "a.png", "--depth", "d.png"): "--depth is for stacks",
        ("a.png", "a.png", "--stack", "--save-weights", "w.png"): "--save-weights is not for stacks",
    }.items():
        done = ttd_jax("fuse", *arguments, "-o", "out.png")
        assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1, arguments
    assert [name for name, _ in read_frames([Path("a.png")])] == ["a.png"]
