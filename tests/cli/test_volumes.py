"""Volumes: series and files made by pydicom and nibabel, fused on one grid, and read back by those."""

import json
import re
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from tests.align.made_volumes import error, made_volumes
from tests.cli.volume_files import SHAPE, STEP, ball, write_enhanced, write_nii, write_series
from ttd_jax.align.volumes import register_volume
from ttd_jax.cli import volumes
from ttd_jax.errors import InputError
from ttd_jax.io.dicom import read_dicom
from ttd_jax.io.nifti import read_nifti
from ttd_jax.io.volumes import COLORMAPS, Volume, apply_colormap, onto_grid, overview

FAST = ["--backbone", "pyramid", "--weighting", "static"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_slices_are_put_in_order_and_rescaled(place):
    write_series("mri", ball())
    volume = read_dicom(Path("mri"))
    np.testing.assert_allclose(volume.values, ball(), atol=1.01)  # half a step of 2
    assert volume.spacing == (3, 1.5, 1.25)
    assert volume.window == (-50, 950)
    np.testing.assert_allclose(volume.grid @ [1, 2, 3, 1], [-10 + 1.25, -20 + 3, 5 + 9, 1])


def test_frames_of_one_file_are_a_series(ttd_jax, place):
    write_series("series", ball())
    write_enhanced("mri.dcm", ball(), order=[3, 0, 5, 1, 4, 2])
    one, other = read_dicom(Path("mri.dcm")), read_dicom(Path("series"))
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(one.grid, other.grid)
    assert one.window == other.window == (-50, 950)
    arguments = ["fuse", "mri=mri.dcm", "pet=series", "-o", "out", "--patient", "keep", *FAST]
    done = ttd_jax(*arguments)
    assert (done.code, done.err) == (0, "") and "24 x 20 x 6 voxels of 1.25 x 1.5 x 3 mm" in done.out
    assert read_dicom(Path("out")).header.PatientName == "Doe^Jane"
    Path("one").mkdir()
    Path("mri.dcm").rename("one/mri.dcm")
    np.testing.assert_array_equal(read_dicom(Path("one")).values, other.values)
    write_enhanced("twice.dcm", ball(), doubled=True)
    with pytest.raises(InputError, match=r"frame 1 and twice\.dcm frame 2 of twice\.dcm lie at one place"):
        read_dicom(Path("twice.dcm"))
    with pytest.raises(InputError, match="is one slice: name the folder"):
        read_dicom(next(Path("series").iterdir()))


def test_volumes_that_lie_elsewhere_are_registered(ttd_jax, place):
    """A PET on another grid, turned and shifted in its scanner; the truth is known."""
    made = made_volumes(1, coarse=1.5)
    flip = np.diag([-1.0, -1, 1, 1])
    write_nii("mri.nii.gz", made.mri, flip @ made.mri_grid)
    write_nii("pet.nii.gz", made.pet, flip @ made.pet_grid)
    arguments = ["fuse", "mri=mri.nii.gz", "pet=pet.nii.gz", "-o", "out.nii.gz", *FAST]
    done = ttd_jax(*arguments, "--align", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    found = np.array(told["alignment"]["pet"]["millimetres"])
    assert error(np.eye(4), made) > 12 and error(found, made) < 2.5  # half a voxel of the PET
    assert any(remark.startswith("pet was moved by ") for remark in told["remarks"])
    assert "--align auto or euclidean; got affine" in ttd_jax(*arguments, "--align", "affine").err
    small = made_volumes(1, coarse=3)
    write_nii("small.nii", small.mri, flip @ small.mri_grid)
    write_nii("noise.nii", np.random.default_rng(0).random(small.mri.shape), flip @ small.mri_grid)
    done = ttd_jax("fuse", "mri=small.nii", "pet=noise.nii", "-o", "no.nii", "--align", *FAST)
    assert done.code == 2 and "pet could not be aligned to mri: " in done.err and not Path("no.nii").exists()


def test_what_cannot_be_registered(monkeypatch):
    made = made_volumes(1, coarse=4)
    with pytest.raises(InputError, match="flat, or has fewer than four slices"):
        register_volume(made.mri, made.mri_grid, np.zeros_like(made.pet), made.pet_grid)
    skewed = made.pet_grid.copy()
    skewed[0, 1] = 1.0
    with pytest.raises(InputError, match="not at right angles"):
        register_volume(made.mri, made.mri_grid, made.pet, skewed)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=r"pip install 'ttd-jax\[register\]'"):
        register_volume(made.mri, made.mri_grid, made.pet, made.pet_grid)


def test_a_series_and_a_file_on_another_grid_become_a_series(ttd_jax, place):
    write_series("mri", ball())
    fine = np.kron(ball(), np.ones((2, 1, 1)))  # slices of half the distance
    affine = np.diag([-1.25, -1.5, 1.5, 1])
    affine[:3, 3] = [10, 20, 5 - 0.75]
    write_nii("pet.nii.gz", fine, affine)
    arguments = ["fuse", "mri=mri", "pet=pet.nii.gz", "--window", "pet=500", "1000", *FAST]
    refused = ttd_jax(*arguments, "-o", "out")
    assert refused.code == 2 and "pass --patient keep or --patient remove" in refused.err and not Path("out").exists()
    done = ttd_jax(*arguments, "-o", "out", "--patient", "keep", "--overview", "look.png")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("out: 2 volumes, 24 x 20 x 6 voxels of 1.25 x 1.5 x 3 mm, grey, ")
    back, source = read_dicom(Path("out")), read_dicom(Path("mri"))
    np.testing.assert_allclose(back.grid, source.grid, atol=1e-5)
    assert np.corrcoef(back.values.ravel(), source.values.ravel())[0, 1] > 0.98
    assert back.values.min() >= -50.01 and back.values.max() <= 950.01
    assert back.header.PatientName == "Doe^Jane"
    assert back.header.SeriesInstanceUID != source.header.SeriesInstanceUID
    assert back.header.StudyInstanceUID == source.header.StudyInstanceUID
    done = ttd_jax(*arguments, "-o", "anonymous", "--patient", "remove", "--colormap", "pet=hot")
    found = [pydicom.dcmread(path) for path in sorted(Path("anonymous").iterdir())]
    text = " ".join(str(one) for one in found)
    assert done.code == 0 and len({one.SOPInstanceUID for one in found}) == 6
    assert "Doe" not in text and "4711" not in text and "19700101" not in text
    assert source.header.StudyInstanceUID not in text
    assert not any("PatientIdentityRemoved" in one or "BurnedInAnnotation" in one for one in found)  # nobody looked
    assert found[3].pixel_array.shape == (20, 24, 3) and np.ptp(found[3].pixel_array, axis=-1).max() > 50


def test_seconds_count_reading(ttd_jax, place, monkeypatch):
    write_nii("a.nii", ball())
    read = volumes._read

    def slowly(path):
        time.sleep(0.3)
        return read(path)

    monkeypatch.setattr(volumes, "_read", slowly)
    done = ttd_jax("fuse", "a.nii", "a.nii", "-o", "out.nii", *FAST)
    seconds, share = re.search(r", ([\d.]+) s, (\d+)% of it reading\n", done.out).groups()
    assert float(seconds) >= 0.6 and int(share) > 0
    done = ttd_jax("fuse", "a.nii", "a.nii", "-o", "out.nii", "--overwrite", "--json", *FAST)
    assert json.loads(done.out)["seconds"]["read"] >= 0.6


def test_a_file_comes_back_where_it_was(ttd_jax, place):
    affine = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, -3], [0, 0, 4, 11], [0, 0, 0, 1]])
    write_nii("a.nii", ball(), affine)
    write_nii("b.nii", 0.5 * ball() + 3, affine)
    done = ttd_jax("fuse", "a.nii", "b.nii", "-o", "out.nii.gz", *FAST)
    assert done.code == 0 and "says no window: shown from its least value" in done.err
    back = nibabel.load("out.nii.gz")
    np.testing.assert_allclose(back.affine, affine, atol=1e-6)
    assert back.shape == SHAPE[::-1] and 700 < np.asarray(back.dataobj).max() <= 1000.01
    done = ttd_jax("fuse", "mri=a.nii", "pet=b.nii", "-o", "rgb.nii", "--colormap", "pet=cool", *FAST)
    assert done.code == 0 and nibabel.load("rgb.nii").get_data_dtype().names == ("R", "G", "B")


