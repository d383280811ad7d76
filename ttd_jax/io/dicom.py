"""DICOM series by pydicom: slices in order by their place; results as secondary captures with new identifiers."""

import datetime
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ttd_jax.errors import InputError, reason
from ttd_jax.io.atomic import atomic_folder
from ttd_jax.io.extras import load
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.volumes import Volume, checked

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage
_PATIENT = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "InstitutionName",
    "FrameOfReferenceUID",
)
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


def read_dicom(folder: Path) -> Volume:
    """The volume of a folder that holds one series.

    Raises:
        InputError: pydicom is missing, a file is damaged, or the slices are not one even series: of several series,
            sizes or orientations, with one missing or doubled.
    """
    pydicom = load("pydicom", "medical", "reading DICOM")
    if not folder.is_dir():
        raise InputError(f"{folder} is one slice: name the folder of its series")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise InputError(f"{folder} holds no slices: expected a DICOM series")
    slices = [(_read(pydicom, path), path) for path in files]
    try:
        return checked(_volume(folder, slices), folder)
    except InputError:
        raise
    except Exception as error:  # what damage does to places and directions
        raise InputError(f"{folder} is damaged or no series: {reason(error)}") from None


def _volume(folder: Path, slices: list[tuple[Any, Path]]) -> Volume:
    """The volume of slices in any order."""
    _check_one(folder, slices)
    first = slices[0][0]
    across = [float(number) for number in first.ImageOrientationPatient]
    along_row, along_column = np.array(across[:3]), np.array(across[3:])
    normal = np.cross(along_row, along_column)
    if not np.allclose([*map(np.linalg.norm, (along_row, along_column, normal))], 1, atol=_RIGHT):
        raise InputError(f"{folder} does not say where its voxels are: its directions are damaged")
    slices.sort(key=lambda one: float(normal @ np.array(one[0].ImagePositionPatient, float)))
    places = [float(normal @ np.array(one.ImagePositionPatient, float)) for one, _ in slices]
    step = _check_even(folder, places, [path for _, path in slices])
    values = np.stack([_values(one, path) for one, path in slices])
    down, right = (float(number) for number in first.PixelSpacing)
    if step is None:
        step = float(first.get("SliceThickness") or 1)
    grid = np.eye(4)
    begin, end = (np.array(one.ImagePositionPatient, float) for one in (slices[0][0], slices[-1][0]))
    forward = (end - begin) / (len(slices) - 1) if len(slices) > 1 else step * normal
    grid[:3] = np.column_stack([right * along_row, down * along_column, forward, begin])
    return Volume(values, grid, _window(first), slices[0][0])


