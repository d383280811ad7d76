"""NIfTI volumes by nibabel, in and out with their geometry."""

import gzip
import struct
from pathlib import Path

import numpy as np

from ttd_jax.errors import InputError, reason
from ttd_jax.io.atomic import atomic_file
from ttd_jax.io.extras import load
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.volumes import Volume, checked

SUFFIXES = (".nii", ".nii.gz")
_FARTHEST = 2**24  # bytes
_TO_LPS = np.diag([-1.0, -1, 1, 1])
_COLOR = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def is_nifti(path: Path) -> bool:
    """Whether a file's name ends as those of NIfTI do."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """A volume from a file.

    Raises:
        InputError: nibabel is missing, or the file is missing, damaged, not of three dimensions, has colours, or does
            not say where its voxels are.
    """
    nibabel = load("nibabel", "medical", "reading NIfTI")
    if not path.is_file():
        raise InputError(f"cannot read {path}: expected a NIfTI file")
    try:
        _check_offset(path)
        image = nibabel.load(path)
        shape = tuple(size for index, size in enumerate(image.shape) if index < 3 or size > 1)
        if len(shape) != 3 or image.get_data_dtype().kind not in "iuf":
            raise InputError(f"{path} has the shape {image.shape}: expected one grey volume of three dimensions")
        if image.affine is None or (image.header["sform_code"], image.header["qform_code"]) == (0, 0):
            raise InputError(f"{path} does not say where its voxels are (no affine): set its sform or qform first")
        check_declared(path, Declared(shape[0] * shape[2], shape[1], 1, 8))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            values = np.asarray(image.dataobj, np.float32).reshape(shape)
    except InputError:
        raise
    except Exception as error:  # nibabel has many kinds
        raise InputError(f"{path} is damaged, truncated or no NIfTI: {reason(error)}") from None
    return checked(Volume(np.ascontiguousarray(values.T), _TO_LPS @ image.affine), path)


def _check_offset(path: Path) -> None:
    """Refuses a file whose voxels begin far behind its header: what lies between would be unpacked and held.

    Raises:
        InputError: They begin beyond a few megabytes.
    """
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        start = file.read(540)
    order = "<" if start[:2] in (b"\x5c\x01", b"\x1c\x02") else ">"
    second = start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    (offset,) = struct.unpack_from(order + ("q" if second else "f"), start, 168 if second else 108)
    if not 0 <= offset <= _FARTHEST:
        raise InputError(f"{path} is damaged: its voxels begin at byte {offset:.0f}")


def write_nifti(path: Path, voxels: np.ndarray, grid: np.ndarray, *, overwrite: bool = False) -> None:
    """Writes a volume.

    Args:
        path: File to create.
        voxels: (S, H, W) floats, or (S, H, W, 3) uint8.
        grid: The place of a voxel (column, row, slice, 1).
        overwrite: Replace an existing file.

    Raises:
        InputError: The file exists, or cannot be written there.
    """
    nibabel = load("nibabel", "medical", "writing NIfTI")
    colors = np.ascontiguousarray(voxels, np.uint8).view(_COLOR)[..., 0] if voxels.ndim == 4 else None
    stored = np.asarray(voxels, np.float32).T if colors is None else colors.T
    image = nibabel.Nifti1Image(stored, _TO_LPS @ grid, dtype=stored.dtype)
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(gzip.compress(content, 6, mtime=0) if path.suffix.lower() == ".gz" else content)
