"""What a picture carries beside its pixels: orientation, EXIF and ICC profile."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825

# Tags of the base directory that describe the shot, not the layout of one file.
_DESCRIPTIVE = {
    0x010E,  # ImageDescription
    0x010F,  # Make
    0x0110,  # Model
    0x011A,  # XResolution
    0x011B,  # YResolution
    0x0128,  # ResolutionUnit
    0x0131,  # Software
    0x0132,  # DateTime
    0x013B,  # Artist
    0x8298,  # Copyright
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
}


@dataclass(frozen=True)
class Metadata:
    """What goes from the reference source into the fused file.

    Attributes:
        exif: EXIF block with orientation 1, since it has been applied; None if there is none.
        icc: ICC profile of the pixels' colour space; None if there is none.
    """

    exif: bytes | None = None
    icc: bytes | None = None

    def icc_for(self, pixels: np.ndarray) -> bytes | None:
        """The profile, unless it is one for grey and these pixels are RGB or the other way round."""
        space = b"GRAY" if pixels.ndim == 2 else b"RGB "
        return self.icc if self.icc and self.icc[16:20] == space else None

    def open_exif(self) -> Image.Exif:
        """EXIF by tag."""
        exif = Image.Exif()
        if self.exif:
            exif.load(self.exif)
        return exif


def read_metadata(image: Image.Image) -> tuple[Metadata, int]:
    """Metadata of an open picture, and its EXIF orientation (1 to 8; 1 is upright)."""
    found = image.getexif()
    orientation = found.get(_ORIENTATION, 1)
    kept = Image.Exif()
    kept.load(found.tobytes())
    for tag in set(kept) - _DESCRIPTIVE:
        del kept[tag]
    exif = None
    if len(kept):
        kept[_ORIENTATION] = 1
        exif = kept.tobytes()
    icc = image.info.get("icc_profile") or None
    return Metadata(exif, icc), orientation if orientation in range(1, 9) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as they are meant to be seen, by the eight EXIF orientations."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
