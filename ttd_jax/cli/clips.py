"""Videos, cameras and image sequences on their way to a fusion: opened, registered, paired by time."""

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError

_ENDED_EARLY = 0.98  # of the frames that a file says it has
_SAMPLES = 5  # frames by which videos are registered


def is_clip(path: Path) -> bool:
    """Whether a source is a video, a camera or numbered files, whatever the result is to be."""
    from ttd_jax.io.camera import is_camera
    from ttd_jax.io.sequences import is_pattern
    from ttd_jax.io.video import is_video

    return is_video(path) or is_camera(path) or ("\0" not in str(path) and is_pattern(path))


def open_clips(paths: Sequence[Path], *, rate: Fraction | None = None) -> list[Any]:
    """Sources that are videos, open for reading.

    Args:
        paths: Of videos, cameras, numbered files, folders, animated files.
        rate: Frames a second of image sequences; None for that of a video beside them, or what they say, or 25.

    Raises:
        InputError: One cannot be opened, they are of different sizes or frame rates, or a rate is told and all are
            videos.
    """
    from ttd_jax.io.camera import is_camera, open_camera
    from ttd_jax.io.sequences import open_stills, share_begin
    from ttd_jax.io.video import is_video, open_video

    opened: list[Any] = [
        open_camera(path) if is_camera(path) else open_video(path) if is_video(path) else None for path in paths
    ]
    if rate is not None and None not in opened:
        raise InputError("--rate is for image sequences: videos say theirs")
    rate = rate or next((one.rate for one in opened if one is not None), None)
    clips = [one or open_stills(path, rate=rate) for one, path in zip(opened, paths, strict=True)]
    share_begin([clip for clip, one in zip(clips, opened, strict=True) if one is None])
    if len({(clip.width, clip.height) for clip in clips}) > 1:
        sizes = ", ".join(f"{clip.path.name} {clip.width} x {clip.height}" for clip in clips)
        raise InputError(f"videos have one size; got {sizes}: scale or crop them to match first")
    if max(clip.rate for clip in clips) > min(clip.rate for clip in clips) * 1001 / 1000:
        rates = ", ".join(f"{clip.path.name} {float(clip.rate):.4g}" for clip in clips)
        raise InputError(f"videos have one frame rate; got {rates} a second: convert one of them first")
    return clips


def told_ranges(clips: Sequence[Any], roles: list[str] | None, given: Any) -> tuple[Any, list[str]]:
    """The ranges that are meant: those given, else those that the first files of sequences tell; and what is said."""
    names = roles or [f"source {index + 1}" for index in range(len(clips))]
    ranges = dict(given) if isinstance(given, dict) else dict.fromkeys(names, given) if given else {}
    remarks = []
    for name, clip in zip(names, clips, strict=True):
        if name not in ranges and (told := getattr(clip, "range", None)) is not None:
            ranges[name] = told.low, told.high
            remarks.append(f"{name} goes from {told.low:g} to {told.high:g}, as {told.told_by} in its first file says")
    return ranges or None, remarks


def register(clips: Sequence[Any], first: int, *, names: Sequence[str], options: Any) -> tuple[Any, dict[str, Any]]:
    """How clips lie beside the reference, found by frames from all of its length, and that as plain data.

    Args:
        clips: Opened for this alone.
        first: Index of the reference.
        names: What errors call them.
        options: Of the command line.

    Raises:
        InputError: One is a camera, or cannot be aligned.
    """
    import numpy as np

    from ttd_jax.align.frames import gray, place
    from ttd_jax.align.together import estimate_together

    if live := next((name for name, clip in zip(names, clips, strict=True) if clip.live), None):
        raise InputError(f"{live} is a camera, of which --align cannot see frames beforehand: record it first")
    reference = clips[first]
    length = min(clip.expected for clip in clips) / reference.rate
    times = [length * (2 * index + 1) / (2 * _SAMPLES) for index in range(_SAMPLES)]
    seen = [[clip.at(seconds) for seconds in times] for clip in clips]
    transforms, agreed = [], {}
    for name, frames in zip(names, seen, strict=True):
        if frames is seen[first]:
            transforms.append(np.eye(3))
            continue
        pairs = [
            (gray(floats(one.pixels)), gray(floats(other.pixels)))
            for one, other in zip(seen[first], frames, strict=True)
            if one is not None and other is not None
        ]
        try:
            found = estimate_together(pairs, model=options.align)
        except InputError as error:
            if "pip install" in str(error):
                raise
            raise InputError(
                f"{name} could not be aligned to {names[first]}: {error}: check that they show one scene from one "
                "place, or leave --align out to fuse them as they are"
            ) from None
        transforms.append(found.transform)
        agreed[name] = {"frames": found.agreeing, "of": found.tried, "apart": round(found.apart, 3)}
    size = reference.height, reference.width
    placed = place(transforms, size, reference=first, frame=options.align_frame, even=True)
    facts = {
        "model": options.align,
        "frame": list(placed.frame),
        "transforms": {name: one.tolist() for name, one in zip(names, transforms, strict=True)},
        "agreement": agreed,
    }
    return placed, facts


