"""PNG: 8 bits by Pillow; 16 bits by imagecodecs with metadata chunks by hand, since no library writes both."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np

from ttd_jax.io import pillow
from ttd_jax.io.formats import Format, Picture, ToldRange
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.metadata import Metadata, read_metadata, upright

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURE_AND_HEADER = len(_SIGNATURE) + 25  # the IHDR chunk: 13 bytes of data, 12 around them

_BITS = 16  # of deep samples
_LARGE = 2**21  # pixels from which on a file may be a tenth larger, to be written four times as fast
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
    content = path.read_bytes()
    pixels = imagecodecs.png_decode(content)
    return Picture(upright(pixels, orientation), metadata, tuple(lost), _told_range(content, pixels))


def _told_range(content: bytes, pixels: np.ndarray) -> ToldRange | None:
    """The range that sBIT tells of samples that were not scaled to 16 bits, as the standard wants them to be.

    Samples of 12 bits that were scaled repeat their first bits in their last ones, or end in zeros.
    """
    bits = _significant_bits(content)
    full = 2**bits - 1
    if not 8 < bits < _BITS or not 0 < pixels.max() <= full:
        return None
    samples = pixels >> (_BITS - bits)
    shifted = samples << (_BITS - bits)
    scaled = (shifted, shifted | (samples >> (2 * bits - _BITS)), np.rint(samples * (65535 / full)))
    return None if any(np.array_equal(pixels, one) for one in scaled) else ToldRange(0, full, f"sBIT, {bits} bits,")


def _significant_bits(content: bytes) -> int:
    """What sBIT says, of the sample with most; 0 if it says nothing."""
    at = len(_SIGNATURE)
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"sBIT" and 0 < size <= 4:
            return max(content[at + 8 : at + 8 + size], default=0)
        if kind in (b"IDAT", b"PLTE"):
            return 0
        at += 12 + size
    return 0


def _is_large(pixels: np.ndarray) -> bool:
    return pixels.shape[0] * pixels.shape[1] >= _LARGE


def _write(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    if pixels.dtype == np.uint16:
        write_deep_png(path, pixels, metadata)
    else:
        pillow.write(path, pixels, metadata, format="PNG", **({"compress_level": 1} if _is_large(pixels) else {}))


def write_deep_png(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    """A grey or RGB file from uint16 pixels, with ICC profile (iCCP) and EXIF (eXIf)."""
    data = imagecodecs.png_encode(pixels, level=3 if _is_large(pixels) else None)
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
    owns=lambda start: start.startswith(_SIGNATURE),
    declared=_declared,
    read=_read,
    depth=lambda dtype: np.dtype("uint16") if dtype.kind == "f" else dtype,
    write=_write,
    checks=True,
)
