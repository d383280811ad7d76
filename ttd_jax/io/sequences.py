"""Image sequences as videos: numbered files, folders, animated files and the pages of TIFF in; numbered files out."""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.io import formats
from ttd_jax.io.animations import Animation, is_animation
from ttd_jax.io.atomic import check_output
from ttd_jax.io.formats import ToldRange
from ttd_jax.io.frames import TIFF, Pages, pages_of
from ttd_jax.io.images import Picture, check_writable, read_image, stored_dtype, write_image
from ttd_jax.io.video import Frame

RATE = Fraction(25)
"""Frames a second of sequences that do not say theirs."""

_PATTERN = re.compile(r"%0?(\d*)d")


@dataclass
class Stills:
    """Pictures that are the frames of one video.

    Attributes:
        path: Pattern, folder or file.
        rate: Frames a second.
        first: Number of the first picture.
        step: From number to number.
        pictures: For each its place in time, counted in frames from ``first``, and what reads it.
        ends: Closes what is open.
        begin: The place that is time 0.
        width: Pixels.
        height: Pixels.
        deep: Whether pixels have more than 8 bits.
        expected: How many there would be if none was missing.
        broken: How many could not be read so far.
        read: How many were read so far.
        range: The values that are black and white, where the first file says so.
    """

    path: Path
    rate: Fraction
    first: int
    step: int
    pictures: Sequence[tuple[Fraction, Callable[[], Picture]]] = field(repr=False)
    ends: Callable[[], None] = field(default=lambda: None, repr=False)
    begin: Fraction = Fraction(0)
    width: int = 0
    height: int = 0
    deep: bool = False
    expected: int = 0
    broken: int = 0
    read: int = 0
    range: ToldRange | None = None
    live = False

    def __post_init__(self) -> None:
        self.expected = round(self.pictures[-1][0]) + 1 if self.pictures else 0
        error: InputError | None = None
        for _, read in self.pictures:
            try:
                picture = read()
            except InputError as one:
                error = error or one
                continue
            pixels, self.range = picture.pixels, picture.range
            (self.height, self.width), self.deep = pixels.shape[:2], pixels.dtype.itemsize > 1
            return
        raise error or InputError(f"{self.path} has no frames")

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last have no picture."""
        return self.expected - len(self.pictures)

    def frames(self) -> Iterator[Frame]:
        """The frames in order; what cannot be read is left out and counted.

        Raises:
            InputError: The size changes.
        """
        for place, read in self.pictures:
            if (frame := self._frame(place, read)) is not None:
                self.read += 1
                yield frame

    def at(self, seconds: Fraction) -> Frame | None:
        """The frame nearest to a time that can be read; None if there is none."""
        wanted = self.begin + seconds * self.rate
        for place, read in sorted(self.pictures, key=lambda one: abs(one[0] - wanted))[:5]:
            if (frame := self._frame(place, read)) is not None:
                return frame
        return None

    def _frame(self, place: Fraction, read: Callable[[], Picture]) -> Frame | None:
        try:
            picture = read()
        except InputError:
            self.broken += 1
            return None
        pixels, number = picture.pixels, self.first + self.step * round(place)
        if pixels.shape[:2] != (self.height, self.width):
            size = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise InputError(f"{self.path} changes its size to {size} at {number}: frames of a video have one size")
        return Frame(pixels, (place - self.begin) / self.rate, number, picture.metadata)

    def close(self) -> None:
        """Closes what is open."""
        self.ends()


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for numbered files, as ``vis_%04d.png`` does.

    Example:
        >>> is_pattern("frames/vis_%04d.png"), is_pattern("frames/vis_0001.png")
        (True, False)
    """
    return bool(_PATTERN.search(Path(path).name)) and not os.path.isfile(path)


def is_animated(path: Path) -> bool:
    """Whether a file holds several pictures: an animated GIF, PNG or WebP, or a TIFF of several pages."""
    if path.suffix.lower() in TIFF:
        return path.is_file() and pages_of(path) > 1
    return is_animation(path)


def open_stills(path: str | os.PathLike[str], *, rate: Fraction | None = None) -> Stills:
    """Pictures that are the frames of one video.

    Args:
        path: A pattern of numbered files, such as ``vis_%04d.png``; a folder; an animated file; a TIFF of pages.
        rate: Frames a second; None for what the file says, or 25.

    Raises:
        InputError: There are none, two have one number, or none can be read.
    """
    path = Path(path)
    if is_pattern(path):
        return _numbered(path, _matching(path), rate)
    if path.is_dir():
        return _numbered(path, _inside(path), rate)
    if not is_animated(path):
        if not path.exists():
            read_image(path)  # which says what is wrong
        raise InputError(f"{path} is one picture: a video is a video file, a folder of frames, or a name with %04d")
    if path.suffix.lower() in TIFF:
        pages = Pages(path)
        readers = [(Fraction(index), partial(pages.read, index)) for index in range(pages.count)]
        return Stills(path, rate or RATE, 1, 1, readers, ends=pages.close)
    return _animated(path, rate)


