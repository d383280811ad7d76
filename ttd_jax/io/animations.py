"""Animated GIF, PNG and WebP by Pillow: their frames, whole and in turn, and how long each is shown."""

from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageSequence

from ttd_jax.errors import InputError
from ttd_jax.io.images import Picture
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.pillow import picture_from_pillow

_SUFFIXES = (".gif", ".png", ".apng", ".webp")
_SHORTEST = Fraction(1, 100)  # second of a frame: less stands for "as fast as can be", which is shown as 1/10


def is_animation(path: Path) -> bool:
    """Whether a file is an animated GIF, PNG or WebP."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # what is wrong with it is told when it is read
        return False


class Animation:
    """An animated file, open for reading.

    Args:
        path: Its file.

    Attributes:
        seconds: When each frame begins, and when the last one ends.
        count: How many there are.

    Raises:
        InputError: It is too large, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.seconds = path, [Fraction(0)]
        with Image.open(path) as image:
            check_declared(path, Declared(image.height, image.width, 4, 1))
            try:
                for frame in ImageSequence.Iterator(image):
                    if image.format == "WEBP":
                        frame.load()  # which says how long it is shown
                    length = Fraction(round(float(frame.info.get("duration") or 0)), 1000)
                    self.seconds.append(self.seconds[-1] + (length if length >= _SHORTEST else Fraction(1, 10)))
            except Exception as error:  # what damage does to a decoder
                raise InputError(f"frame {len(self.seconds)} of {path} is damaged or truncated: {error}") from None
        self.count = len(self.seconds) - 1
        self._image = Image.open(path)

    def read(self, index: int) -> Picture:
        """A frame.

        Raises:
            InputError: It is damaged.
        """
        try:
            self._image.seek(index)
            mode = "RGBA" if self._image.has_transparency_data else "L" if self._image.mode in ("1", "L") else "RGB"
            return picture_from_pillow(self._image.convert(mode), self._path.name)
        except Exception as error:  # what damage does to a decoder
            raise InputError(f"frame {index + 1} of {self._path} is damaged or truncated: {error}") from None

    def close(self) -> None:
        """Closes the file."""
        self._image.close()
