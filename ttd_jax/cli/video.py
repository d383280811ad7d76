"""``ttd-jax fuse`` of videos: frame by frame through one compiled program, in bounded memory."""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.kinds import are_all, refuse_given
from ttd_jax.cli.progress import followed
from ttd_jax.errors import InputError
from ttd_jax.options import check_share

_ENDED_EARLY = 0.98  # of the frames that a file says it has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of videos."""
    group = parser.add_argument_group("videos")
    group.add_argument(
        "--temporal",
        type=float,
        metavar="SHARE",
        help="smooth over time what weights do where nothing moves: share of the frames before, 0 to less than 1 "
        "(default: 0; try 0.8)",
    )


def are_videos(paths: list[Path]) -> bool:
    """Whether the sources are videos.

    Raises:
        InputError: Some are, and some are not.
    """
    from ttd_jax.io.video import is_video

    return are_all(paths, is_video, "video")


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of videos where there are none.

    Raises:
        InputError: One was given.
    """
    if options.temporal is not None:
        raise InputError("--temporal is for videos; the sources are images")


def run(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    """Fuses videos; returns the exit code: 1 where a part of them could not be read."""
    from ttd_jax.cli.fuse import refuse_clashes, refuse_existing
    from ttd_jax.inputs import REFERENCES
    from ttd_jax.io.atomic import atomic_file, check_output
    from ttd_jax.io.video import SUFFIXES, Writer, is_video, open_video

    given = {"--align": options.align, "--save-weights": options.save_weights}
    refuse_given(given, "is for images: leave it out for videos")
    refuse_given({"--save-static": options.save_static}, "is for images: fuse a second time with --weighting static")
    output = Path(options.output)
    if not is_video(output):
        raise InputError(f"the result of videos is a video ({' '.join(SUFFIXES)}); got {output.name}")
    check_output(output, overwrite=True)
    refuse_clashes([output], paths)
    check_share("temporal", options.temporal or 0.0)
    videos = [open_video(path) for path in paths]
    _check_alike(videos)
    roles = list(sources) if isinstance(sources, dict) else None
    first = next((roles.index(role) for role in REFERENCES if role in roles), 0) if roles else 0
    refuse_existing([output], options.overwrite)
    runtime.start_jax(options)
    fuser = runtime.make_fuser(options, tile=options.tile)
    reading = {"range": runtime.settle_reading(options)}
    reference, deep = videos[first], any(video.deep for video in videos)
    times: deque[Any] = deque()
    course = _Course(len(videos))
    started = time.monotonic()
    written, remarks, report = 0, [], {}
    with atomic_file(output, overwrite=options.overwrite) as temporary:
        writer = Writer(temporary, reference, quality=options.quality, deep=deep)
        try:
            sets = _sets(videos, first, roles, reading, times, course)
            with closing(fuser.stream(sets, temporal=options.temporal or 0.0)) as results:
                for result in followed(results, min(video.expected for video in videos), "fusing", unit="frames"):
                    writer.add(_stored(result.image, deep), times.popleft())
                    written += 1
                    if written == 1:
                        remarks, report = result.report["remarks"], dict(result.report)
            if not written:
                raise InputError("no frame of these videos could be read, or none at the same time: nothing is written")
            writer.close()
        except BaseException:
            writer.abandon()
            raise
    seconds = time.monotonic() - started
    lost = _losses(videos, course.frames)
    for remark in remarks:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
    if len({video.read for video in videos}) > 1 and not lost:
        lengths = ", ".join(f"{video.path.name} {video.read}" for video in videos)
        print(f"ttd-jax: note: lengths differ ({lengths} frames read): the shortest was fused", file=sys.stderr)
    for line in lost:
        print(f"ttd-jax: failed: {line}", file=sys.stderr)
    rate = f"{float(reference.rate):.4g}"
    if options.json:
        facts = {"output": str(output), "frames": written, "rate": float(reference.rate), "failed": lost}
        print(json.dumps({**report, **facts, "seconds": {"all": round(seconds, 3)}}))
    else:
        print(
            f"{output}: {written} frames, {reference.width} x {reference.height}, {rate} a second, "
            f"{'10' if deep else '8'} bits; fused {written / seconds:.1f} a second, decoding "
            f"{course.seconds / seconds:.0%} of the time beside that"
        )
    return 1 if lost else 0


class _Course:
    """Frames of each video without a partner, and the seconds that decoding took."""

    def __init__(self, count: int) -> None:
        self.frames, self.seconds = [0] * count, 0.0


def _check_alike(videos: list[Any]) -> None:
    """Refuses videos of different sizes or frame rates.

    Raises:
        InputError: They are not of one kind.
    """
    if len({(video.width, video.height) for video in videos}) > 1:
        sizes = ", ".join(f"{video.path.name} {video.width} x {video.height}" for video in videos)
        raise InputError(f"videos have one size; got {sizes}: scale or crop them to match first")
    if max(video.rate for video in videos) > min(video.rate for video in videos) * 1001 / 1000:
        rates = ", ".join(f"{video.path.name} {float(video.rate):.4g}" for video in videos)
        raise InputError(f"videos have one frame rate; got {rates} a second: convert one of them first")


def _sets(videos: list[Any], first: int, roles: Any, reading: Any, times: Any, course: _Course) -> Iterator[Any]:
    """Checked frames of one time; frames of the reference without others within half a frame are left out."""
    from ttd_jax.inputs import check_sources

    half = 1 / (2 * videos[first].rate)
    streams = [video.frames() for video in videos]
    waiting: list[Any] = [next(stream, None) for stream in streams]
    suspect = True
    while all(frame is not None for frame in waiting):
        now = waiting[first].seconds
        behind = [i for i, frame in enumerate(waiting) if frame.seconds < now - half]
        ahead = [i for i, frame in enumerate(waiting) if frame.seconds > now + half]
        if not behind and not ahead:
            given = [frame.pixels for frame in waiting]
            times.append(now)
            yield check_sources(dict(zip(roles, given, strict=True)) if roles else given, **reading, suspect=suspect)
            suspect, behind = False, list(range(len(videos)))
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


def _stored(image: Any, deep: bool) -> Any:
    import numpy as np

    from ttd_jax.ops.pixels import from_float, to_float

    image = image[..., 0] if image.shape[2:] == (1,) else image
    wanted = np.dtype("uint16" if deep else "uint8")
    return image if image.dtype == wanted else from_float(to_float(image), wanted)


def _losses(videos: list[Any], left_out: list[int]) -> list[str]:
    """What could not be fused, in words."""
    found = []
    for index, video in enumerate(videos):
        if video.broken:
            found.append(f"{video.path}: {video.broken} packets are damaged and were left out")
        elif left_out[index]:
            found.append(f"{video.path}: {left_out[index]} frames have no partner at their time and were left out")
        elif video.read < _ENDED_EARLY * video.expected and video.read <= min(other.read for other in videos):
            found.append(f"{video.path} ends early: {video.read} of {video.expected} frames")
    return found
