"""Pictures on disk: pixels in their own depth, upright, with the metadata that should survive.

Formats are records (``ttd_jax.io.formats``): PNG, TIFF, JPEG, BMP and WebP are read and written, some others that
Pillow opens are read. What a file says of its size is looked at before its pixels are read (``ttd_jax.io.limits``).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ttd_jax.errors import InputError, reason
from ttd_jax.io import formats as formats
from ttd_jax.io import further, pillow
from ttd_jax.io.formats import Picture
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.metadata import Metadata
from ttd_jax.io.pillow import picture_from_pillow
from ttd_jax.io.png import PNG
from ttd_jax.io.storage import Place, local_copy, place, whole_file
from ttd_jax.io.tiff import TIFF
from ttd_jax.ops.pixels import from_float, to_float

for _form in (PNG, TIFF, pillow.JPEG, pillow.BMP, pillow.WEBP, further.HEIF, further.RAW):
    formats.register(_form)

__all__ = [
    "Picture",
    "check_writable",
    "declared_size",
    "picture_from_pillow",
    "read_declared",
    "read_image",
    "stored_dtype",
    "write_image",
]

_HEAD = 65536  # bytes in which most files say how large their picture is


def read_image(path: str | os.PathLike[str]) -> Picture:
    """A picture from a file.

    Args:
        path: PNG, TIFF, JPEG, BMP, WebP, GIF, PPM, JPEG 2000, AVIF or a format that was registered; also an address
            on storage that fsspec knows, such as ``s3://bucket/a.png``, which is read as a copy.

    Returns:
        Its pixels without loss of depth, EXIF orientation applied.

    Raises:
        InputError: The file is missing, empty, truncated, damaged, not an image, or says it is larger than the limit
            or the memory.
    """
    found = place(path)
    if isinstance(found, Path):
        return _read(found)
    with local_copy(found) as copy:
        try:
            return _read(copy)
        except InputError as error:
            raise InputError(str(error).replace(str(copy), found)) from None


def _read(path: Path) -> Picture:
    form = _form_of(path)
    with _named(path):
        if not form.checks:
            check_declared(path, form.declared(path))
        picture = form.read(path)
    if not picture.pixels.size:
        raise InputError(f"{path} is damaged, truncated or no image: it holds no pixels")
    return picture


def read_declared(path: str | os.PathLike[str]) -> Declared:
    """What a file says of its picture's size; the picture is not read, and the size not judged.

    Raises:
        InputError: The file is missing, empty, or no image as far as its beginning tells.
    """
    path = Path(path)
    form = _form_of(path)
    with _named(path):
        return form.declared(path)


def _form_of(path: Path) -> formats.Format:
    """The format of a file, by its first bytes.

    Raises:
        InputError: There is no such file, it is empty, or known not to be a picture.
    """
    start = _start(path)
    if not start:
        raise InputError(f"{path} is empty: expected an image file")
    form = further.RAW if path.suffix.lower() in further.RAW.suffixes else formats.by_content(start)
    if form is None and (advice := formats.advice(path)):
        raise InputError(f"{path} is {advice}")
    return form or pillow.other()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of codecs, each of which has its own kinds, as one that names the file."""
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path} does not fit in memory: use a smaller picture, or parts of it") from None
    except Exception as error:
        said = type(error).__name__ if isinstance(error, LookupError) else reason(error)
        raise InputError(f"{path} is damaged, truncated or no image: {said}") from None


def declared_size(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Height, width and channels that a file says its picture has, of which little is read; zeros if it says none.

    Args:
        path: As for ``read_image``.
    """
    found = place(path)
    for most in (None,) if isinstance(found, Path) else (_HEAD, None):  # some formats say it at their end
        try:
            with local_copy(found, most=most) as copy:
                height, width, channels, _ = read_declared(copy)
                return int(height), int(width), int(channels)
        except Exception:  # what is wrong is told when it is read
            continue
    return 0, 0, 0


def _start(path: Path) -> bytes:
    """The first bytes of a file, if it is one."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                start = file.read(32)
    except OSError as error:
        if str(path).startswith(("http:/", "https:/", "ftp:/")):
            raise InputError(f"{path} is {formats.advice(path)}") from None
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"cannot read {str(path)!r}: no file can have this name") from None
    if stat.S_ISDIR(kind):
        raise InputError(f"{path} is a folder: expected an image file (folders go together with folders)")
    if not stat.S_ISREG(kind):
        raise InputError(f"{path} is a pipe or device: expected an image file, so save it as one first")
    return start


def check_writable(path: str | os.PathLike[str], *, quality: int | None = None) -> Place:
    """The path, if its ending names a format that can be written, in this quality if one is given.

    Raises:
        InputError: It does not, or the format has no quality, or the quality is not from 1 to 100.
    """
    path = place(path)
    form = formats.by_suffix(path)
    if form is None or form.write is None:
        raise InputError(
            f"cannot write {path.name}: the name ends in one of {' '.join(formats.suffixes(writable=True))}"
        )
    if quality is not None and not form.qualities:
        raise InputError(f"a quality is for JPEG and WebP; {path.name} is written as {form.name}: leave it out")
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(f"a quality is from 1 to 100; got {quality}")
    return path


def stored_dtype(path: str | os.PathLike[str], dtype: np.dtype | str) -> np.dtype:
    """The pixel type a file of this name holds: 8 bit for JPEG, BMP and WebP, 16 for floats in PNG."""
    form = formats.by_suffix(check_writable(path))
    assert form is not None
    return form.depth(np.dtype(dtype))


def write_image(
    path: str | os.PathLike[str],
    image: np.ndarray,
    *,
    metadata: Metadata | None = None,
    overwrite: bool = False,
    quality: int | None = None,
) -> None:
    """Writes a picture whole or not at all.

    Args:
        path: File to create, or an address on other storage; its ending names the format.
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16, or float in [0, 1], which is clipped, rounded half to
            even and cast to what the format holds (``stored_dtype``).
        metadata: EXIF and ICC profile to keep; BMP holds neither.
        overwrite: Replace an existing file.
        quality: 1 to 100, of JPEG and WebP; None for 95 and lossless.

    Raises:
        InputError: The file exists, its folder is missing or not writable, its ending is unknown, the array has
            another shape, or a pixel is not finite.
    """
    path, metadata = check_writable(path, quality=quality), metadata or Metadata()
    if image.shape[2:] == (1,):
        image = image[..., 0]
    if image.ndim != 2 and image.shape[2:] != (3,):
        raise InputError(f"a picture is (H, W) or (H, W, 3); got {image.shape}: write those of a batch one by one")
    dtype = stored_dtype(path, image.dtype)
    if image.dtype.kind == "f":
        pixels = from_float(image, dtype)
    else:
        pixels = image if image.dtype == dtype else from_float(to_float(image), dtype)
    form = formats.by_suffix(path)
    assert form is not None and form.write is not None  # as checked
    with whole_file(path, overwrite=overwrite) as temporary:
        form.write(temporary, pixels, metadata, **({} if quality is None else {"quality": quality}))
