"""16-bit PNG: pixels by imagecodecs and metadata chunks by hand, since no library writes both."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np

from ttd_jax.io.metadata import Metadata

_SIGNATURE_AND_HEADER = 8 + 25  # the IHDR chunk: 13 bytes of data, 12 around them


def is_deep_png(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a PNG with 16 bits per channel."""
    return start.startswith(b"\x89PNG\r\n\x1a\n") and start[24:25] == b"\x10"


def read_deep_png(path: Path) -> np.ndarray:
    """The pixels, uint16."""
    return imagecodecs.png_decode(path.read_bytes())


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
