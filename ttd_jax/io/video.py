"""Videos by PyAV: frames one by one, in 8 or more bits, with their times; and written with the audio of another."""

import os
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

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
"""Endings of videos."""

_DEEP = 10  # bits
_CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4"}
_MOST_ERRORS = 1000


class Frame(NamedTuple):
    """One frame: (H, W) or (H, W, 3) uint8 or uint16, and seconds since the first."""

    pixels: np.ndarray
    seconds: Fraction


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
        broken: How many packets could not be decoded so far.
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
    broken: int = 0
    read: int = 0

    def frames(self) -> Iterator[Frame]:
        """The frames in order; what cannot be decoded is left out and counted.

        Raises:
            InputError: PyAV is missing, or the size changes.
        """
        av = load("av", "video", "reading a video")
        first: Fraction | None = None
        gray = self.stream.format.name.startswith("gray")
        wanted = ("gray16le" if self.deep else "gray") if gray else ("rgb48le" if self.deep else "rgb24")
        for frame in self._decoded(av):
            seconds = Fraction(frame.pts or 0) * frame.time_base
            first = seconds if first is None else first
            if (frame.width, frame.height) != (self.width, self.height):
                raise InputError(f"{self.path} changes its size to {frame.width} x {frame.height}: cut it there")
            try:
                pixels = frame.to_ndarray(format=wanted)
            except (av.error.FFmpegError, ValueError, MemoryError) as error:
                raise InputError(f"{self.path} has frames that cannot be converted: {reason(error)}") from None
            self.read += 1
            yield Frame(pixels, seconds - first)

    def _decoded(self, av: Any) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while self.broken < _MOST_ERRORS:
            try:
                packet = next(packets)
            except StopIteration:
                return
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
    av = load("av", "video", "reading a video")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"cannot read {path}: expected a video")
    try:
        container = av.open(os.fspath(path), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        said = getattr(error, "strerror", None) or reason(error)
        raise InputError(f"{path} is damaged, truncated or no video: {said}") from None
    stream = next(iter(container.streams.video), None)
    rate = stream and (stream.average_rate or stream.guessed_rate)
    if stream is None or stream.codec_context is None or not rate or not stream.width or not stream.height:
        container.close()
        said = "it has no pictures" if stream is None else "it does not say its codec, size and frame rate"
        raise InputError(f"{path} is damaged, truncated or no video: {said}")
    if stream.format is None:
        container.close()
        raise InputError(f"{path} is damaged, truncated or no video: it does not say how its pixels are stored")
    depth = max(component.bits for component in stream.format.components)
    check_declared(path, Declared(stream.height, stream.width, 3, 2 if depth > 8 else 1))
    stream.thread_type = "AUTO"
    duration = Fraction(container.duration, 1_000_000) if container.duration else Fraction(0)
    expected = stream.frames or round(duration * rate)
    return Video(path, stream.width, stream.height, Fraction(rate), depth > 8, expected, container, stream)


class Writer:
    """Writes a video frame by frame, in the rate and with the audio of a reference.

    Args:
        path: File to write; its ending names the container.
        like: The reference; its audio is copied, not encoded again.
        quality: 1 to 100; None for 85.
        deep: Whether to write 10 bits.

    Raises:
        InputError: The container takes no such video.
    """

    def __init__(self, path: Path, like: Video, *, quality: int | None = None, deep: bool = False):
        av = load("av", "video", "writing a video")
        self._av, self._like, self._stack = av, like, ExitStack()
        self._container = self._stack.enter_context(av.open(os.fspath(path), "w"))
        codec = _CODECS.get(path.suffix.lower(), "libx265" if deep else "libx264")
        if deep and codec == "mpeg4":
            raise InputError(f"{path.suffix} holds 8 bits: name the result .mp4 or .mkv")
        self._video = self._container.add_stream(codec, rate=like.rate)
        self._video.width, self._video.height = like.width, like.height
        even = like.width % 2 == like.height % 2 == 0
        self._video.pix_fmt = ("yuv420p" if even else "yuv444p") + ("10le" if deep else "")
        crf = str(round(51 * (1 - (quality or 85) / 100)) + (8 if quality is None else 0))
        self._video.options = {"crf": crf, **({"x265-params": "log-level=none"} if codec == "libx265" else {})}
        base = like.stream.time_base
        self._video.codec_context.time_base = self._base = base
        self._audio = self._open_audio()
        self._waiting = next(self._audio, None)
        self._last = -1

    def _open_audio(self) -> Iterator[Any]:
        """Audio packets of the reference, in order, and a stream to copy them to."""
        sound = next(iter(self._like.container.streams.audio), None)
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

    def add(self, image: np.ndarray, seconds: Fraction) -> None:
        """Writes a frame, (H, W) or (H, W, 3) uint8 or uint16, and the audio up to its time."""
        deep = image.dtype == np.uint16
        name = ("rgb48le" if deep else "rgb24") if image.ndim == 3 else ("gray16le" if deep else "gray")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=name)
        frame.pts, frame.time_base = max(round(seconds / self._base), self._last + 1), self._base
        self._last = frame.pts
        self._container.mux(self._video.encode(frame))
        self._copy_audio(seconds)

    def _copy_audio(self, end: Fraction) -> None:
        """Copies audio that begins before ``end``."""
        while self._waiting is not None and self._waiting.pts * self._waiting.time_base <= end:
            self._container.mux(self._waiting)
            self._waiting = next(self._audio, None)

    def close(self) -> None:
        """Writes what is left and the audio, up to the last frame."""
        self._container.mux(self._video.encode())
        self._copy_audio(self._last * self._base + 1 / self._like.rate)
        self._stack.close()

    def abandon(self) -> None:
        """Closes what is open."""
        self._stack.close()
