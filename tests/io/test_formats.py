"""A file format is one record: one of one's own is read, written, listed and limited like the package's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.io.files import GREY8, GREY16
from ttd_jax.errors import InputError
from ttd_jax.io import formats
from ttd_jax.io.folders import match_stems
from ttd_jax.io.formats import Format, Picture
from ttd_jax.io.images import read_image, stored_dtype, write_image
from ttd_jax.io.limits import Declared
from ttd_jax.io.metadata import Metadata


def declared(path: Path) -> Declared:
    array = np.load(path, mmap_mode="r")
    height, width = array.shape[:2]
    return Declared(height, width, channels=1, itemsize=array.itemsize)


def save(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    with path.open("wb") as file:
        np.save(file, pixels)


NUMPY = Format(
    name="NumPy",
    suffixes=(".npy",),
    owns=lambda start: start.startswith(b"\x93NUMPY"),
    declared=declared,
    read=lambda path: Picture(np.load(path), Metadata()),
    depth=lambda dtype: np.dtype("float32"),
    write=save,
)


@pytest.fixture
def registered():
    formats.register(NUMPY)
    yield
    formats.unregister("NumPy")


def test_a_format_of_ones_own(tmp_path, registered):
    write_image(tmp_path / "a.npy", GREY16)
    assert stored_dtype("a.npy", "uint16") == np.float32
    np.testing.assert_allclose(read_image(tmp_path / "a.npy").pixels, GREY16 / 65535, rtol=1e-6)
    assert list(match_stems([tmp_path, tmp_path]).complete) == ["a"]
    with pytest.raises(InputError, match="exists already"):
        write_image(tmp_path / "a.npy", GREY16)
    with pytest.raises(InputError, match="a quality is for JPEG and WebP"):
        write_image(tmp_path / "a.npy", GREY16, overwrite=True, quality=50)


def test_the_limits_hold_for_it_too(tmp_path, registered, monkeypatch):
    write_image(tmp_path / "a.npy", GREY8)
    monkeypatch.setenv("TTD_JAX_MAX_PIXELS", "53")
    with pytest.raises(InputError, match=r"a\.npy says it has 9 x 6 pixels"):
        read_image(tmp_path / "a.npy")


def test_what_breaks_in_it_is_a_damaged_file(tmp_path, registered):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY and nothing else")
    with pytest.raises(InputError, match=r"a\.npy is damaged, truncated or no image: "):
        read_image(tmp_path / "a.npy")


def test_without_it_the_ending_is_unknown(tmp_path):
    with pytest.raises(InputError, match=r"cannot write a\.npy: the name ends in one of \.png \.tif \.tiff"):
        write_image(tmp_path / "a.npy", GREY8)


def test_an_ending_belongs_to_one_format():
    with pytest.raises(ValueError, match=r"\.png belongs to PNG: choose another ending"):
        formats.register(Format("mine", (".png",), NUMPY.owns, declared, NUMPY.read, NUMPY.depth))
    assert formats.by_suffix(Path("a.PNG")).name == "PNG"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.mp4", "a video: ttd-jax fuse takes videos together with videos"),
        ("a.DCM", "a DICOM file: read its pixels (pydicom) and pass arrays"),
        ("a.nii.gz", "a volume: read it (nibabel) and pass its slices as arrays"),
        ("a.npz", "a file of arrays: load it and pass the arrays to ttd_jax.fuse"),
    ],
)
def test_what_to_do_with_files_that_are_no_image(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"something else entirely")
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / name)
    assert said in str(caught.value)


@pytest.mark.parametrize("address", ["https://example.org/a.png", "http://example.org/a.png"])
def test_an_address_is_no_file(address):
    with pytest.raises(InputError, match=r"is an address: download it first"):
        read_image(address)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a pipe or device"):
        read_image(tmp_path / "a.png")


def test_a_name_no_file_can_have():
    with pytest.raises(InputError, match="no file can have this name"):
        read_image("a\0.png")


def test_a_link_to_itself(tmp_path):
    (tmp_path / "a.png").symlink_to("a.png")
    with pytest.raises(InputError, match=r"cannot read .*a\.png: Too many levels of symbolic links"):
        read_image(tmp_path / "a.png")


def test_nothing_is_run_to_read_an_image(tmp_path):
    # Pillow has EPS read by Ghostscript, which is a program, and EPS is one too
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    script = """
import sys
from ttd_jax.io.images import read_image
try:
    read_image(sys.argv[1])
except ValueError as error:
    print(error)
"""
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", script, path], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{path} is no image: expected PNG, TIFF, JPEG, BMP or WebP\n"
    assert not (tmp_path / "ran").exists()
