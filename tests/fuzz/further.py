"""Further kinds: DICOM series, NIfTI, videos, HEIF, and TIFF of several pages; their seeds, and what is tried."""

import io
from pathlib import Path

import nibabel
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from tests.cli.test_video import make_video
from tests.cli.volume_files import ball, write_series
from tests.fuzz.seeds import GREY, RGB
from ttd_jax.errors import InputError
from ttd_jax.io.dicom import read_dicom
from ttd_jax.io.frames import read_frames
from ttd_jax.io.images import read_image
from ttd_jax.io.nifti import read_nifti
from ttd_jax.io.video import open_video
from ttd_jax.io.volumes import Volume

_FRAMES = 6


def series(folder: Path) -> dict[str, bytes]:
    """The files of a series of three slices."""
    write_series(folder / "series", ball((3, 10, 12)))
    return {path.name: path.read_bytes() for path in (folder / "series").iterdir()}


def try_series(name: str, data: bytes, folder: Path) -> str:
    """Reads the series in which one file is changed."""
    path = folder / "series" / name
    kept = path.read_bytes()
    path.write_bytes(data)
    try:
        _check(read_dicom(folder / "series"), 3)
    except InputError as error:
        return str(error)
    finally:
        path.write_bytes(kept)
    return ""


def nifti(folder: Path) -> dict[str, bytes]:
    """Volumes of both versions, packed and scaled ones too."""
    affine, found = np.diag([-1.5, -1.25, 3, 1]), {}
    kinds = {"a.nii": nibabel.Nifti1Image, "b.nii.gz": nibabel.Nifti1Image, "c.nii": nibabel.Nifti2Image}
    for name, kind in kinds.items():
        image = kind(ball((3, 10, 12)).T.astype(np.float32 if "a" in name else np.int16), affine)
        if "b" in name:
            image.header.set_slope_inter(0.5, -3)
        nibabel.save(image, folder / name)
        found[name] = (folder / name).read_bytes()
    return found


def try_nifti(name: str, data: bytes, folder: Path) -> str:
    """Reads one volume."""
    (folder / name).write_bytes(data)
    try:
        _check(read_nifti(folder / name))
    except InputError as error:
        return str(error)
    return ""


def _check(volume: Volume, slices: int | None = None) -> None:
    assert volume.values.ndim == 3 and volume.values.size and np.isfinite(volume.values).all()
    assert slices in (None, len(volume.values)), volume.values.shape
    assert np.isfinite(np.linalg.inv(volume.grid)).all()


def videos(folder: Path) -> dict[str, bytes]:
    """Videos of six frames in several containers, one with sound, one of ten bits."""
    options: dict[str, dict] = {"a.mp4": {"audio": True}, "b.mkv": {}, "c.avi": {}, "d.mkv": {"deep": True}}
    for name, given in options.items():
        make_video(folder / name, "vis", count=_FRAMES, **given)
    return {name: (folder / name).read_bytes() for name in options}


def try_video(name: str, data: bytes, folder: Path) -> str:
    """Reads all frames of one video."""
    (folder / name).write_bytes(data)
    try:
        video = open_video(folder / name)
        try:
            for frame in video.frames():
                assert frame.pixels.shape[:2] == (video.height, video.width) and frame.seconds >= 0
        finally:
            video.close()
    except InputError as error:
        return str(error)
    return ""


def heif(folder: Path) -> dict[str, bytes]:
    """Two small pictures."""
    found = {}
    for name, pixels in {"grey.heic": GREY, "rgb.heic": RGB}.items():
        file = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(file)
        found[name] = file.getvalue()
    return found


def try_heif(name: str, data: bytes, folder: Path) -> str:
    """Reads one picture."""
    (folder / name).write_bytes(data)
    try:
        assert read_image(folder / name).pixels.ndim in (2, 3)
    except InputError as error:
        return str(error)
    return ""


def stacks(folder: Path) -> dict[str, bytes]:
    """Stacks of three pages, of several writers."""
    frames, found = np.stack([GREY, GREY[::-1], GREY // 2]), {}
    kinds: dict[str, dict] = {"plain": {}, "zlib": {"compression": "zlib"}, "imagej": {"imagej": True}}
    kinds |= {"ome": {"ome": True}, "big": {"bigtiff": True}, "one": {"imagej": True, "truncate": True}}
    for name, given in kinds.items():
        tifffile.imwrite(folder / f"{name}.tif", frames, photometric="minisblack", **given)
        found[f"{name}.tif"] = (folder / f"{name}.tif").read_bytes()
    return found


def try_stack(name: str, data: bytes, folder: Path) -> str:
    """Reads all pages: there are three, or it is said that some are lost."""
    (folder / name).write_bytes(data)
    try:
        pages = [picture.pixels for _, picture in read_frames([folder / name])]
        assert all(page.ndim in (2, 3) for page in pages)
    except InputError as error:
        return str(error)
    return ""


KINDS = {
    "series": (series, try_series),
    "nifti": (nifti, try_nifti),
    "videos": (videos, try_video),
    "heif": (heif, try_heif),
    "stacks": (stacks, try_stack),
}
"""Seeds and what is tried, by kind."""