def floats(pixels: Any) -> Any:
    """Pixels (H, W, C) float32 in [0, 1], without alpha."""
    import numpy as np

    from ttd_jax.ops.pixels import as_image, to_float

    pixels, _ = as_image(pixels, "a frame")
    return to_float(pixels if pixels.ndim == 3 else pixels[..., np.newaxis])


class Course:
    """How reading went.

    Attributes:
        frames: Of each clip, how many had no partner.
        seconds: How long decoding took.
    """

    def __init__(self, count: int) -> None:
        self.frames, self.seconds = [0] * count, 0.0


def paired(clips: list[Any], first: int, course: Course, *, placed: Any = None) -> Iterator[tuple[Any, list[Any]]]:
    """The reference's frame, and pixels of all at its time; frames without others within half a frame are left out.

    Args:
        clips: Open for reading.
        first: Index of the reference.
        course: What counts.
        placed: How they are moved; None as they are.
    """
    half = 1 / (2 * clips[first].rate)
    streams = [clip.frames() for clip in clips]
    waiting: list[Any] = [next(stream, None) for stream in streams]
    while all(frame is not None for frame in waiting):
        now = waiting[first].seconds
        behind = [i for i, frame in enumerate(waiting) if frame.seconds < now - half]
        ahead = [i for i, frame in enumerate(waiting) if frame.seconds > now + half]
        if not behind and not ahead:
            given = [frame.pixels for frame in waiting]
            yield waiting[first], given if placed is None else _moved(given, placed)
            behind = list(range(len(clips)))
        elif not behind:
            course.frames[first] += 1
            behind = [first]
        else:
            for index in behind:
                course.frames[index] += 1
        for index in behind:
            started = time.monotonic()
            waiting[index] = next(streams[index], None)
            course.seconds += time.monotonic() - started


def _moved(given: list[Any], placed: Any) -> list[Any]:
    """Pixels moved onto the reference, in their own type."""
    from ttd_jax.ops.pixels import from_float

    moved = placed.move([floats(pixels) for pixels in given])
    types = ["uint8" if pixels.dtype == bool else pixels.dtype for pixels in given]
    return [
        from_float(one[..., 0] if one.shape[-1] == 1 else one, dtype) for one, dtype in zip(moved, types, strict=True)
    ]


def losses(clips: list[Any], left_out: list[int], *, whole: bool) -> list[str]:
    """What could not be fused, in words.

    Args:
        clips: As read.
        left_out: Of each how many frames had no partner.
        whole: Whether they were read to the end.
    """
    found = []
    for index, clip in enumerate(clips):
        if missing := getattr(clip, "missing", 0):
            found.append(f"{clip.path}: {missing} numbers between the first frame and the last are missing")
        if clip.broken:
            what = "frames" if hasattr(clip, "missing") else "packets"
            found.append(f"{clip.path}: {clip.broken} {what} are damaged and were left out")
        elif left_out[index] and not clip.live:
            found.append(f"{clip.path}: {left_out[index]} frames have no partner at their time and were left out")
        elif whole and not missing and not clip.live and clip.read < _ENDED_EARLY * clip.expected:
            if clip.read <= min(other.read for other in clips):
                found.append(f"{clip.path} ends early: {clip.read} of {clip.expected} frames")
    return found
