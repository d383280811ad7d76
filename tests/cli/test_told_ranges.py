"""Ranges that files tell: tags of TIFF, sBIT of PNG; what is told of the result, and what is not believed."""

import json
import struct
import zlib

import numpy as np
import pytest
import tifffile

from ttd_jax import fuse
from ttd_jax.inputs import check_sources
from ttd_jax.io.images import read_image, write_image

TWELVE = np.random.default_rng(0).integers(0, 4096, (16, 20), dtype=np.uint16)
TWELVE[0, :2] = 4095, 4001  # which no scaling of 12 bits to 16 gives
EIGHT = (TWELVE[::-1] >> 4).astype(np.uint8)


def write_tiff(path, pixels, **tags):
    codes = {"MinSampleValue": 280, "MaxSampleValue": 281, "SMinSampleValue": 340, "SMaxSampleValue": 341}
    kind = {"u": "H", "i": "h", "f": "f"}[pixels.dtype.kind]
    count = pixels.shape[2] if pixels.ndim == 3 else 1
    extra = [
        (codes[name], kind if name[0] == "S" else "H", count, (value,) * count if count > 1 else value, True)
        for name, value in tags.items()
    ]
    tifffile.imwrite(path, pixels, extratags=extra, photometric="rgb" if count > 1 else "minisblack", metadata=None)


def write_png(path, pixels, bits):
    write_image(path, pixels)
    data = path.read_bytes()
    chunk = b"sBIT" + bytes([bits] * (pixels.shape[2] if pixels.ndim == 3 else 1))
    inserted = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + inserted + data[33:])


@pytest.mark.parametrize("kind", ["SMaxSampleValue", "MaxSampleValue", "sBIT", "colour"])
def test_twelve_bits_in_sixteen_are_right_where_the_file_says_so(tmp_path, kind):
    if kind == "sBIT":
        path = tmp_path / "mri.png"
        write_png(path, TWELVE, 12)
    else:
        path = tmp_path / "mri.tif"
        pixels = np.stack([TWELVE, TWELVE // 2, TWELVE // 3], -1) if kind == "colour" else TWELVE
        write_tiff(path, pixels, **{"SMaxSampleValue" if kind == "colour" else kind: 4095})
    checked = check_sources({"mri": path, "pet": EIGHT})  # refused without the range: 12 bits beside 8
    np.testing.assert_allclose(checked.images[0][..., 0], TWELVE / 4095, atol=1e-6)
    told_by = {"sBIT": "sBIT, 12 bits,", "colour": "SMaxSampleValue"}.get(kind, kind)
    assert checked.remarks == (f"mri goes from 0 to 4095, as {told_by} in the file says",)
    kept = fuse({"mri": path, "pet": EIGHT}, keep_range=True, backbone="pyramid", weighting="static")
    assert kept.image.dtype == np.uint16 and 2000 < kept.image.max() <= 4095
    told = check_sources({"mri": path, "pet": EIGHT}, range={"mri": (0, 65535)})  # what is said counts
    np.testing.assert_allclose(told.images[0][..., 0], TWELVE / 65535, atol=1e-6)


def test_signed_and_floating_numbers_are_read_by_what_the_file_says(tmp_path):
    signed = TWELVE.astype(np.int16) - 1024
    write_tiff(tmp_path / "ct.tif", signed, SMinSampleValue=-1024, SMaxSampleValue=3071)
    degrees = (TWELVE / 100).astype(np.float32)
    write_tiff(tmp_path / "ir.tif", degrees, SMinSampleValue=-20.0, SMaxSampleValue=120.0)
    checked = check_sources([tmp_path / "ct.tif", tmp_path / "ir.tif"])
    np.testing.assert_allclose(checked.images[0][..., 0], (signed + 1024.0) / 4095, atol=1e-6)
    np.testing.assert_allclose(checked.images[1][..., 0], (degrees + 20) / 140, atol=1e-6)


@pytest.mark.parametrize(
    "tags, remarked",
    [
        ({"MaxSampleValue": 4000}, False),  # the largest value that is used, perhaps
        ({"MaxSampleValue": 4095, "MinSampleValue": 7}, False),
        ({"SMaxSampleValue": 65535}, False),
        ({"SMaxSampleValue": 1023}, True),
        ({"SMaxSampleValue": 5, "SMinSampleValue": 5}, False),
    ],
)
def test_what_is_not_believed(tmp_path, tags, remarked):
    write_tiff(tmp_path / "a.tif", TWELVE, **tags)
    found = read_image(tmp_path / "a.tif")
    assert found.range is None and bool(found.remarks) == remarked


@pytest.mark.parametrize("scaled", ["shifted", "repeated", "multiplied", "large"])
def test_samples_that_were_scaled_as_the_standard_wants_are_left(tmp_path, scaled):
    dark = TWELVE >> 4  # up to 255 of 4095
    pixels = {
        "shifted": dark << 4,
        "repeated": dark << 4 | dark >> 8,
        "multiplied": np.rint(dark * (65535 / 4095)).astype(np.uint16),
        "large": TWELVE << 4,
    }[scaled]
    write_png(tmp_path / "a.png", pixels, 12)
    found = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.range is None


def test_a_command_says_where_a_range_comes_from(ttd_jax, tmp_path):
    write_tiff(tmp_path / "a.tif", TWELVE, SMaxSampleValue=4095)
    write_image(tmp_path / "b.png", EIGHT)
    out = tmp_path / "o.tif"
    done = ttd_jax("fuse", tmp_path / "a.tif", tmp_path / "b.png", "-o", out, "--backbone", "pyramid", "--json")
    assert done.code == 0
    assert "a.tif goes from 0 to 4095, as SMaxSampleValue in the file says" in json.loads(done.out)["remarks"]
    for number in range(3):
        write_tiff(tmp_path / f"f{number}.tif", TWELVE, SMaxSampleValue=4095)
    pattern = tmp_path / "f%d.tif"
    done = ttd_jax("fuse", pattern, pattern, "-o", tmp_path / "o%d.tif", "--keep-range", "--backbone", "pyramid")
    assert "source 1 goes from 0 to 4095, as SMaxSampleValue in its first file says" in done.err
    assert 3500 < read_image(tmp_path / "o1.tif").pixels.max() <= 4095
