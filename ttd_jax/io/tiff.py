"""TIFF by tifffile: any depth, and EXIF, which tifffile leaves to its caller."""

import logging
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG

from ttd_jax.errors import InputError
from ttd_jax.io.formats import Format, Picture, ToldRange
from ttd_jax.io.limits import Declared
from ttd_jax.io.metadata import Metadata, as_written, directories, read_metadata, upright

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # a damaged file is one line of ours, not its log too

_PLAIN = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB)
_OTHER = {PHOTOMETRIC.SEPARATED: ("CMYK", 4), PHOTOMETRIC.YCBCR: ("YCbCr", 3), PHOTOMETRIC.CIELAB: ("LAB", 3)}
_SEGMENTS = {False: (273, 279), True: (324, 325)}  # tags of offsets and byte counts, of strips and of tiles
_LARGE_TILE = 2**24  # pixels
_RANGES = ("MinSampleValue", "MaxSampleValue", "SMinSampleValue", "SMaxSampleValue")
_FULL_SCALES = [2**bits - 1 for bits in range(9, 16)]
_TAIL, _END_OF_JPEG = 64, b"\xff\xd9"
_ENTRY = 12  # bytes of a tag in a classic TIFF directory


def _is_tiff(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a TIFF or BigTIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _declared(path: Path) -> Declared:
    """What the first page says of its picture, or of one of its tiles if that is larger."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel * page.imagedepth
        if page.is_tiled and page.tilelength * page.tilewidth > max(height * width, _LARGE_TILE):
            height, width, channels = page.tilelength, page.tilewidth, channels * page.tiledepth
        return Declared(height, width, channels, max(int(np.max(page.bitspersample)) // 8, 1))


def _read(path: Path) -> Picture:
    with tifffile.TiffFile(path) as tiff:
        pixels, remarks = _read_pixels(tiff, path)
        metadata, orientation, lost = _read_metadata(tiff, path)
        told, doubts = _told_range(tiff.pages.first, path, pixels)
    return Picture(upright(pixels, orientation), metadata, (*remarks, *doubts, *lost), told)


def _told_range(page: tifffile.TiffPage, path: Path, pixels: np.ndarray) -> tuple[ToldRange | None, list[str]]:
    """The range that tags tell, if the pixels keep to it, and a remark if they do not.

    ``SMinSampleValue`` and ``SMaxSampleValue`` are there to tell it. ``MaxSampleValue`` may also be the largest value
    that happens to be used, so it counts only where it is the full scale of some number of bits.
    """
    if pixels.dtype == np.uint8 or pixels.dtype.kind not in "uif":
        return None, []
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        return None, []
    said = {name: page.tags[name].value for name in _RANGES if name in page.tags}
    numbers = {name: np.ravel(np.asarray(value, np.float64)) for name, value in said.items()}
    low = float(np.min(numbers.get("SMinSampleValue", [0.0])))
    if "SMaxSampleValue" in numbers:
        high, told_by = float(np.max(numbers["SMaxSampleValue"])), "SMaxSampleValue"
    elif "MaxSampleValue" in numbers and not np.any(numbers.get("MinSampleValue", [0.0])):
        high, told_by = float(np.max(numbers["MaxSampleValue"])), "MaxSampleValue"
        if high not in _FULL_SCALES:
            return None, []
    else:
        return None, []
    full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
    if not (np.isfinite([low, high]).all() and low < high) or (low == 0 and high == full):
        return None, []
    if pixels.min() < low or pixels.max() > high:
        return None, [f"{path.name} has values outside {low:g} to {high:g}, which {told_by} says: that is not used"]
    return ToldRange(low, high, told_by), []


def _read_pixels(tiff: tifffile.TiffFile, path: Path) -> tuple[np.ndarray, list[str]]:
    """Those of the first page, and remarks."""
    pages, _ = _count_pages(tiff)
    more = [f"{path.name} has {pages} pages: the first was used"] if pages > 1 else []
    pixels, remarks = page_pixels(tiff.pages.first, tiff.filehandle, path)
    return pixels, more + remarks


def page_pixels(page: tifffile.TiffPage, file: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    """The pixels of a page, channels last, grey or RGB, and remarks on what was done to them.

    Args:
        page: A page of a TIFF file.
        file: The file, open.
        path: Its name, for messages.

    Raises:
        InputError: Strips or tiles are not those of its picture, it is a volume, or its colour space is not known.
    """
    remarks: list[str] = []
    if page.imagedepth > 1:
        raise InputError(f"{path} holds {page.imagedepth} planes in one page: save each as a page of its own")
    if page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE) and "BitsPerSample" not in page.tags:
        raise InputError(f"{path} is damaged, truncated or no image: it does not say how deep its pixels are")
    _check_segments(page, file, path)
    pixels = page.asarray()
    if pixels.ndim < 2 or not pixels.size:  # no width, or numbers of no known kind
        raise InputError(f"{path} is damaged: a picture in it has no pixels")
    if page.planarconfig == PLANARCONFIG.SEPARATE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    depth, bits = page.bitspersample, 8 * pixels.dtype.itemsize
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.moveaxis(page.colormap[:, pixels], 0, -1), remarks
    if page.photometric not in _PLAIN:
        return _as_rgb(pixels, page, path, remarks), remarks
    if pixels.dtype.kind == "u" and depth < bits:
        remarks.append(f"{path.name} has {depth} bits a sample: stretched to {bits}")
        pixels = np.rint(pixels * ((2**bits - 1) / (2**depth - 1))).astype(pixels.dtype)
    if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "ub":
        pixels = ~pixels
    return pixels, remarks


def check_pages(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuses a file whose list of pages has no end: tifffile gives the pages it finds, or goes round for ever.

    Raises:
        InputError: It breaks off, or begins anew.
    """
    found, ends = _count_pages(tiff)
    if not ends:
        raise InputError(f"{path} is damaged or truncated: its list of pages has no end; {found} were found")


def _count_pages(tiff: tifffile.TiffFile) -> tuple[int, bool]:
    """How many pages there are, none of them twice, and whether their list ends."""
    form, file, offset = tiff.tiff, tiff.filehandle, tiff.pages.first.offset
    seen: set[int] = set()
    while 0 < offset < file.size and offset not in seen:
        seen.add(offset)
        file.seek(offset)
        (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize).ljust(form.tagnosize, b"\xff"))
        file.seek(offset + form.tagnosize + tags * form.tagsize)
        rest = file.read(form.offsetsize)
        if len(rest) < form.offsetsize:
            break
        (offset,) = struct.unpack(form.offsetformat, rest)
    return len(seen), offset == 0