def test_resampling_is_nibabels(place):
    processing = pytest.importorskip("nibabel.processing")
    target = nibabel.Nifti1Image(np.zeros((24, 20, 6), np.float32), np.diag([1, 1, 1, 1.0]))
    moving = nibabel.Nifti1Image(
        ball().T.astype(np.float32), np.array([[1.1, 0.1, 0, 1], [-0.1, 1, 0, 1], [0, 0, 0.9, 0], [0, 0, 0, 1]])
    )
    expected = np.asarray(processing.resample_from_to(moving, target, order=1).dataobj)
    ours = onto_grid(
        Volume(ball().astype(np.float32), moving.affine), Volume(np.zeros(SHAPE, np.float32), np.eye(4)), "b"
    )
    np.testing.assert_allclose(ours.T[3:-3, 3:-3, 1:-1], expected[3:-3, 3:-3, 1:-1], atol=1e-2)
    far = np.eye(4)
    far[0, 3] = 1000
    with pytest.raises(InputError, match=r"far covers 0.0% of the reference"):
        onto_grid(Volume(ball().astype(np.float32), far), Volume(np.zeros(SHAPE, np.float32), np.eye(4)), "far")


@pytest.mark.parametrize(
    "odd, words",
    [
        ({"slice_2": {"ImagePositionPatient": [-10, -20, 5 + STEP]}}, "lie at one place"),
        ({"slice_2": {"ImagePositionPatient": [-10, -20, 5 + 7 * STEP]}}, "is missing between"),
        ({"slice_2": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}}, "different orientations"),
        ({"slice_2": {"Rows": 10}}, "slices of a series have one size"),
        ({"slice_2": {"SeriesInstanceUID": "1.2.3"}}, "holds several series"),
        ({"slice_2": {"NumberOfFrames": 4}}, "does not say where each lies"),
        ({"slice_2": {"SamplesPerPixel": 3}}, "holds colours"),
        ({"slice_2": {"PixelData": b"1234"}}, "cannot be read"),
    ],
)
def test_series_that_are_none(ttd_jax, place, odd, words):
    write_series("a", ball(), **odd)
    write_series("b", ball())
    done = ttd_jax("fuse", "mri=b", "pet=a", "-o", "out", "--patient", "keep")
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1 and not Path("out").exists()


