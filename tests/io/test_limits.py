"""What a file says of its size is looked at before its pixels are read, in every format; the limit can be raised."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.io.files import GREY8
from ttd_jax.errors import InputError
from ttd_jax.io import limits
from ttd_jax.io.images import read_image, write_image

NAMES = ["a.png", "deep.png", "a.tif", "a.jpg", "a.bmp", "a.webp", "a.gif", "a.pgm"]


def picture(path: Path) -> Path:
    if path.suffix in (".gif", ".pgm"):
        Image.fromarray(GREY8).save(path)
    else:
        write_image(path, GREY8.astype(np.uint16) if path.stem == "deep" else GREY8)
    return path


def claim(path: Path, side: int) -> Path:
    """The same file, which says that it is ``side`` pixels wide and high."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".png":
        struct.pack_into(">II", data, 16, side, side)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif path.suffix == ".jpg":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
    elif path.suffix == ".bmp":
        struct.pack_into("<ii", data, 18, side, side)
    elif path.suffix == ".gif":
        struct.pack_into("<HH", data, 6, side, side)
    elif path.suffix == ".pgm":
        data = bytearray(b"P5\n%d %d\n255\n" % (side, side) + GREY8.tobytes())
    elif path.suffix == ".tif":
        (start,) = struct.unpack_from("<I", data, 4)
        for at in range(start + 2, start + 2 + 24, 12):  # width and height are the first tags but for 254
            struct.pack_into("<HI", data, at + 2, 4, 1)
            struct.pack_into("<I", data, at + 8, side)
    path.write_bytes(data)
    return path


def refused(path: Path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith((".webp", ".tif"))])
def test_a_huge_size_is_refused_before_it_is_held(tmp_path, name):
    assert "60000" in refused(claim(picture(tmp_path / name), 60_000)) or name == "a.gif"


@pytest.mark.parametrize(("side", "dtype"), [(20_000, "float32"), (60_000, "uint8")])
def test_a_tiff_that_is_only_a_header(tmp_path, side, dtype):
    tags = {256: side, 257: side, 258: 8 * np.dtype(dtype).itemsize, 262: 1, 273: 8, 277: 1, 278: side, 279: 1}
    tags |= {339: 3} if dtype == "float32" else {}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4))
    assert path.stat().st_size <= 122
    assert refused(path).startswith(f"{path} says it has {side} x {side} pixels, and no more than 178,956,970 are read")


@pytest.mark.parametrize("name", NAMES)
def test_the_limit_can_be_lowered_and_raised(tmp_path, monkeypatch, name):
    path = picture(tmp_path / name)
    monkeypatch.setenv(limits.VARIABLE, "53")  # the picture has 54
    assert refused(path) == (
        f"{path} says it has 9 x 6 pixels, and no more than 53 are read: it is damaged, or if that is meant raise the "
        "limit with --max-pixels 54 (TTD_JAX_MAX_PIXELS)"
    )
    for most in ("54", "1000000000000"):
        monkeypatch.setenv(limits.VARIABLE, most)
        assert read_image(path).pixels.shape[:2] == (6, 9)


def test_pillows_own_limit_is_raised_with_ours_and_left_as_it_was(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError):
        read_image(path)
    monkeypatch.setenv(limits.VARIABLE, str(10**12))
    assert read_image(path).pixels.shape == (6, 9)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", "9" * 30])
def test_a_limit_that_is_none(monkeypatch, text):
    monkeypatch.setenv(limits.VARIABLE, text)
    with pytest.raises(InputError, match="TTD_JAX_MAX_PIXELS is a number of pixels"):
        limits.most_pixels()


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch, name):
    path = picture(tmp_path / name)
    monkeypatch.setattr(limits, "_LITTLE", 0)
    monkeypatch.setattr(limits, "available_on_host", lambda: 54 * 4)
    assert "9 x 6 pixels, for which about 0.0 GB are needed" in refused(path)


def test_memory_is_looked_at_from_16_megabytes_on(monkeypatch):
    def declared(pixels):
        return limits.Declared(1, pixels, 3, 4)  # and a copy as float32: 24 bytes a pixel

    monkeypatch.setattr(limits, "available_on_host", lambda: 2**24 + 8)
    limits.check_declared(Path("a.png"), declared(2**24 // 24 + 1))  # just fits
    monkeypatch.setattr(limits, "available_on_host", lambda: 0)
    limits.check_declared(Path("a.png"), declared(2**24 // 24))
    with pytest.raises(InputError, match="GB are needed"):
        limits.check_declared(Path("a.png"), declared(2**24 // 24 + 1))
    monkeypatch.setattr(limits, "available_on_host", lambda: None)  # nobody knows
    limits.check_declared(Path("a.png"), declared(2**24 // 24 + 1))


def test_memory_that_runs_out_while_reading_is_this_pictures_failure(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.tif")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    assert refused(path) == f"{path} does not fit in memory: use a smaller picture, or parts of it"


def test_a_tile_far_larger_than_its_picture(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.tile(GREY8, (3, 2)), tile=(16, 16))
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    for at in range(start + 2, len(data) - 12, 12):
        if struct.unpack_from("<H", data, at)[0] in (322, 323):
            struct.pack_into("<HIHH", data, at + 2, 3, 1, 65_520, 0)
        if struct.unpack_from("<H", data, at)[0] > 339:
            break
    path.write_bytes(data)
    assert "65520 x 65520 pixels" in refused(path)
