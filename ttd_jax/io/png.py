"""PNG: 8 bits by Pillow; 16 bits by imagecodecs with metadata chunks by hand, since no library writes both."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np

from ttd_jax.io import pillow
from ttd_jax.io.formats import Format, Picture
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.metadata import Metadata, read_metadata, upright

_SIGNATURE_AND_HEADER = 8 + 25  # the IHDR chunk: 13 bytes of data, 12 around them

_DEPTH = 24  # where the header says how many bits a sample has


def _declared(path: Path) -> Declared:
    found = pillow.declared(path, formats=["PNG"])
    return found._replace(itemsize=2) if _is_deep(path) else found


def _is_deep(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_DEPTH + 1)[_DEPTH:] == b"\x10"


def _read(path: Path) -> Picture:
    if not _is_deep(path):
        return pillow.read(path, formats=["PNG"])
    with pillow.open_image(path, ["PNG"]) as image:
        check_declared(path, pillow.declared_by(image)._replace(itemsize=2))
        metadata, orientation, lost = read_metadata(image.getexif, icc=image.info.get("icc_profile"))
    return Picture(upright(imagecodecs.png_decode(path.read_bytes()), orientation), metadata, tuple(lost))


def _write(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    if pixels.dtype == np.uint16:
        write_deep_png(path, pixels, metadata)
    else:
        pillow.write(path, pixels, metadata, format="PNG")


def write_deep_png(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    """A grey or RGB file from uint16 pixels, with ICC profile (iCCP) and EXIF (eXIf)."""
    data = imagecodecs.png_encode(pixels)
    chunks = b""
    if icc := metadata.icc_for(pixels):
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    path.write_bytes(data[:_SIGNATURE_AND_HEADER] + chunks + data[_SIGNATURE_AND_HEADER:])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = Format(
    name="PNG",
    suffixes=(".png",),
    owns=lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"),
    declared=_declared,
    read=_read,
    depth=lambda dtype: np.dtype("uint16") if dtype.kind == "f" else dtype,
    write=_write,
    checks=True,
)
