"""Results as DICOM by pydicom: secondary captures with new identifiers."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ttd_jax.io.atomic import atomic_folder
from ttd_jax.io.extras import load
from ttd_jax.io.volumes import Volume

_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage
PATIENT = (
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
            for keyword in PATIENT if keep_patient else ():
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
