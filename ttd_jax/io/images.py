"""Pictures on disk: pixels in their own depth, upright, with the metadata that should survive.

PNG, TIFF, JPEG, BMP and WebP are read and written; whatever else Pillow opens is read. 16-bit PNG goes through
imagecodecs and TIFF through tifffile, since Pillow reduces 16-bit colour to 8 bit.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file
from ttd_jax.io.metadata import Metadata, read_metadata, upright
from ttd_jax.io.png import is_deep_png, read_deep_png, write_deep_png
from ttd_jax.io.tiff import is_tiff, read_tiff, read_tiff_metadata, write_tiff
from ttd_jax.ops.pixels import from_float, to_float

WRITABLE = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp")
"""Endings of the file names that can be written."""

_JPEG = {"quality": 95, "subsampling": 0}
_OPTIONS: dict[str, dict[str, Any]] = {".jpg": _JPEG, ".jpeg": _JPEG, ".webp": {"lossless": True}}


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    Attributes:
        pixels: (H, W) or (H, W, C), upright; bool, uint8, uint16 or whatever a scientific file holds.
        metadata: EXIF and ICC profile.
        remarks: Sentences on anything that was done to the pixels.
    """

    pixels: np.ndarray
    metadata: Metadata
    remarks: tuple[str, ...] = ()


def read_image(path: str | os.PathLike) -> Picture:
    """A picture from a file.

    Args:
        path: PNG, TIFF, JPEG, BMP, WebP, or another format that Pillow opens.

    Returns:
        Its pixels without loss of depth, EXIF orientation applied.

    Raises:
        InputError: The file is missing, empty, truncated, or not an image.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected an image file (folders go together with folders)")
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if not start:
        raise InputError(f"{path} is empty: expected an image file")
    try:
        return _read(path, start)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # every codec has its own kinds
        reason = "" if isinstance(error, LookupError) else str(error).strip()
        reason = reason.splitlines()[0] if reason else type(error).__name__
        raise InputError(f"{path} is damaged, truncated or no image: {reason}") from None


def _read(path: Path, start: bytes) -> Picture:
    """Pixels by tifffile or imagecodecs where Pillow would lose depth, else by Pillow."""
    if is_tiff(start):
        pixels, remarks = read_tiff(path)
        metadata, orientation, lost = read_tiff_metadata(path)
        return Picture(upright(pixels, orientation), metadata, (*remarks, *lost))
    with _open(path) as image:
        if not is_deep_png(start):
            return picture_from_pillow(image, path.name)
        metadata, orientation, lost = read_metadata(image.getexif, image.info.get("icc_profile"))
    return Picture(upright(read_deep_png(path), orientation), metadata, tuple(lost))


def picture_from_pillow(image: Image.Image, name: str) -> Picture:
    """A picture that Pillow has opened, as ``read_image`` gives it; ``name`` is for the remarks."""
    image.load()  # which turns a TIFF upright
    metadata, orientation, lost = read_metadata(image.getexif, image.info.get("icc_profile"))
    pixels, remarks = _pillow_pixels(image, name)
    return Picture(upright(pixels, orientation), metadata, (*remarks, *lost))


def _open(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of large pictures and damaged metadata
        try:
            return Image.open(path)
        except UnidentifiedImageError:
            raise InputError(f"{path} is no image: expected PNG, TIFF, JPEG, BMP or WebP") from None


def _pillow_pixels(image: Image.Image, name: str) -> tuple[np.ndarray, list[str]]:
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


def check_writable(path: str | os.PathLike) -> Path:
    """The path, if its ending names a format that can be written.

    Raises:
        InputError: It does not.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"cannot write {path.name}: the name ends in one of {' '.join(WRITABLE)}")
    return path


def stored_dtype(path: str | os.PathLike, dtype: np.dtype | str) -> np.dtype:
    """The pixel type a file of this name holds: 8 bit for JPEG, BMP and WebP, 16 for floats in PNG."""
    dtype, suffix = np.dtype(dtype), Path(path).suffix.lower()
    if suffix in (".tif", ".tiff"):
        return np.dtype("float32") if dtype == np.float64 or dtype == np.float16 else dtype
    if suffix == ".png":
        return np.dtype("uint16") if dtype.kind == "f" else dtype
    return np.dtype("uint8")


def write_image(
    path: str | os.PathLike, image: np.ndarray, metadata: Metadata | None = None, overwrite: bool = False
) -> None:
    """Writes a picture whole or not at all.

    Args:
        path: File to create; its ending names the format.
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16, or float in [0, 1], which is clipped, rounded half to
            even and cast to what the format holds (``stored_dtype``).
        metadata: EXIF and ICC profile to keep; BMP holds neither.
        overwrite: Replace an existing file.

    Raises:
        InputError: The file exists, its folder is missing or not writable, its ending is unknown, the array has
            another shape, or a pixel is not finite.
    """
    path, metadata = check_writable(path), metadata or Metadata()
    if image.shape[2:] == (1,):
        image = image[..., 0]
    if image.ndim != 2 and image.shape[2:] != (3,):
        raise InputError(f"a picture is (H, W) or (H, W, 3); got {image.shape}: write those of a batch one by one")
    dtype = stored_dtype(path, image.dtype)
    if image.dtype.kind == "f":
        pixels = from_float(image, dtype)
    else:
        pixels = image if image.dtype == dtype else from_float(to_float(image), dtype)
    with atomic_file(path, overwrite) as temporary:
        suffix = path.suffix.lower()
        if suffix in (".tif", ".tiff"):
            write_tiff(temporary, pixels, metadata)
        elif dtype == np.uint16:
            write_deep_png(temporary, pixels, metadata)
        else:
            options = dict(_OPTIONS.get(suffix, {}))
            if suffix != ".bmp":
                options["exif"] = metadata.exif or b""
                options["icc_profile"] = metadata.icc_for(pixels)
            Image.fromarray(pixels).save(temporary, **options)
