"""Videos and cameras by PyAV: frames one by one, in 8 or more bits, with their times; written with another's audio."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ttd_jax.errors import InputError, reason
from ttd_jax.io.extras import load
from ttd_jax.io.limits import Declared, check_declared
from ttd_jax.io.metadata import Metadata
from ttd_jax.ops.pixels import from_float, to_float

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
"""Endings of videos."""

_DEEP = 10  # bits
_CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4"}
_MOST_ERRORS = 1000
_TICKS = 4  # to a frame of a sequence, whose animations may be uneven


class Frame(NamedTuple):
    """One frame.

    Attributes:
        pixels: (H, W) or (H, W, 3), uint8 or uint16; of image sequences whatever their files hold.
        seconds: Since the first.
        number: Of its file, or counted from 1.
        metadata: EXIF and ICC profile of its file.
    """

    pixels: np.ndarray
    seconds: Fraction
    number: int = 1
    metadata: Metadata = Metadata()


@dataclass
class Video:
    """A video that is open for reading.

    Attributes:
        path: Its file.
        width: Pixels.
        height: Pixels.
        rate: Frames a second.
        deep: Whether its pixels have more than 8 bits.
        expected: Number of frames as the file says, or by its duration; 0 if neither is known.
        live: Whether it is a camera, which has no end.
        broken: How many packets could not be decoded, or frames went back in time, so far.
        read: How many frames were read so far.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    deep: bool
    expected: int
    container: Any = field(repr=False)
    stream: Any = field(repr=False)
    live: bool = False
    broken: int = 0
    read: int = 0

    def frames(self) -> Iterator[Frame]:
        """The frames in order; what cannot be decoded, or goes back in time, is left out and counted.

        Raises:
            InputError: PyAV is missing, or the size changes.
        """
        av = load("av", "video", "reading a video")
        first = last = None
        for frame in self._decoded(av):
            seconds = Fraction(frame.pts or 0) * frame.time_base
            if first is None or last is None:
                first = last = seconds
            if seconds < last:
                self.broken += 1
                continue
            last = seconds
            if (frame.width, frame.height) != (self.width, self.height):
                raise InputError(f"{self.path} changes its size to {frame.width} x {frame.height}: cut it there")
            pixels = self._pixels(frame)
            self.read += 1
            yield Frame(pixels, seconds - first, self.read)

    def _pixels(self, frame: Any) -> np.ndarray:
        gray = self.stream.format.name.startswith("gray")
        wanted = ("gray16le" if self.deep else "gray") if gray else ("rgb48le" if self.deep else "rgb24")
        try:
            return frame.to_ndarray(format=wanted)
        except (OSError, ValueError, MemoryError) as error:  # PyAV's errors are of these
            raise InputError(f"{self.path} has frames that cannot be converted: {reason(error)}") from None

    def at(self, seconds: Fraction) -> Frame | None:
        """The first frame that is not before a time; None if there is none. Reading then goes on behind it.

        Raises:
            InputError: PyAV is missing.
        """
        av = load("av", "video", "reading a video")
        begin = Fraction(self.stream.start_time or 0) * self.stream.time_base
        wanted = begin + seconds - 1 / (2 * self.rate)
        self.container.seek(int(wanted / self.stream.time_base), stream=self.stream)
        for frame in self._decoded(av):
            if Fraction(frame.pts) * frame.time_base >= wanted:
                return Frame(self._pixels(frame), Fraction(frame.pts) * frame.time_base - begin)
        return None

    def _decoded(self, av: Any) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while self.broken < _MOST_ERRORS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except BlockingIOError:  # some cameras say so where others wait
                time.sleep(0.002)
                packets = self.container.demux(self.stream)
                continue
            except av.error.FFmpegError:
                self.broken += 1
                packets = self.container.demux(self.stream)  # goes on behind the damage
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.broken += 1
                continue
            yield from (frame for frame in frames if frame.pts is not None and not getattr(frame, "is_corrupt", False))

    def close(self) -> None:
        """Closes the file."""
        self.container.close()


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name ends as those of videos do."""
    return Path(path).suffix.lower() in SUFFIXES


def open_video(path: str | os.PathLike[str]) -> Video:
    """A video, open for reading.

    Raises:
        InputError: PyAV is missing, or the file is missing, damaged, or holds no video of a known rate.
    """
    load("av", "video", "reading a video")  # which is missed before a file is
    path = Path(path)
    if not path.is_file():
        raise InputError(f"cannot read {path}: expected a video")
    return opened(path, os.fspath(path))


def opened(path: Path, name: str, *, device: str | None = None) -> Video:
    """A video, open for reading, from a file or from a device of a kind that FFmpeg knows.

    Args:
        path: What messages call it.
        name: What FFmpeg calls it.
        device: The kind of device; None for a file.

    Raises:
        InputError: PyAV is missing, or it cannot be opened, or holds no video of a known rate.
    """
    av = load("av", "video", "reading a video")
    wrong = "is no camera that can be read" if device else "is damaged, truncated or no video"
    try:
        container = av.open(name, format=device, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or reason(error)
        raise InputError(f"{path} {wrong}: {said}") from None
    stream = next(iter(container.streams.video), None)
    rate = stream and (stream.average_rate or stream.guessed_rate)
    if stream is None or stream.codec_context is None or not rate or not stream.width or not stream.height:
        container.close()
        said = "it has no pictures" if stream is None else "it does not say its codec, size and frame rate"
        raise InputError(f"{path} {wrong}: {said}")
    if stream.format is None:
        container.close()
        raise InputError(f"{path} {wrong}: it does not say how its pixels are stored")
    depth = max(component.bits for component in stream.format.components)
    check_declared(path, Declared(stream.height, stream.width, 3, 2 if depth > 8 else 1))
    if device is None:  # frames of a camera should not wait for each other
        stream.thread_type = "AUTO"
    duration = Fraction(container.duration, 1_000_000) if container.duration else Fraction(0)
    expected = stream.frames or round(duration * rate)
    return Video(
        path, stream.width, stream.height, Fraction(rate), depth > 8, expected, container, stream, bool(device)
    )


class Writer:
    """Writes a video frame by frame, in the rate and with the audio of a reference.

    Args:
        path: File to write; its ending names the container.
        like: The reference, a ``Video`` or what has a rate; its audio is copied, not encoded again.
        size: Height and width.
        quality: 1 to 100; None for 85.
        deep: Whether to write 10 bits.

    Attributes:
        bits: Of a sample.

    Raises:
        InputError: The container takes no such video.
    """

    def __init__(self, path: Path, like: Any, size: tuple[int, int], *, quality: int | None = None, deep: bool = False):
        av = load("av", "video", "writing a video")
        self._av, self._like, self._deep, self._stack = av, like, deep, ExitStack()
        self.bits = 10 if deep else 8
        self._container = self._stack.enter_context(av.open(os.fspath(path), "w"))
        codec = _CODECS.get(path.suffix.lower(), "libx265" if deep else "libx264")
        if deep and codec == "mpeg4":
            raise InputError(f"{path.suffix} holds 8 bits: name the result .mp4 or .mkv")
        self._video = self._container.add_stream(codec, rate=like.rate)
        self._video.height, self._video.width = size
        even = size[0] % 2 == size[1] % 2 == 0
        self._video.pix_fmt = ("yuv420p" if even else "yuv444p") + ("10le" if deep else "")
        crf = str(round(51 * (1 - (quality or 85) / 100)) + (8 if quality is None else 0))
        self._video.options = {"crf": crf, **({"x265-params": "log-level=none"} if codec == "libx265" else {})}
        self._base = like.stream.time_base if isinstance(like, Video) else 1 / (like.rate * _TICKS)
        self._video.codec_context.time_base = self._base
        self._audio = self._open_audio()
        self._waiting = next(self._audio, None)
        self._last = -1

    def _open_audio(self) -> Iterator[Any]:
        """Audio packets of the reference, in order, and a stream to copy them to."""
        kept = isinstance(self._like, Video) and not self._like.live
        sound = next(iter(self._like.container.streams.audio), None) if kept else None
        if sound is None:
            return iter(())
        copied = self._container.add_stream_from_template(sound)
        source = self._stack.enter_context(self._av.open(os.fspath(self._like.path), metadata_errors="replace"))

        def packets() -> Iterator[Any]:
            for packet in source.demux(source.streams.audio[0]):
                if packet.pts is not None:
                    packet.stream = copied
                    yield packet

        return packets()

    def add(self, image: np.ndarray, frame: Frame) -> None:
        """Writes an image, (H, W) or (H, W, 3), at the time of a frame, and the audio up to there."""
        image, seconds = image[..., 0] if image.shape[2:] == (1,) else image, frame.seconds
        wanted = np.dtype("uint16" if self._deep else "uint8")
        image = image if image.dtype == wanted else from_float(to_float(image), wanted)
        deep = self._deep
        name = ("rgb48le" if deep else "rgb24") if image.ndim == 3 else ("gray16le" if deep else "gray")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=name)
        picture.pts, picture.time_base = max(round(seconds / self._base), self._last + 1), self._base
        self._last = picture.pts
        self._container.mux(self._video.encode(picture))
        self._copy_audio(seconds)

    def _copy_audio(self, end: Fraction) -> None:
        """Copies audio that begins before ``end``."""
        while self._waiting is not None and self._waiting.pts * self._waiting.time_base <= end:
            self._container.mux(self._waiting)
            self._waiting = next(self._audio, None)

    def close(self) -> list[str]:
        """Writes what is left and the audio, up to the last frame; there is nothing to say of it."""
        self._container.mux(self._video.encode())
        self._copy_audio(self._last * self._base + 1 / self._like.rate)
        self._stack.close()
        return []

    def abandon(self) -> None:
        """Closes what is open."""
        self._stack.close()
