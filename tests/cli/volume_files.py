"""Volumes that tests write: series by pydicom, files by nibabel."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE, STEP, SPACING = (6, 20, 24), 3.0, (1.5, 1.25)


def ball(shape=SHAPE) -> np.ndarray:
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    return 1000 * np.exp(-(((z - 3) / 2) ** 2 + ((y - 9) / 5) ** 2 + ((x - 11) / 6) ** 2))


def write_series(folder, values, *, slope=2.0, intercept=-100.0, name="Doe^Jane", across=(1, 0, 0, 0, 1, 0), **odd):
    """A series in shuffled files, its slices 3 mm apart."""
    Path(folder).mkdir()
    series, study = generate_uid(), generate_uid()
    normal = np.cross(across[:3], across[3:])
    for index in np.random.default_rng(0).permutation(len(values)):
        found = pydicom.Dataset()
        found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, generate_uid()
        found.SeriesInstanceUID, found.StudyInstanceUID = series, study
        found.PatientName, found.PatientID, found.PatientBirthDate = name, "4711", "19700101"
        found.ImagePositionPatient = [*(np.array([-10.0, -20, 5]) + STEP * index * normal)]
        found.ImageOrientationPatient, found.PixelSpacing = list(across), list(SPACING)
        found.RescaleSlope, found.RescaleIntercept = slope, intercept
        found.WindowCenter, found.WindowWidth = [450.5, 50], [1001, 100]
        found.Rows, found.Columns = values.shape[1:]
        found.SamplesPerPixel, found.PhotometricInterpretation, found.PixelRepresentation = 1, "MONOCHROME2", 0
        found.BitsAllocated, found.BitsStored, found.HighBit = 16, 12, 11
        found.PixelData = np.rint((values[index] - intercept) / slope).astype("<u2").tobytes()
        for keyword, value in odd.get(f"slice_{index}", {}).items():
            setattr(found, keyword, value)
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = f"{folder}/{(7 * index) % 100:03d}.dcm"
        pydicom.dcmwrite(file, found, enforce_file_format=True)


def write_nii(path, values, affine=None, code=1):
    image = nibabel.Nifti1Image(values.T.astype(np.float32), np.eye(4) if affine is None else affine)
    image.set_sform(image.affine, code=code)
    image.set_qform(image.affine if code else None, code=code)
    nibabel.save(image, path)


def write_enhanced(path, values, *, slope=2.0, intercept=-100.0, order=None, doubled=False):
    """The slices of ``write_series`` as frames of one file, in any order, with a drawing in an unused bit."""
    found = pydicom.Dataset()
    found.SOPClassUID, found.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4.1", generate_uid()  # Enhanced MR
    found.SeriesInstanceUID, found.StudyInstanceUID = generate_uid(), generate_uid()
    found.PatientName, found.PatientID = "Doe^Jane", "4711"
    order = list(range(len(values))) if order is None else order
    found.Rows, found.Columns = values.shape[1:]
    found.NumberOfFrames = len(order)
    found.SamplesPerPixel, found.PhotometricInterpretation, found.PixelRepresentation = 1, "MONOCHROME2", 0
    found.BitsAllocated, found.BitsStored, found.HighBit = 16, 12, 11
    shared, measures, across = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), STEP
    across.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [across]
    found.SharedFunctionalGroupsSequence, found.PerFrameFunctionalGroupsSequence = [shared], []
    stored = []
    for index in order:
        own, where, rescale, window = (pydicom.Dataset() for _ in range(4))
        where.ImagePositionPatient = [-10.0, -20, 5 + STEP * (0 if doubled else index)]
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = slope, intercept, "US"
        window.WindowCenter, window.WindowWidth = 450.5, 1001
        own.PlanePositionSequence, own.PixelValueTransformationSequence = [where], [rescale]
        own.FrameVOILUTSequence = [window]
        found.PerFrameFunctionalGroupsSequence.append(own)
        stored.append(np.rint((values[index] - intercept) / slope).astype("<u2"))
    stored = np.stack(stored)
    stored[:, 2, 3] |= 1 << 13
    found.PixelData = stored.tobytes()
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(path, found, enforce_file_format=True)