def files_of(path: Path) -> list[Path]:
    """The files of a pattern or folder, which may be none; of others none."""
    if is_pattern(path):
        return [file for _, file in _matching(path, empty=True)]
    return sorted(path.iterdir()) if path.is_dir() else []


def share_begin(sequences: list[Stills]) -> None:
    """Sets time 0 to the least number of all, where the numbers of sequences overlap: equal numbers are one time."""
    last = [one.first + one.step * (one.expected - 1) for one in sequences]
    if len({one.step for one in sequences}) == 1 and max(one.first for one in sequences) <= min(last):
        least = min(one.first for one in sequences)
        for one in sequences:
            one.begin = Fraction(least - one.first, one.step)


class StillsWriter:
    """Writes frames as numbered files, each whole or not at all, with the numbers of the reference's frames.

    Args:
        pattern: Their names, such as ``out/fused_%04d.png``.
        overwrite: Replace existing files.
        quality: 1 to 100, of JPEG and WebP.

    Attributes:
        bits: Of a sample, once there is one.

    Raises:
        InputError: Files of that name exist, or cannot be written there.
    """

    def __init__(self, pattern: Path, *, overwrite: bool = False, quality: int | None = None):
        check_writable(pattern, quality=quality)
        check_output(pattern, overwrite=True)
        self._pattern, self._quality, self.bits = pattern, quality, 8
        self._before = {path.name for path in files_of(pattern)}
        if self._before and not overwrite:
            raise InputError(
                f"output {pattern.with_name(min(self._before))} exists already: choose another name or pass --overwrite"
            )

    def add(self, image: np.ndarray, frame: Frame) -> None:
        """Writes a frame (H, W) or (H, W, 3), under the number of the reference's."""
        path = self._pattern.with_name(_PATTERN.sub(lambda one: f"{frame.number:0{one[1] or 1}d}", self._pattern.name))
        write_image(path, image, metadata=frame.metadata, overwrite=True, quality=self._quality)
        self.bits = 8 * stored_dtype(path, image.dtype).itemsize
        self._before.discard(path.name)

    def close(self) -> list[str]:
        """A sentence on files of an earlier run that are still there."""
        if not self._before:
            return []
        return [
            f"{len(self._before)} files of an earlier run still fit {self._pattern.name}, such as {min(self._before)}"
        ]

    def abandon(self) -> None:
        """Frames that were written stay."""


def _matching(pattern: Path, *, empty: bool = False) -> list[tuple[int, Path]]:
    """Numbers and files that fit a pattern, in order."""
    if len(_PATTERN.findall(pattern.name)) > 1:
        raise InputError(f"a pattern of frames has one number such as %04d; got {pattern.name}")
    if not pattern.parent.is_dir() and not empty:
        raise InputError(f"{pattern.parent} is no folder: expected the frames {pattern.name} in it")
    before, after = (re.escape(part) for part in _PATTERN.split(pattern.name)[::2])
    fits = re.compile(f"{before}([0-9]+){after}")
    inside = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    found = [(int(one[1]), path) for path in inside if (one := fits.fullmatch(path.name))]
    if not found and not empty:
        raise InputError(f"no file fits {pattern}: expected {fits.pattern.replace('([0-9]+)', '0001')} and so on")
    return sorted(found)


def _inside(folder: Path) -> list[tuple[int, Path]]:
    """Images of a folder, by the last number in their names if all have one, else by name."""
    paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in formats.suffixes() and p.name[0] != "."]
    if not paths:
        raise InputError(f"{folder} holds no images ({' '.join(formats.suffixes())})")
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    names = {path.stem.rpartition(found[-1])[0] if found else "" for path, found in zip(paths, numbers, strict=True)}
    if all(numbers) and len(names) == 1:
        return sorted((int(found[-1]), path) for path, found in zip(paths, numbers, strict=True))
    return list(enumerate(paths))


def _numbered(path: Path, found: list[tuple[int, Path]], rate: Fraction | None) -> Stills:
    numbers = [number for number, _ in found]
    for (one, before), (other, after) in pairwise(found):
        if one == other:
            raise InputError(f"{before} and {after.name} have one number: keep one of them")
    step = math.gcd(*(number - numbers[0] for number in numbers)) or 1
    pictures = [(Fraction(number - numbers[0], step), partial(read_image, file)) for number, file in found]
    return Stills(path, rate or RATE, numbers[0], step, pictures)


def _animated(path: Path, rate: Fraction | None) -> Stills:
    """The frames of an animated file, at the times that it says, or evenly at the rate given."""
    animation = Animation(path)
    own = Fraction(animation.count) / animation.seconds[-1]
    places = [Fraction(index) if rate else one * own for index, one in enumerate(animation.seconds[:-1])]
    pictures = [(place, partial(animation.read, index)) for index, place in enumerate(places)]
    return Stills(path, rate or own, 1, 1, pictures, ends=animation.close)
