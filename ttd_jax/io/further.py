"""Further formats, read only: HEIF by pillow-heif, cameras' raw files by imageio and rawpy. Each needs its extra."""

from pathlib import Path
from typing import Any

import numpy as np

from ttd_jax.io.extras import load
from ttd_jax.io.formats import Format, Picture, eight_bits
from ttd_jax.io.limits import Declared
from ttd_jax.io.metadata import Metadata

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_RAW = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".rw2", ".orf")


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def _heif(path: Path) -> Any:
    heif = load("pillow_heif", "heif", "reading HEIF")
    return heif.open_heif(path, convert_hdr_to_8bit=False)


def _heif_declared(path: Path) -> Declared:
    found = _heif(path)
    return Declared(found.size[1], found.size[0], 4, 2 if "16" in found.mode else 1)


def _read_heif(path: Path) -> Picture:
    found = _heif(path)  # turned upright by libheif
    pixels = np.array(found)  # a copy: some releases of pillow-heif free what they show
    remarks = (f"{path.name} has {len(found)} pictures: the first was used",) if len(found) > 1 else ()
    return Picture(pixels, Metadata(None, found.info.get("icc_profile")), remarks)


def _raw_declared(path: Path) -> Declared:
    with load("rawpy", "raw", "developing a raw file").imread(str(path)) as raw:
        return Declared(raw.sizes.height, raw.sizes.width, 3, 2)


def _read_raw(path: Path) -> Picture:
    imageio = load("imageio.v3", "raw", "developing a raw file")
    options = {"use_camera_wb": True, "output_bps": 16, "no_auto_bright": True}
    return Picture(
        imageio.imread(path, plugin="rawpy", **options),
        Metadata(),
        (f"{path.name} was developed by LibRaw: camera's white balance, no brightening, sRGB",),
    )


HEIF = Format("HEIF", (".heic", ".heif"), _is_heif, _heif_declared, _read_heif, eight_bits)
RAW = Format("camera raw", _RAW, lambda start: False, _raw_declared, _read_raw, eight_bits)
"""A raw file begins as a TIFF does, or as nothing in common: it is known by its ending alone."""
