"""TIFF that says one thing and holds another: refused, since tifffile reads what is missing as 0 without a word."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.io.files import GREY8, SMOOTH
from ttd_jax.errors import InputError
from ttd_jax.io.frames import read_frames
from ttd_jax.io.images import declared_size, read_image

LENGTH, STRIP_OFFSETS, ROWS, STRIP_COUNTS, BITS, WIDTH = 257, 273, 278, 279, 258, 256
TALL = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)


def entries(data: bytes) -> dict[int, int]:
    """Where the entry of each tag is, in a little-endian file."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    return {struct.unpack_from("<H", data, at)[0]: at for at in range(start + 2, start + 2 + 12 * count, 12)}


def change(path: Path, **values: int) -> Path:
    """Sets tags that hold one number."""
    data = bytearray(path.read_bytes())
    for name, value in values.items():
        at = entries(data)[globals()[name]]
        struct.pack_into("<HHII", data, at, globals()[name], 4, 1, value)
    path.write_bytes(data)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


def written(path: Path, pixels=TALL, **options) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


COMPRESSED = [None, "zlib", "lzw", "packbits", "jpeg", "zstd"]


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("rows", [8, 24])
@pytest.mark.parametrize("bit", range(5, 27))
def test_a_height_with_one_more_bit(tmp_path, compression, rows, bit):
    path = written(tmp_path / "a.tif", compression=compression, rowsperstrip=rows)
    assert refused(change(path, LENGTH=24 | 1 << bit))


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_height_of_fewer_strips(tmp_path, compression):
    path = change(written(tmp_path / "a.tif", compression=compression, rowsperstrip=8), LENGTH=16)
    assert refused(path) == " is damaged: its 32 x 16 pixels are 2 strips, and it has 3"


@pytest.mark.parametrize("compression", [None, "zlib", "packbits", "zstd"])
def test_a_height_of_fewer_rows(tmp_path, compression):
    assert refused(change(written(tmp_path / "a.tif", compression=compression, rowsperstrip=24), LENGTH=16))


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("tag", ["STRIP_COUNTS", "STRIP_OFFSETS"])
@pytest.mark.parametrize("value", [0, 2**31])
def test_strips_that_are_not_there(tmp_path, compression, tag, value):
    path = written(tmp_path / "a.tif", compression=compression, rowsperstrip=24)
    message = refused(change(path, **{tag: value}))
    assert message == " is damaged, truncated or no image: strips are missing, or lie beyond the end of the file"


def test_tiles_that_are_not_there(tmp_path):
    path = written(tmp_path / "a.tif", np.tile(TALL, (2, 2)), tile=(16, 16))
    data = bytearray(path.read_bytes())
    at = entries(data)[325]  # TileByteCounts
    kind, count, where = struct.unpack_from("<HII", data, at + 2)
    struct.pack_into({3: "<H", 4: "<I"}[kind], data, where, 0)
    path.write_bytes(data)
    assert count == 12 and "tiles are missing" in refused(path)


def test_a_jpeg_without_its_end(tmp_path):
    path = written(
        tmp_path / "a.tif", np.tile(SMOOTH, (4, 4, 1)), compression="jpeg", photometric="rgb", rowsperstrip=96
    )
    size = struct.unpack_from("<I", path.read_bytes(), entries(path.read_bytes())[STRIP_COUNTS] + 8)[0]
    assert (
        refused(change(path, STRIP_COUNTS=size // 2)) == " is damaged, truncated or no image: a JPEG in it has no end"
    )


def test_strips_shorter_than_their_rows(tmp_path):
    path = change(written(tmp_path / "a.tif", rowsperstrip=24), STRIP_COUNTS=24 * 32 - 1)
    assert refused(path) == " is damaged: its strips do not have the bytes of 24 rows"


def test_a_padded_last_strip_is_read(tmp_path):
    # some writers give the last strip as many rows as the others
    path = change(written(tmp_path / "a.tif", rowsperstrip=8), LENGTH=20)
    np.testing.assert_array_equal(read_image(path).pixels, TALL[:20])


@pytest.mark.parametrize("bits", [1, 4])
def test_rows_of_less_than_a_byte_a_pixel(tmp_path, bits):
    levels = (GREY8 >> (8 - bits)).astype(np.uint8)
    pixels = levels.astype(bool) if bits == 1 else levels
    path = written(tmp_path / "a.tif", pixels, bitspersample=bits, rowsperstrip=2)
    assert read_image(path).pixels.shape == GREY8.shape


def test_a_volume_in_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 32, 48), np.uint8), volumetric=True, tile=(16, 16, 16))
    assert declared_size(tmp_path / "a.tif") == (32, 48, 16)
    assert refused(tmp_path / "a.tif") == " holds 16 planes in one page: save each as a page of its own"