def _read(pydicom: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pydicom thinks of values that are not used
            if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
                raise InputError(f"{path} is deflated as a whole, so that its size is unknown: save it undeflated")
            found = pydicom.dcmread(path)
        check_declared(path, Declared(int(found.Rows), int(found.Columns), 1, 2))
        for needed in (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "PixelData",
            "SeriesInstanceUID",
        ):
            if needed not in found:
                raise InputError(f"{path} has no {needed}: expected a slice of a series with a place in the patient")
        for used in (*_PATIENT, *_USED):  # values are parsed when they are asked for
            found.get(used)
        single = int(found.get("NumberOfFrames", 1) or 1) == int(found.get("SamplesPerPixel", 1)) == 1
    except InputError:
        raise
    except Exception as error:  # what damage does to a parser
        raise InputError(f"{path} is damaged, truncated or no DICOM: {reason(error)}") from None
    if not single:
        raise InputError(f"{path} holds several frames or colours: expected one grey slice a file")
    return found


def _check_one(folder: Path, slices: Sequence[tuple[Any, Path]]) -> None:
    first, name = slices[0]
    for found, path in slices[1:]:
        if found.SeriesInstanceUID != first.SeriesInstanceUID:
            raise InputError(f"{folder} holds several series ({name.name}, {path.name}): one folder is one series")
        if (found.Rows, found.Columns) != (first.Rows, first.Columns):
            raise InputError(
                f"{path} is {found.Columns} x {found.Rows} and {name.name} {first.Columns} x {first.Rows}: slices of a "
                "series have one size"
            )
        if not np.allclose(found.ImageOrientationPatient, first.ImageOrientationPatient, atol=1e-3):
            raise InputError(f"{path} and {name.name} have different orientations: take the localizer out")
        if not np.allclose(found.PixelSpacing, first.PixelSpacing, rtol=1e-3):
            raise InputError(f"{path} and {name.name} have different pixel spacings: slices of a series have one")


def _check_even(folder: Path, places: list[float], paths: list[Path]) -> float | None:
    """The distance between slices, None of a single one."""
    if len(places) < 2:
        return None
    steps = np.diff(places)
    if (index := int(np.argmin(steps))) is not None and steps[index] < _SAME:
        raise InputError(f"{paths[index].name} and {paths[index + 1].name} of {folder} lie at one place: keep one")
    usual = float(np.median(steps))
    for index, step in enumerate(steps):
        if abs(step - usual) > _EVEN * usual:
            missing = f"{step:.2f} mm where others have {usual:.2f}"
            raise InputError(
                f"a slice of {folder} is missing between {paths[index].name} and {paths[index + 1].name} ({missing})"
            )
    return usual


def _values(found: Any, path: Path) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # more bytes than pixels: one of both is not what was meant
            stored = found.pixel_array.astype(np.float32)
    except Exception as error:  # what damage does to a decoder
        raise InputError(f"the pixels of {path} cannot be read: {reason(error)}") from None
    slope, intercept = float(found.get("RescaleSlope", 1) or 1), float(found.get("RescaleIntercept", 0) or 0)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused for the whole series
        values = stored * slope + intercept
    return -values if found.get("PhotometricInterpretation") == "MONOCHROME1" else values


def _window(found: Any) -> tuple[float, float] | None:
    center, width = found.get("WindowCenter"), found.get("WindowWidth")
    if center is None or width is None:
        return None
    center, width = (float(np.atleast_1d(number)[0]) for number in (center, width))
    if width <= 1:
        return None
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return (-high, -low) if found.get("PhotometricInterpretation") == "MONOCHROME1" else (low, high)


def write_dicom(
    folder: Path,
    voxels: np.ndarray,
    like: Volume,
    window: tuple[float, float],
    *,
    keep_patient: bool,
    overwrite: bool = False,
) -> None:
    """Writes a series of secondary captures, one file a slice.

    Args:
        folder: What to create.
        voxels: (S, H, W) float32 in [0, 1], stored in 16 bits with the rescale of the window, or (S, H, W, 3) uint8.
        like: Where they lie, and whose they are.
        window: The values that 0 and 1 mean.
        keep_patient: Whether name, birth date, study and the like are written, too.
        overwrite: Replace an existing folder.

    Raises:
        InputError: The folder exists, or cannot be written there.
    """
    pydicom = load("pydicom", "medical", "writing DICOM")
    uid = pydicom.uid.generate_uid
    study, series, frame = uid(), uid(), uid()
    right, down = like.grid[:3, 0], like.grid[:3, 1]
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        for index, plane in enumerate(voxels):
            found = pydicom.Dataset()
            found.SOPClassUID, found.SOPInstanceUID = _CAPTURE, uid()
            found.StudyInstanceUID, found.SeriesInstanceUID, found.FrameOfReferenceUID = study, series, frame
            found.PatientName, found.PatientID = "", ""
            for keyword in _PATIENT if keep_patient else ():
                if like.header is not None and keyword in like.header:
                    setattr(found, keyword, like.header[keyword].value)
            if keep_patient:
                found.PatientIdentityRemoved = "NO"
            else:  # "YES" would speak of the pixels, too, where text may be burned in
                found.DeidentificationMethod = "attributes written anew; pixels not searched for text"
            _describe(found, index, like, right, down)
            _store(found, plane, window)
            found.file_meta = pydicom.dataset.FileMetaDataset()
            found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            pydicom.dcmwrite(temporary / f"{index + 1:04d}.dcm", found, enforce_file_format=True)


def _describe(found: Any, index: int, like: Volume, right: np.ndarray, down: np.ndarray) -> None:
    now = datetime.datetime.now()
    across, row, column = like.spacing
    found.Modality, found.ConversionType, found.ImageType = "OT", "WSD", ["DERIVED", "SECONDARY"]
    found.SeriesDescription = found.DerivationDescription = "fused by ttd-jax"
    found.SeriesNumber, found.InstanceNumber = 900, index + 1
    found.ContentDate, found.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    place = like.grid @ [0, 0, index, 1]
    found.ImagePositionPatient = [f"{number:.8g}" for number in place[:3]]
    directions = [*(right / np.linalg.norm(right)), *(down / np.linalg.norm(down))]
    found.ImageOrientationPatient = [f"{number:.8g}" for number in directions]
    found.PixelSpacing = [f"{row:.8g}", f"{column:.8g}"]
    found.SliceThickness = found.SpacingBetweenSlices = f"{across:.8g}"
    if like.header is not None and "BurnedInAnnotation" in like.header:
        found.BurnedInAnnotation = like.header.BurnedInAnnotation


def _store(found: Any, plane: np.ndarray, window: tuple[float, float]) -> None:
    found.Rows, found.Columns = plane.shape[:2]
    bits = 8 if plane.ndim == 3 else 16
    found.SamplesPerPixel, found.PixelRepresentation = (3, 0) if plane.ndim == 3 else (1, 0)
    found.BitsAllocated = found.BitsStored = bits
    found.HighBit = bits - 1
    if plane.ndim == 3:
        found.PhotometricInterpretation, found.PlanarConfiguration = "RGB", 0
        found.PixelData = np.ascontiguousarray(plane, np.uint8).tobytes() + bytes(plane.size % 2)
        return
    low, high = window
    found.PhotometricInterpretation = "MONOCHROME2"
    found.RescaleIntercept, found.RescaleSlope = f"{low:.8g}", f"{(high - low) / 65535:.10g}"
    found.WindowCenter, found.WindowWidth = f"{(low + high) / 2:.8g}", f"{high - low:.8g}"
    found.PixelData = np.rint(np.clip(plane, 0, 1) * 65535).astype("<u2").tobytes()
