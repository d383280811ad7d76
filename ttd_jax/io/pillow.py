"""What Pillow reads and writes: JPEG, BMP, WebP, and some formats that are read only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ttd_jax.errors import InputError
from ttd_jax.io.formats import Format, Picture, eight_bits
from ttd_jax.io.limits import MOST_PIXELS, Declared, check_declared, most_pixels
from ttd_jax.io.metadata import Metadata, read_metadata, upright
from ttd_jax.io.quiet import warnings_as

_OTHERS = ("GIF", "PPM", "MPO", "DIB", "JPEG2000", "AVIF", "TGA", "PCX", "SGI")
"""Read only. Their readers run no other program, as that of EPS does, and know the size before the pixels."""

_ITEMSIZES = {"I;16": 2, "I;16B": 2, "I;16L": 2, "I": 4, "F": 4}
_limit = Lock()


def declared(path: Path, *, formats: Sequence[str]) -> Declared:
    """What a file of these formats says of its picture."""
    with open_image(path, formats) as image:
        return declared_by(image)


def declared_by(image: Image.Image) -> Declared:
    """What a file that is open says of its picture."""
    return Declared(image.height, image.width, len(image.getbands()), _ITEMSIZES.get(image.mode, 1))


def read(path: Path, *, formats: Sequence[str]) -> Picture:
    """The picture, if it is not too large.

    Raises:
        InputError: It is none of these formats, or says that it is larger than the limit or the memory.
    """
    with open_image(path, formats) as image:
        check_declared(path, declared_by(image))
        return picture_from_pillow(image, path.name)


@contextmanager
def open_image(path: Path, formats: Sequence[str]) -> Iterator[Image.Image]:
    """The image, opened but not read.

    Raises:
        InputError: It is none of these formats.
    """
    try:
        with warnings_as("ignore"), _larger_if_asked():  # what Pillow thinks of large pictures and damaged metadata
            image = Image.open(path, formats=tuple(formats))
    except UnidentifiedImageError:
        raise InputError(f"{path} is no image: expected PNG, TIFF, JPEG, BMP or WebP") from None
    with image:
        yield image


@contextmanager
def _larger_if_asked() -> Iterator[None]:
    """Pillow's own limit raised to ours where ours was raised; ours is checked afterwards."""
    if most_pixels() <= MOST_PIXELS:
        yield
        return
    with _limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def picture_from_pillow(image: Image.Image, name: str) -> Picture:
    """A picture that Pillow has opened, as ``read_image`` gives it; ``name`` is for the remarks."""
    image.load()  # which turns a TIFF upright
    metadata, orientation, lost = read_metadata(image.getexif, icc=image.info.get("icc_profile"))
    pixels, remarks = _pixels(image, name)
    return Picture(upright(pixels, orientation), metadata, (*remarks, *lost))


def _pixels(image: Image.Image, name: str) -> tuple[np.ndarray, list[str]]:
    """Pixels of an 8-bit picture: palettes resolved, CMYK and the like turned into RGB; and remarks on that."""
    remarks = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        remarks.append(f"{name} has {frames} frames: the first was used")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    elif image.mode == "I" and image.format == "PPM":  # 16-bit grey, which Pillow widens
        return np.asarray(image).astype(np.uint16), remarks
    elif image.mode not in ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I", "F"):
        remarks.append(f"{name} is {image.mode}: converted to RGB")
        image = image.convert("RGB")
    return np.asarray(image), remarks


def write(path: Path, pixels: np.ndarray, metadata: Metadata, **options: Any) -> None:
    """A file of 8-bit pixels with EXIF and ICC profile; what is asked for by ``quality`` is lossy."""
    if "quality" in options:
        options.pop("lossless", None)
    exif, icc = metadata.exif or b"", metadata.icc_for(pixels)
    Image.fromarray(pixels).save(path, exif=exif, icc_profile=icc, **options)


def _write_bmp(path: Path, pixels: np.ndarray, metadata: Metadata) -> None:
    Image.fromarray(pixels).save(path)  # holds no metadata


def _is_webp(start: bytes) -> bool:
    return start.startswith(b"RIFF") and start[8:12] == b"WEBP"


def _format(name: str, suffixes: tuple[str, ...], owns: Any, writer: Any, formats: Sequence[str]) -> Format:
    look, get = partial(declared, formats=formats), partial(read, formats=formats)
    lossy = name in ("JPEG", "WebP")
    return Format(name, suffixes, owns, look, get, eight_bits, writer, qualities=lossy, checks=True)


JPEG = _format(
    "JPEG",
    (".jpg", ".jpeg"),
    lambda start: start.startswith(b"\xff\xd8\xff"),
    partial(write, format="JPEG", quality=95, subsampling=0),
    ["JPEG"],
)
BMP = _format("BMP", (".bmp",), lambda start: start.startswith(b"BM"), _write_bmp, ["BMP"])
WEBP = _format("WebP", (".webp",), _is_webp, partial(write, format="WEBP", lossless=True), ["WEBP"])


def other() -> Format:
    """The format of every file that no other one owns."""
    Image.init()
    return _format("another format", (), lambda start: True, None, [name for name in _OTHERS if name in Image.OPEN])
