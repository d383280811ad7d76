"""DICOM by pydicom: the slices of a series, or the frames of one file, in order by their place."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ttd_jax.errors import InputError, reason
from ttd_jax.io.dicom_results import PATIENT
from ttd_jax.io.extras import load
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.quiet import warnings_as
from ttd_jax.io.volumes import Volume, checked

_NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_INTERCEPT = ("RescaleIntercept", 0)
_USED = (
    "RescaleSlope",
    "RescaleIntercept",
    "PhotometricInterpretation",
    "WindowCenter",
    "WindowWidth",
    "SliceThickness",
    "BurnedInAnnotation",
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SAME, _EVEN = 1e-3, 0.05  # millimetres; share of the distance between slices
_RIGHT = 0.01  # of a direction's length, and of the area of two


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, or is a folder whose first file does."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
        return bool(files) and is_dicom(files[0])
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


class Slice(NamedTuple):
    """One grey slice, and what is said of it; millimetres.

    Attributes:
        name: Of its file, and which frame.
        series: Identifier.
        position: Of its first pixel.
        across: Directions of rows and columns, six numbers.
        spacing: From row to row, from column to column.
        thickness: Of the slice, or 1.
        size: Rows and columns.
        values: Reads (H, W), rescaled.
        window: The values that the file wants shown as black and white.
        header: Of the file.
    """

    name: str
    series: str
    position: np.ndarray
    across: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    size: tuple[int, int]
    values: Callable[[], np.ndarray]
    window: tuple[float, float] | None
    header: Any


def read_dicom(source: Path) -> Volume:
    """The volume of a folder that holds one series, or of one file with several frames.

    Raises:
        InputError: pydicom is missing, a file is damaged, or the slices are not one even series: of several series,
            sizes or orientations, with one missing or doubled.
    """
    pydicom = load("pydicom", "medical", "reading DICOM")
    files = [path for path in sorted(source.iterdir()) if path.is_file()] if source.is_dir() else [source]
    slices = [one for path in files if not path.name.startswith(".") for one in _read(pydicom, path)]
    if not slices:
        raise InputError(f"{source} holds no slices: expected a DICOM series")
    if not source.is_dir() and len(slices) == 1:
        raise InputError(f"{source} is one slice: name the folder of its series")
    try:
        return checked(_volume(source, slices), source)
    except InputError:
        raise
    except Exception as error:  # what damage does to places and directions
        raise InputError(f"{source} is damaged or no series: {reason(error)}") from None


def _volume(source: Path, slices: list[Slice]) -> Volume:
    """The volume of slices in any order."""
    _check_one(source, slices)
    first = slices[0]
    along_row, along_column = first.across[:3], first.across[3:]
    normal = np.cross(along_row, along_column)
    if not np.allclose([*map(np.linalg.norm, (along_row, along_column, normal))], 1, atol=_RIGHT):
        raise InputError(f"{source} does not say where its voxels are: its directions are damaged")
    slices.sort(key=lambda one: float(normal @ one.position))
    step = _check_even(source, [float(normal @ one.position) for one in slices], [one.name for one in slices])
    if step is None:
        step = first.thickness
    down, right = first.spacing
    grid = np.eye(4)
    begin, end = slices[0].position, slices[-1].position
    forward = (end - begin) / (len(slices) - 1) if len(slices) > 1 else step * normal
    grid[:3] = np.column_stack([right * along_row, down * along_column, forward, begin])
    return Volume(np.stack([one.values() for one in slices]), grid, first.window, slices[0].header)


def _read(pydicom: Any, path: Path) -> list[Slice]:
    try:
        with warnings_as("ignore"):  # what pydicom thinks of values that are not used
            if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
                raise InputError(f"{path} is deflated as a whole, so that its size is unknown: save it undeflated")
            found = pydicom.dcmread(path)
            return _slices(found, path)
    except InputError:
        raise
    except Exception as error:  # what damage does to a parser
        raise InputError(f"{path} is damaged, truncated or no DICOM: {reason(error)}") from None


def _slices(found: Any, path: Path) -> list[Slice]:
    """The slices of a file that was opened; what damage does to it is any error."""
    frames, size = int(found.get("NumberOfFrames", 1) or 1), (int(found.Rows), int(found.Columns))
    check_declared(path, Declared(size[0] * frames, size[1], 1, 2))
    if int(found.get("SamplesPerPixel", 1)) != 1:
        raise InputError(f"{path} holds colours: expected grey slices")
    groups = [_groups(found, index, path) for index in range(frames)] if frames > 1 else [[found]]
    told = [[_told(path, group, keyword) for keyword in _NEEDED] for group in groups]
    series = str(_told(path, [found], "SeriesInstanceUID"))
    _told(path, [found], "PixelData")
    for used in (*PATIENT, *_USED):  # values are parsed when they are asked for
        found.get(used)
    decode = cache(partial(_stored_values, found, path))
    slices = []
    for index, (group, (position, across, spacing)) in enumerate(zip(groups, told, strict=True)):
        slope, intercept = (float(_first(group, key) or other) for key, other in (("RescaleSlope", 1), _INTERCEPT))
        inverted = found.get("PhotometricInterpretation") == "MONOCHROME1"
        slices.append(
            Slice(
                f"{path.name} frame {index + 1}" if frames > 1 else path.name,
                series,
                np.array(position, float),
                np.array(across, float),
                (float(spacing[0]), float(spacing[1])),
                float(_first(group, "SliceThickness") or 1),
                size,
                partial(_values, decode, index, (-slope, -intercept) if inverted else (slope, intercept)),
                _window(_first(group, "WindowCenter"), _first(group, "WindowWidth"), inverted),
                found,
            )
        )
    return slices


def _groups(found: Any, index: int, path: Path) -> list[Any]:
    """Where a frame of several says what: its own groups, those that frames share, the file."""
    if "PerFrameFunctionalGroupsSequence" not in found:
        raise InputError(f"{path} holds several frames and does not say where each lies: expected an enhanced image")
    shared = found.get("SharedFunctionalGroupsSequence") or []
    outer = [found.PerFrameFunctionalGroupsSequence[index], *shared[:1]]
    inner = [item for one in outer for element in one if element.VR == "SQ" for item in element.value]
    return [*inner, found]


def _first(group: list[Any], keyword: str) -> Any:
    """What is said first; None if nothing is."""
    return next((one.get(keyword) for one in group if one.get(keyword) is not None), None)


def _told(path: Path, group: list[Any], keyword: str) -> Any:
    found = _first(group, keyword)
    if found is None:
        raise InputError(f"{path} has no {keyword}: expected a slice of a series with a place in the patient")
    return found


def _values(decode: Callable[[], np.ndarray], index: int, rescale: tuple[float, float]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused for the whole series
        slope, intercept = np.array(rescale, np.float32)
        return decode()[index] * slope + intercept


def _stored_values(found: Any, path: Path) -> np.ndarray:
    """Pixels of all frames as stored, without bits above those that are said to be, where old files keep drawings."""
    try:
        with warnings_as("error"):  # more bytes than pixels: one of both is not what was meant
            stored = found.pixel_array
        unused = int(found.BitsAllocated) - int(found.get("BitsStored", found.BitsAllocated))
        if unused and stored.dtype.kind in "iu" and int(found.HighBit) == int(found.BitsStored) - 1:
            stored = (stored << unused) >> unused
        return stored.astype(np.float32).reshape(-1, int(found.Rows), int(found.Columns))
    except Exception as error:  # what damage does to a decoder
        raise InputError(f"the pixels of {path} cannot be read: {reason(error)}") from None


def _check_one(source: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for found in slices[1:]:
        if found.series != first.series:
            raise InputError(f"{source} holds several series ({first.name}, {found.name}): one folder is one series")
        if found.size != first.size:
            size, other = (f"{one.size[1]} x {one.size[0]}" for one in (found, first))
            raise InputError(f"{found.name} is {size} and {first.name} {other}: slices of a series have one size")
        if not np.allclose(found.across, first.across, atol=1e-3):
            raise InputError(f"{found.name} and {first.name} have different orientations: take the localizer out")
        if not np.allclose(found.spacing, first.spacing, rtol=1e-3):
            raise InputError(
                f"{found.name} and {first.name} have different pixel spacings: slices of a series have one"
            )


def _check_even(source: Path, places: list[float], names: list[str]) -> float | None:
    """The distance between slices, None of a single one."""
    if len(places) < 2:
        return None
    steps = np.diff(places)
    if (index := int(np.argmin(steps))) is not None and steps[index] < _SAME:
        raise InputError(f"{names[index]} and {names[index + 1]} of {source} lie at one place: keep one")
    usual = float(np.median(steps))
    for index, step in enumerate(steps):
        if abs(step - usual) > _EVEN * usual:
            missing = f"{step:.2f} mm where others have {usual:.2f}"
            raise InputError(
                f"a slice of {source} is missing between {names[index]} and {names[index + 1]} ({missing})"
            )
    return usual


def _window(center: Any, width: Any, inverted: bool) -> tuple[float, float] | None:
    if center is None or width is None:
        return None
    center, width = (float(np.atleast_1d(number)[0]) for number in (center, width))
    if width <= 1:
        return None
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return (-high, -low) if inverted else (low, high)