def pages(path: Path) -> list[np.ndarray]:
    """The pages of a stack."""
    return [picture.pixels for _, picture in read_frames([path])]


def refused_stack(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        pages(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def second_page(data: bytes, tag: int) -> int:
    """Where the entry of a tag is in the second directory of a little-endian file."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    (start,) = struct.unpack_from("<I", data, start + 2 + 12 * count)
    (count,) = struct.unpack_from("<H", data, start)
    return next(
        at for at in range(start + 2, start + 2 + 12 * count, 12) if data[at : at + 2] == struct.pack("<H", tag)
    )


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_page_of_a_stack_whose_strips_are_not_there(tmp_path, compression):
    stack = np.stack([TALL, TALL[::-1]])
    path = written(tmp_path / "a.tif", stack, compression=compression, rowsperstrip=24, photometric="minisblack")
    assert [page.shape for page in pages(path)] == [TALL.shape, TALL.shape]
    data = bytearray(path.read_bytes())
    at = second_page(data, STRIP_COUNTS)
    for value, words in {0: "strips are missing", 2**31: "beyond the end of the file"}.items():
        struct.pack_into("<HHII", data, at, STRIP_COUNTS, 4, 1, value)
        path.write_bytes(data)
        assert words in refused_stack(path)


def test_pages_of_a_stack_are_read_as_single_pages_are(tmp_path):
    for options in ({"photometric": "miniswhite"}, {"photometric": "minisblack", "bitspersample": 4}):
        levels = TALL >> 4 if "bitspersample" in options else TALL
        single = read_image(written(tmp_path / "one.tif", levels, **options)).pixels
        stack = pages(written(tmp_path / "two.tif", np.stack([levels, levels[::-1]]), **options))
        np.testing.assert_array_equal(stack, [single, single[::-1]])


@pytest.mark.parametrize("how", [{}, {"imagej": True}, {"bigtiff": True}])
@pytest.mark.parametrize("cut", [100, TALL.size, 2 * TALL.size])
def test_a_stack_that_is_cut(tmp_path, how, cut):
    stack = np.stack([TALL, TALL[::-1], TALL // 2])
    path = written(tmp_path / "a.tif", stack, photometric="minisblack", **how)
    np.testing.assert_array_equal(pages(path), stack)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "is damaged or truncated" in refused_stack(path)


@pytest.mark.parametrize("count", [2, 120])  # tifffile notices circles of up to 99 pages
def test_pages_that_go_round_in_circles(tmp_path, count):
    tags = {WIDTH: 4, LENGTH: 4, BITS: 8, 262: 1, STRIP_OFFSETS: 8, 277: 1, ROWS: 4, STRIP_COUNTS: 16}
    entry = struct.pack("<H", len(tags))
    entry += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    places = [24 + at % count * (len(entry) + 4) for at in range(1, count + 1)]
    path = tmp_path / "a.tif"
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 24) + bytes(range(16)) + b"".join(entry + struct.pack("<I", at) for at in places)
    )
    assert refused_stack(path).endswith(f"its list of pages has no end; {count} were found")
    picture = read_image(path)
    np.testing.assert_array_equal(picture.pixels, np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert picture.remarks == (f"a.tif has {count} pages: the first was used",)


@pytest.mark.parametrize("how", [{"imagej": True}, {"byteorder": ">"}, {"bigtiff": True}])
def test_planes_that_one_page_describes(tmp_path, how):
    stack = np.random.default_rng(1).integers(0, 65536, (3, 24, 32), dtype=np.uint16)
    path = written(tmp_path / "a.tif", stack, photometric="minisblack", truncate=True, **how)
    np.testing.assert_array_equal(pages(path), stack)
    path.write_bytes(path.read_bytes()[:-100])
    message = refused_stack(path)
    assert f"{path} is damaged, truncated or missing: " in message or message.endswith(
        "says it has 3 planes, and 1 is there"
    )


def test_a_page_that_has_no_reason(tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", np.stack([TALL, TALL]), photometric="minisblack")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    assert refused_stack(path) == f"page 1 of {path} is damaged, truncated or missing: MemoryError"