def _check_segments(page: tifffile.TiffPage, file: Any, path: Path) -> None:
    """Refuses a page whose strips or tiles are not those of its picture: tifffile reads missing ones as 0.

    Raises:
        InputError: There are more or fewer of them than its size asks for, one lies outside the file, one that is
            not compressed is shorter than its rows, or a JPEG has no end.
    """
    offsets, counts = np.array(page.dataoffsets, object), np.array(page.databytecounts, object)
    expected, what = math.prod(page.chunked), "tiles" if page.is_tiled else "strips"
    named = [page.tags[tag].count for tag in _SEGMENTS[page.is_tiled] if tag in page.tags]
    wrong = [count for count in (*named, len(offsets), len(counts)) if count != expected]  # tifffile cuts what is more
    if wrong:
        raise InputError(
            f"{path} is damaged: its {page.imagewidth} x {page.imagelength} pixels are {expected} {what}, and it has "
            f"{wrong[0]}"
        )
    if np.any(offsets < 1) or np.any(counts < 1) or np.any(offsets + counts > file.size):
        raise InputError(
            f"{path} is damaged, truncated or no image: {what} are missing, or lie beyond the end of the file"
        )
    if page.compression == COMPRESSION.NONE and not page.is_tiled and isinstance(page.bitspersample, int):
        samples = page.samplesperpixel if page.planarconfig == PLANARCONFIG.CONTIG else 1
        row = -(-page.imagewidth * samples * page.bitspersample // 8)
        rows = np.resize(_rows(page.imagelength, page.rowsperstrip), expected)
        if np.any(counts < rows * row) or (expected == 1 and counts[0] >= (rows[0] + 1) * row):
            raise InputError(f"{path} is damaged: its strips do not have the bytes of {page.imagelength} rows")
    if page.compression == COMPRESSION.JPEG:
        for offset, count in zip(offsets, counts, strict=True):
            file.seek(offset + max(count - _TAIL, 0))
            if not file.read(min(count, _TAIL)).rstrip(b"\0").endswith(_END_OF_JPEG):
                raise InputError(f"{path} is damaged, truncated or no image: a JPEG in it has no end")


def _rows(height: int, per_strip: int) -> np.ndarray:
    """How many rows each strip has."""
    return np.minimum(per_strip, height - np.arange(0, height, per_strip))


def _as_rgb(pixels: np.ndarray, page: tifffile.TiffPage, path: Path, remarks: list[str]) -> np.ndarray:
    """Pixels of another colour space in RGB, where Pillow knows how."""
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression in (COMPRESSION.JPEG, COMPRESSION.OJPEG):
        return pixels  # its decoder gives RGB
    mode, channels = _OTHER.get(page.photometric, ("", 0))
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (channels,):
        raise InputError(
            f"{path} has the colour space {PHOTOMETRIC(page.photometric).name} with {page.bitspersample} bits a "
            "sample: convert it to grey or RGB first"
        )
    remarks.append(f"{path.name} is {mode}: converted to RGB")
    size = pixels.shape[1], pixels.shape[0]
    return np.asarray(Image.frombytes(mode, size, pixels.tobytes()).convert("RGB"))


def _read_metadata(tiff: tifffile.TiffFile, path: Path) -> tuple[Metadata, int, list[str]]:
    """As ``read_metadata``; a TIFF's first directory is itself EXIF, also where Pillow cannot read the pixels."""
    with path.open("rb") as file:

        def open_exif() -> Image.Exif:
            exif = Image.Exif()
            exif.endian, exif.bigtiff = tiff.byteorder, tiff.is_bigtiff
            exif.load_from_fp(file, tiff.pages.first.offset)
            return exif

        return read_metadata(open_exif)


def _write(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    """A losslessly compressed grey or RGB file of the pixels' own depth, with ICC profile and EXIF."""
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
    )
    if metadata.exif:
        _add_exif(path, metadata.open_exif())


def _add_exif(path: Path, exif: Image.Exif) -> None:
    """Adds EXIF to a classic little-endian file: its one directory is written again, longer, at the end."""
    tags = ImageFileDirectory_v2()
    for tag, value in (dict(exif) | directories(exif)).items():
        tags[tag] = as_written(tag, value)
    with path.open("r+b") as file:
        (start,) = struct.unpack("<4xI", file.read(8))
        file.seek(start)
        old = _entries(file.read())
        end = file.seek(0, 2)
        file.write(bytes(end % 2))
        block = tags.tobytes(end + end % 2)
        merged = old | _entries(block)
        file.write(block + bytes(len(block) % 2))
        start = file.tell()
        file.write(struct.pack("<H", len(merged)) + b"".join(merged[tag] for tag in sorted(merged)) + bytes(4))
        file.seek(4)
        file.write(struct.pack("<I", start))


def _entries(directory: bytes) -> dict[int, bytes]:
    """Entries of a TIFF directory by tag, as they are stored."""
    (count,) = struct.unpack_from("<H", directory)
    entries = [directory[2 + i * _ENTRY : 2 + (i + 1) * _ENTRY] for i in range(count)]
    return {struct.unpack_from("<H", entry)[0]: entry for entry in entries}


def _depth(dtype: np.dtype) -> np.dtype:
    return np.dtype("float32") if dtype in (np.dtype("float64"), np.dtype("float16")) else dtype


TIFF = Format("TIFF", (".tif", ".tiff"), _is_tiff, _declared, _read, _depth, _write)
