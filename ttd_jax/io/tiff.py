"""TIFF by tifffile: any depth, and EXIF directories, which tifffile leaves to its caller."""

from pathlib import Path

import numpy as np
import tifffile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ttd_jax.io.metadata import EXIF_DIRECTORY, GPS_DIRECTORY, Metadata

_ASCII_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)


def is_tiff(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a TIFF or BigTIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(path: Path) -> tuple[np.ndarray, list[str]]:
    """The pixels of the first page, channels last, and remarks on what was done to them."""
    remarks = []
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        pixels = page.asarray()
        if len(tiff.pages) > 1:
            remarks.append(f"{path.name} has {len(tiff.pages)} pages: the first was used")
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            pixels = np.moveaxis(page.colormap[:, pixels], 0, -1)
        elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "ub":
            pixels = ~pixels
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
    return pixels, remarks


def write_tiff(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    """A losslessly compressed grey or RGB file of the pixels' own depth, with ICC profile and EXIF."""
    exif = metadata.open_exif()
    directories = [tag for tag in (EXIF_DIRECTORY, GPS_DIRECTORY) if exif.get_ifd(tag)]
    texts = [(tag, "s", 0, str(exif[tag]), True) for tag in _ASCII_TAGS if tag in exif]
    tifffile.imwrite(
        path,
        pixels,
        byteorder="<",
        bigtiff=False,
        photometric="minisblack" if pixels.ndim == 2 else "rgb",
        compression="zlib",
        predictor=True,
        iccprofile=metadata.icc_for(pixels),
        metadata=None,
        software=False,
        extratags=texts + [(tag, "I", 1, 0, True) for tag in directories],
    )
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in directories:
            directory = ImageFileDirectory_v2()
            for key, value in exif.get_ifd(tag).items():
                directory[key] = value
            offset = tiff.filehandle.size + tiff.filehandle.size % 2
            tiff.filehandle.seek(offset)
            tiff.filehandle.write(directory.tobytes(offset))
            tiff.filehandle.flush()
            tiff.pages.first.tags[tag].overwrite(offset)
