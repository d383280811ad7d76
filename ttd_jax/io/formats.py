"""What a file format is to this package: one record. A format of one's own is one such record, registered.

``ttd_jax.io.images`` reads and writes by the table here; PNG, TIFF, JPEG, BMP and WebP are records like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ttd_jax.io.limits import Declared as Declared
from ttd_jax.io.metadata import Metadata as Metadata
from ttd_jax.io.storage import Place


class ToldRange(NamedTuple):
    """The values that a file says are black and white, and by what it says so."""

    low: float
    high: float
    told_by: str


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        pixels: (H, W) or (H, W, C), upright; bool, uint8, uint16 or whatever a scientific file holds.
        metadata: EXIF and ICC profile.
        remarks: Sentences on anything that was done to the pixels.
        range: The values that are black and white, and where the file says so; None where it says nothing that is not
            so by the pixel type.
    """

    pixels: np.ndarray
    metadata: Metadata
    remarks: tuple[str, ...] = ()
    range: ToldRange | None = None


@dataclass(frozen=True)
class Format:
    r"""One file format.

    Attributes:
        name: What messages call it.
        suffixes: Endings of its files, lower case.
        owns: Whether a file with these first 32 bytes is of this format.
        declared: What a file says of its picture, without reading that; errors of any kind mean a damaged file.
        read: The picture, or an error of any kind.
        depth: The pixel type in which pixels of a type are stored.
        write: Writes (H, W) or (H, W, 3) pixels of that type; None for a format that is only read.
        qualities: Whether ``write`` also takes ``quality``, from 1 to 100.
        checks: Whether ``read`` itself looks at the size, by ``check_declared``, so that a file is opened once.

    Example:
        >>> register(Format(
        ...     name="NumPy",
        ...     suffixes=(".npy",),
        ...     owns=lambda start: start.startswith(b"\x93NUMPY"),
        ...     declared=lambda path: Declared(*np.load(path, mmap_mode="r").shape, channels=1, itemsize=4),
        ...     read=lambda path: Picture(np.load(path), Metadata()),
        ...     depth=lambda dtype: np.dtype("float32"),
        ...     write=lambda path, pixels, metadata: np.save(path, pixels),
        ... ))
        >>> ".npy" in suffixes()
        True
        >>> unregister("NumPy")
    """

    name: str
    suffixes: tuple[str, ...]
    owns: Callable[[bytes], bool]
    declared: Callable[[Path], Declared]
    read: Callable[[Path], Picture]
    depth: Callable[[np.dtype], np.dtype]
    write: Callable[..., None] | None = None
    qualities: bool = False
    checks: bool = False


_FORMATS: dict[str, Format] = {}


def register(form: Format) -> None:
    """Adds a format; one of the same name is replaced.

    Raises:
        ValueError: An ending belongs to another format.
    """
    for other in _FORMATS.values():
        if other.name != form.name and (shared := set(other.suffixes) & set(form.suffixes)):
            raise ValueError(f"{', '.join(sorted(shared))} belongs to {other.name}: choose another ending")
    _FORMATS[form.name] = form


def unregister(name: str) -> None:
    """Takes a format out of the table."""
    del _FORMATS[name]


def suffixes(*, writable: bool = False) -> tuple[str, ...]:
    """All endings, those of the package first; with ``writable`` only of formats that can be written."""
    return tuple(s for form in _FORMATS.values() if form.write or not writable for s in form.suffixes)


def by_content(start: bytes) -> Format | None:
    """The format of a file with these first bytes."""
    return next((form for form in _FORMATS.values() if form.owns(start)), None)


def by_suffix(path: Place) -> Format | None:
    """The format of a file of this name."""
    return next((form for form in _FORMATS.values() if path.suffix.lower() in form.suffixes), None)


def eight_bits(dtype: np.dtype) -> np.dtype:
    """The ``depth`` of formats that hold 8 bits."""
    return np.dtype("uint8")


_ELSEWHERE = {
    (".dcm", ".dicom", ".ima"): "a DICOM file: read its pixels (pydicom) and pass arrays, or save it as 16-bit TIFF",
    (".nii", ".nii.gz", ".mha", ".nrrd"): "a volume: read it (nibabel) and pass its slices as arrays, or save these as "
    "TIFF",
    (
        ".mp4",
        ".avi",
        ".mov",
        ".mkv",
        ".webm",
    ): "a video: ttd-jax fuse takes videos together with videos",
    (".pdf", ".eps", ".svg"): "a drawing: save it as PNG first",
    (".mat", ".npz", ".h5", ".hdf5"): "a file of arrays: load it and pass the arrays to ttd_jax.fuse",
}


def advice(path: Path) -> str | None:
    """What to do with a file of this name that is no image; None if nothing is known of it."""
    name = str(path).lower()
    if name.startswith(("http:/", "https:/", "ftp:/")):
        return "an address: download it first"
    return next((text for endings, text in _ELSEWHERE.items() if name.endswith(endings)), None)
