"""DICOM and NIfTI that say what cannot be: refused in one line, before memory is taken for it."""

import gzip
import struct
import tracemalloc
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.cli.volume_files import ball, write_nii, write_series
from ttd_jax.errors import InputError, reason
from ttd_jax.io.dicom import read_dicom
from ttd_jax.io.nifti import read_nifti
from ttd_jax.io.volumes import Volume, checked


def refused(read, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"RescaleSlope": "1e39"}, "has voxels that are not finite"),
        ({"PixelSpacing": [0, 1]}, "does not say where its voxels are"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "its directions are damaged"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "its directions are damaged"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "is damaged or no series"),
        ({"PixelData": bytes(2 * 20 * 24 + 20)}, "cannot be read"),
        ({"PixelData": bytes(2 * 20 * 24 - 2)}, "cannot be read"),
    ],
)
def test_a_series_that_cannot_be(tmp_path, odd, words):
    values = ball()
    write_series(tmp_path / "mri", values, **{f"slice_{index}": odd for index in range(len(values))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as where warnings are no errors
        assert words in refused(read_dicom, tmp_path / "mri")


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "PixelData", "PixelSpacing", "ImagePositionPatient"])
def test_a_slice_that_lacks_what_is_needed(tmp_path, keyword):
    write_series(tmp_path / "mri", ball())
    path = tmp_path / "mri" / "007.dcm"
    found = pydicom.dcmread(path)
    del found[keyword]
    found.save_as(path)
    assert f"{path} has no {keyword}" in refused(read_dicom, tmp_path / "mri")


def test_a_deflated_file_is_not_unpacked(tmp_path):
    write_series(tmp_path / "mri", ball())
    path = tmp_path / "mri" / "007.dcm"
    found = pydicom.dcmread(path)
    found.add_new(0x00091001, "OB", bytes(50_000_000))  # 50 kB in the file
    found.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    found.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    message = refused(read_dicom, tmp_path / "mri")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "deflated as a whole" in message and held < 5e6


def test_an_empty_folder_is_no_series(tmp_path):
    assert "holds no slices" in refused(read_dicom, tmp_path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("offset", [-8.0, 3e7, float("nan"), float("inf")])
def test_voxels_that_begin_nowhere(tmp_path, ending, offset):
    path = tmp_path / f"a{ending}"
    write_nii(path, ball())
    opened = gzip.open if ending == ".nii.gz" else open
    with opened(path, "rb") as file:
        data = bytearray(file.read())
    struct.pack_into("<f", data, 108, offset)
    path.write_bytes(gzip.compress(bytes(data)) if ending == ".nii.gz" else data)
    assert "its voxels begin at byte" in refused(read_nifti, path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Header, nibabel.Nifti2Header])
def test_headers_of_both_versions_and_orders(tmp_path, kind, order):
    image = {nibabel.Nifti1Header: nibabel.Nifti1Image, nibabel.Nifti2Header: nibabel.Nifti2Image}[kind]
    stored = image(ball().T.astype(np.float32), np.eye(4), kind(endianness=order))
    nibabel.save(stored, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").values, ball().astype(np.float32))
    data = bytearray((tmp_path / "a.nii").read_bytes())
    first = kind is nibabel.Nifti1Header
    struct.pack_into(order + ("f" if first else "q"), data, 108 if first else 168, 2**24 + 16)
    (tmp_path / "a.nii").write_bytes(data)
    assert "its voxels begin at byte 16777232" in refused(read_nifti, tmp_path / "a.nii")


def test_numbers_that_are_not_real(tmp_path):
    nibabel.save(nibabel.Nifti1Image(ball().T.astype(np.complex64), np.eye(4)), tmp_path / "a.nii")
    assert "expected one grey volume" in refused(read_nifti, tmp_path / "a.nii")


@pytest.mark.parametrize("row", [[0, 0, 0, 5], [np.nan, 0, 0, 0], [0, 1, 0, 0]])
def test_places_that_fall_together(tmp_path, row):
    grid = np.eye(4)
    grid[0] = row
    with pytest.raises(InputError, match="does not say where its voxels are"):
        checked(Volume(ball().astype(np.float32), grid), tmp_path)


def test_a_volume_without_voxels(tmp_path):
    with pytest.raises(InputError, match="holds no voxels"):
        checked(Volume(np.zeros((0, 4, 4), np.float32), np.eye(4)), tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [(MemoryError(), "MemoryError"), (ValueError("\n one\ntwo"), "one"), (OSError("x" * 300), "x" * 200)],
)
def test_what_an_error_says(error, said):
    assert reason(error) == said
