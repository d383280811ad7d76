"""The frames of a long stack: files, folders, pages of TIFF, animations; read one at a time and kept in a file."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import tifffile

from ttd_jax.errors import InputError, reason
from ttd_jax.io import formats
from ttd_jax.io.animations import Animation, is_animation
from ttd_jax.io.images import Picture, read_image
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.metadata import Metadata
from ttd_jax.io.tiff import check_pages, page_pixels

MOST_FRAMES = 200
TIFF = (".tif", ".tiff")


def read_frames(paths: Sequence[Path]) -> Iterator[tuple[str, Picture]]:
    """Names and pictures, in order: of files, images in folders by name, pages of TIFF, frames of animations.

    Raises:
        InputError: A file cannot be read, a folder has no images, or a TIFF is no plain stack.
    """
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in formats.suffixes() and p.name[0] != "."]
            if not inside:
                raise InputError(f"{path} holds no images ({' '.join(formats.suffixes())})")
            yield from read_frames(inside)
        elif path.suffix.lower() in TIFF and pages_of(path) > 1:
            with closing(Pages(path)) as pages:
                for index in range(pages.count):
                    yield f"{path.name} page {index + 1}", pages.read(index)
        elif is_animation(path):
            with closing(Animation(path)) as animation:
                for index in range(animation.count):
                    yield f"{path.name} frame {index + 1}", animation.read(index)
        else:
            yield path.name, read_image(path)


def pages_of(path: Path) -> int:
    """How many planes a TIFF holds: a page each, or all of them behind one page, as ImageJ writes large stacks.

    Raises:
        InputError: Its list of pages is damaged, or planes are missing.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            check_pages(tiff, path)
            series = tiff.series[0]
            behind = math.prod(size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXS")
            found = max(len(series.pages), behind)
            if (said := (tiff.imagej_metadata or {}).get("images", 1)) > found:  # tifffile then leaves out the rest
                raise InputError(f"{path} is damaged or truncated: it says it has {said} planes, and {found} is there")
            return found
    except InputError:
        raise
    except Exception:  # what is wrong with it is told when it is read
        return 1


class Pages:
    """The pages of a TIFF that are one stack, open for reading.

    Args:
        path: Its file.

    Attributes:
        count: How many there are.

    Raises:
        InputError: They have more axes than one, or are neither grey nor RGB.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._tiff = path, tifffile.TiffFile(path)
        series, self.count = self._tiff.series[0], pages_of(path)
        shape = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if size > 1}
        if len([axis for axis in shape if axis not in "YXS"]) > 1 or shape.get("S", 3) not in (3, 4):
            self.close()
            raise InputError(f"{path} has the axes {series.axes} of {series.shape}: expected one stack of grey or RGB")

    def read(self, index: int) -> Picture:
        """A page.

        Raises:
            InputError: It is missing or damaged.
        """
        try:
            return Picture(_plane(self._tiff, index, self.count, self._path), Metadata())
        except InputError:
            raise
        except Exception as error:  # every codec has its own kinds
            damage = f"page {index + 1} of {self._path} is damaged, truncated or missing"
            raise InputError(f"{damage}: {reason(error)}") from None

    def close(self) -> None:
        """Closes the file."""
        self._tiff.close()


def _plane(tiff: tifffile.TiffFile, index: int, count: int, path: Path) -> np.ndarray:
    """One plane of a stack, (H, W) or (H, W, C)."""
    series = tiff.series[0]
    first = series.keyframe
    check_declared(path, Declared(first.imagelength, first.imagewidth, first.samplesperpixel, 2))
    if len(series.pages) == count:
        return page_pixels(series.pages[index].aspage(), tiff.filehandle, path)[0]
    stored = series.dtype.newbyteorder(tiff.byteorder)
    start = series.dataoffset + index * first.size * stored.itemsize
    return tiff.filehandle.read_array(stored, first.size, start).reshape(first.shape).astype(series.dtype)


class Frames:
    """Frames of one size and type in a temporary file, which is read by windows.

    Attributes:
        names: What each is called.
        pixels: (M, H, W) or (M, H, W, 3), in a file.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._file = tempfile.TemporaryFile(prefix="ttd-jax-")
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype("uint8")

    def add(self, name: str, pixels: np.ndarray) -> None:
        """Adds a frame.

        Raises:
            InputError: It has another size, type or number of channels than the first, or there are too many.
        """
        if not self.names:
            self._shape, self._dtype = pixels.shape, pixels.dtype
        if (pixels.shape, pixels.dtype) != (self._shape, self._dtype):
            raise InputError(
                f"frames of a stack are alike; {self.names[0]} is {self._shape} {self._dtype}, {name} {pixels.shape} "
                f"{pixels.dtype}"
            )
        if len(self.names) == MOST_FRAMES:
            raise InputError(f"a stack has up to {MOST_FRAMES} frames; got more: fuse parts of it")
        self.names.append(name)
        self._file.write(np.ascontiguousarray(pixels).tobytes())

    @property
    def pixels(self) -> np.ndarray:
        """All frames, in the file."""
        self._file.flush()
        return np.memmap(self._file, self._dtype, "r", shape=(len(self.names), *self._shape))

    def close(self) -> None:
        """Removes the file."""
        self._file.close()
