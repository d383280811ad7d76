"""Every row of the table of formats in the docs: a file of that kind is made and read in its depth."""

import re
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from ttd_jax.errors import InputError
from ttd_jax.io import formats
from ttd_jax.io.images import read_image, write_image

TABLE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
ROWS = re.findall(r"^\| (\w+) \| (uint8|uint16|float32) \| (RGB|grey) \| ([^|]*)\| ([^|]*)\| (yes|no) \|$", TABLE, re.M)
EXACT = {"png", "tif", "bmp", "webp", "gif", "ppm", "pgm", "jp2"}


def picture(depth: str, color: str) -> np.ndarray:
    """Slow ramps, with values that 8 bits do not have where there are more."""
    full = {"uint8": 255, "uint16": 65535, "float32": 1}[depth]
    ramp = np.linspace(0.1, 0.9, 48) * np.ones((32, 1))
    pixels = full * (np.stack([ramp, ramp[::-1, ::-1], 0.5 * ramp], -1) if color == "RGB" else ramp)
    return pixels.astype(depth) if depth == "float32" else np.rint(pixels).astype(depth)


def make_raw(path: Path) -> None:
    """A DNG: the head that LibRaw asks for, and a mosaic of 12 bits."""
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Made Camera", True),
        (50714, "I", 1, 0, True),
        (50717, "I", 1, 4095, True),
        (50721, "2i", 9, identity, True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
    ]
    mosaic = np.broadcast_to(np.linspace(400, 3600, 48), (32, 48)).astype(np.uint16)
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None, subfiletype=0)


def make(path: Path, pixels: np.ndarray) -> None:
    if path.suffix == ".dng":
        make_raw(path)
    elif path.suffix == ".heic":
        mode = "RGB" if pixels.dtype == np.uint8 else "RGB;16"
        pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes()).save(path, quality=-1)
    elif formats.by_suffix(path) and formats.by_suffix(path).write:
        write_image(path, pixels)
    elif path.suffix == ".gif":
        Image.fromarray(pixels).quantize(256).save(path)
    elif path.suffix == ".avif":
        Image.fromarray(pixels).save(path, quality=90)
    else:
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_row(row, tmp_path):
    ending, depth, color, _, _, written = row
    path, pixels = tmp_path / f"a.{ending}", picture(depth, color)
    make(path, pixels)
    found = read_image(path).pixels
    assert found.dtype == depth and found.shape[:2] == (32, 48) and found.ndim == pixels.ndim
    form = formats.by_suffix(path)
    assert (written == "yes") == bool(form and form.write)
    if ending in EXACT and ending != "gif":
        np.testing.assert_array_equal(found, pixels)
    elif ending != "dng":
        full = 255 if depth == "uint8" else 65535
        assert abs(found.astype(float) - pixels).max() < 0.1 * full
    if depth == "uint16":
        assert np.any(found % 257)  # levels that 8 bits do not have
    if ending == "dng":
        assert np.diff(found.mean(axis=(0, 2)))[4:-4].min() >= 0


def test_the_table_is_whole():
    assert len(ROWS) == 16
    endings = {f".{row[0]}" for row in ROWS}
    assert {form.suffixes[0] for form in formats._FORMATS.values()} <= endings | {".jpg"}


@pytest.mark.parametrize("package, extra, ending", [("pillow_heif", "heif", "heic"), ("rawpy", "raw", "dng")])
def test_extras_are_named(monkeypatch, tmp_path, package, extra, ending):
    path = tmp_path / f"a.{ending}"
    make(path, picture("uint8", "RGB"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"pip install 'ttd-jax\[{extra}\]'"):
        read_image(path)


@pytest.mark.parametrize("ending", ["heic", "dng"])
def test_damage_is_one_line(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    make(path, picture("uint8", "RGB"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="is damaged, truncated or no image"):
        read_image(path)
