"""NIfTI volumes by nibabel, in and out with their geometry."""

import gzip
from pathlib import Path

import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file
from ttd_jax.io.extras import load
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.volumes import Volume

SUFFIXES = (".nii", ".nii.gz")
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
        image = nibabel.load(path)
        shape = tuple(size for index, size in enumerate(image.shape) if index < 3 or size > 1)
        if len(shape) != 3 or image.get_data_dtype().fields:
            raise InputError(f"{path} has the shape {image.shape}: expected one grey volume of three dimensions")
        codes = int(image.header["sform_code"]), int(image.header["qform_code"])
        if image.affine is None or codes == (0, 0):
            raise InputError(f"{path} does not say where its voxels are (no affine): set its sform or qform first")
        check_declared(path, Declared(shape[0] * shape[2], shape[1], 1, 8))
        values = np.asarray(image.dataobj, np.float32).reshape(shape)
    except InputError:
        raise
    except Exception as error:  # nibabel has many kinds
        raise InputError(f"{path} is damaged, truncated or no NIfTI: {str(error).splitlines()[0][:200]}") from None
    if not np.isfinite(values).all():
        raise InputError(f"{path} has voxels that are not finite: fill them first")
    return Volume(np.ascontiguousarray(values.T), _TO_LPS @ image.affine)


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