def test_other_mistakes(ttd_jax, place):
    write_nii("a.nii", ball())
    write_nii("no.nii", ball(), code=0)
    write_nii("flat.nii", np.zeros(SHAPE))
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.float32), np.eye(4)), "four.nii")
    Path("bad.nii").write_bytes(Path("a.nii").read_bytes()[:400])
    Path("x.png").touch()
    for other, words in {
        "no.nii": "does not say where its voxels are (no affine)",
        "four.nii": "expected one grey volume",
        "bad.nii": "damaged, truncated or no NIfTI",
        "flat.nii": "has one value only",
        "x.png": "volumes go together with volumes",
        "gone.nii": "cannot read gone.nii",
    }.items():
        done = ttd_jax("fuse", "a.nii", other, "-o", "out.nii")
        assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1
    done = ttd_jax("fuse", "a.nii", "flat.nii", "-o", "out.png")
    assert "a folder for DICOM, or .nii" in done.err
    done = ttd_jax("fuse", "mri=a.nii", "pet=flat.nii", "-o", "out.nii", "--colormap", "pet=grey")
    assert "a name of hot, cool, rainbow" in done.err
    assert "--patient is for volumes" in ttd_jax("fuse", "x.png", "x.png", "-o", "y.png", "--patient", "keep").err
    assert not Path("out.nii").exists()


def test_without_the_extra_it_is_named(ttd_jax, place, monkeypatch):
    write_nii("a.nii", ball())
    monkeypatch.setitem(sys.modules, "nibabel", None)
    assert "pip install 'ttd-jax[medical]'" in ttd_jax("fuse", "a.nii", "a.nii", "-o", "b.nii").err


def test_colours_and_overview():
    for name, stops in COLORMAPS.items():
        shown = apply_colormap(np.linspace(0, 1, len(stops)), name)
        assert shown.min() >= 0 and shown.max() <= 1 and np.unique(shown, axis=0).shape == (len(stops), 3)
    with pytest.raises(InputError, match="colour maps are"):
        apply_colormap(np.zeros(3), "jet")
    shown = overview(np.zeros((6, 20, 24, 3), np.float32), (3.0, 1.5, 1.5))
    assert shown.shape == (20, 24 + 24 + 20, 3)


def test_a_file_is_read_in_the_order_of_dicom(place):
    affine = np.diag([2.0, 3, 4, 1])
    write_nii("a.nii", ball(), affine)
    volume = read_nifti(Path("a.nii"))
    np.testing.assert_allclose(volume.values, ball(), rtol=1e-5)
    np.testing.assert_allclose(volume.grid, np.diag([-2.0, -3, 4, 1]))
