"""What a picture carries beside its pixels: orientation, EXIF and ICC profile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ttd_jax.io.quiet import warnings_as

_ORIENTATION, _ICC_PROFILE = 0x0112, 0x8773
_DIRECTORIES, _INTEROPERABILITY = (0x8769, 0x8825), 0xA005  # EXIF and GPS; in EXIF

# Tags of the base directory that describe the shot, not the layout of one file.
_TEXTS = {
    0x010E,  # ImageDescription
    0x010F,  # Make
    0x0110,  # Model
    0x0131,  # Software
    0x0132,  # DateTime
    0x013B,  # Artist
    0x8298,  # Copyright
}
_DESCRIPTIVE = {
    *_TEXTS,
    0x011A,  # XResolution
    0x011B,  # YResolution
    0x0128,  # ResolutionUnit
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


def read_metadata(open_exif: Callable[[], Image.Exif], *, icc: bytes | None = None) -> tuple[Metadata, int, list[str]]:
    """Metadata of a picture, its EXIF orientation (1 to 8; 1 is upright), and remarks on what was lost."""
    try:
        with warnings_as("ignore"):  # Pillow's words on damaged EXIF; what it can read is kept
            found = open_exif()
            orientation = found.get(_ORIENTATION, 1)
            icc = icc or found.get(_ICC_PROFILE) or None  # a TIFF has it among its tags
            exif = _describing(found)
    except Exception as error:  # damaged EXIF raises whatever its bytes happen to break
        return Metadata(None, icc), 1, [f"EXIF cannot be read ({type(error).__name__}), so it was left out"]
    return Metadata(exif, icc), orientation if orientation in range(1, 9) else 1, []


def _describing(found: Image.Exif) -> bytes | None:
    """The EXIF block of what describes the shot, upright; None if nothing does."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE & set(found):
        kept[tag] = as_written(tag, found[tag])
    for tag, content in directories(found).items():
        kept[tag] = content
    if not len(kept):
        return None
    kept[_ORIENTATION] = 1
    return kept.tobytes()


def directories(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """The directories inside EXIF that have content, by tag."""
    found = {tag: dict(exif.get_ifd(tag)) for tag in _DIRECTORIES}
    for content in found.values():
        if _INTEROPERABILITY in content:
            content[_INTEROPERABILITY] = dict(exif.get_ifd(_INTEROPERABILITY))
    return {tag: content for tag, content in found.items() if content}


def as_written(tag: int, value: Any) -> Any:
    """A text as the bytes it was read from: Pillow reads Latin-1, but would write "?" for what is not ASCII."""
    return value.encode("latin-1", "replace") if tag in _TEXTS and isinstance(value, str) else value


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as they are meant to be seen, by the eight EXIF orientations."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
