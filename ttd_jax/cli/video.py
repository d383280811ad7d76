"""``ttd-jax fuse`` of videos and image sequences: frame by frame through one compiled program, in bounded memory."""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.clips import Course, is_clip, losses, open_clips, paired, register, told_ranges
from ttd_jax.cli.kinds import are_all, refuse_given
from ttd_jax.cli.progress import followed, trimmed
from ttd_jax.errors import InputError
from ttd_jax.options import check_share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of videos."""
    group = parser.add_argument_group(
        "videos", "video files, cameras (<video0>), numbered files (vis_%%04d.png), and folders into a video"
    )
    group.add_argument(
        "--temporal",
        type=float,
        metavar="SHARE",
        help="smooth over time what weights do where nothing moves: share of the frames before, 0 to less than 1 "
        "(default: 0; try 0.8)",
    )
    group.add_argument("--rate", type=_rate, metavar="N", help="frames a second of image sequences (default: 25)")
    group.add_argument("--frames", type=int, metavar="N", help="fuse the first N frames; of cameras else until Ctrl-C")


def _rate(text: str) -> Fraction:
    try:
        found = Fraction(text).limit_denominator(10_000)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found <= 1000:
        raise argparse.ArgumentTypeError(f"a number such as 25 or 30000/1001; got {text!r}")
    return found


def are_videos(paths: list[Path], output: Path) -> bool:
    """Whether the sources are videos, or pictures that are to become one.

    Raises:
        InputError: Some are, and some are not.
    """
    from ttd_jax.io.sequences import is_animated, is_pattern
    from ttd_jax.io.video import is_video

    if any(map(is_clip, paths)):
        return are_all(paths, lambda path: is_clip(path) or path.is_dir() or is_animated(path), "video")
    moving = "\0" not in str(output) and (is_video(output) or is_pattern(output))
    return moving and any(path.is_dir() or is_animated(path) for path in paths)


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of videos where there are none.

    Raises:
        InputError: One was given.
    """
    given = {"--temporal": options.temporal is not None, "--rate": options.rate, "--frames": options.frames is not None}
    refuse_given(given, "is for videos; the sources are images")


def run(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    """Fuses videos; returns the exit code: 1 where a part of them could not be read."""
    from ttd_jax.inputs import REFERENCES

    refuse_given({"--save-weights": options.save_weights}, "is for images: leave it out for videos")
    refuse_given({"--save-static": options.save_static}, "is for images: fuse a second time with --weighting static")
    check_share("temporal", options.temporal or 0.0)
    if options.frames is not None and options.frames < 1:
        raise InputError(f"--frames is 1 or more; got {options.frames}")
    output = _check_output(options, paths)
    clips = open_clips(paths, rate=options.rate)
    roles = list(sources) if isinstance(sources, dict) else None
    first = next((roles.index(role) for role in REFERENCES if role in roles), 0) if roles else 0
    ranges, remarks = told_ranges(clips, roles, runtime.settle_reading(options))
    placed, facts = None, {}
    if options.align:
        names = roles or [path.name for path in paths]
        with ExitStack() as stack:
            again = [stack.enter_context(closing(clip)) for clip in open_clips(paths, rate=options.rate)]
            placed, facts["alignment"] = register(again, first, names=names, options=options)
        agreed = facts["alignment"]["agreement"].values()
        told = ", ".join(f"{one['frames']} of {one['of']}" for one in agreed)
        remarks.append(f"aligned ({options.align}) as {told} frames agree; the result has {_size(placed.frame[2:])}")
    size = placed.frame[2:] if placed else (clips[first].height, clips[first].width)
    reference, deep = clips[first], any(clip.deep for clip in clips)
    with ExitStack() as stack:
        for clip in clips:
            stack.enter_context(closing(clip))
        target = stack.enter_context(_result(output, reference, size, deep=deep, options=options))
        runtime.start_jax(options)
        fuser = runtime.make_fuser(options, tile=options.tile, align=None)
        course, started, written, report = Course(len(clips)), time.monotonic(), 0, {}
        frames: deque[Any] = deque()
        most = min(clip.expected for clip in clips if not clip.live) if not all(clip.live for clip in clips) else 0
        most = min(most or options.frames, options.frames) if options.frames else most

        def sets() -> Iterator[Any]:
            from ttd_jax.inputs import check_sources

            for frame, given in paired(clips, first, course, placed=placed):
                frames.append(frame)
                named = dict(zip(roles, given, strict=True)) if roles else given
                yield check_sources(named, range=ranges, suspect=not written and placed is None)

        with closing(fuser.stream(sets(), temporal=options.temporal or 0.0)) as results:
            try:
                for result in followed(
                    trimmed(islice(results, options.frames), every=10), most, "fusing", unit="frames"
                ):
                    target.add(result.image, frames.popleft())
                    written += 1
                    if written == 1:
                        report = dict(result.report)
                        remarks += report["remarks"]
            except KeyboardInterrupt:  # how a recording ends
                if not any(clip.live for clip in clips) or not written:
                    raise
        if not written:
            raise InputError("no frame of these videos could be read, or none at the same time: nothing is written")
        remarks += target.close()
    seconds = time.monotonic() - started
    lost = losses(clips, course.frames, whole=written != options.frames and not any(clip.live for clip in clips))
    if len({clip.read for clip in clips}) > 1 and not lost and written != options.frames:
        shortest = min(clips, key=lambda clip: clip.read)
        remarks.append(f"lengths differ: {shortest.path.name} ends after {shortest.read} frames, so does the result")
    for remark in remarks:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
    for line in lost:
        print(f"ttd-jax: failed: {line}", file=sys.stderr)
    rate = f"{float(reference.rate):.4g}"
    if options.json:
        done = {"output": str(output), "frames": written, "rate": float(reference.rate), "failed": lost}
        print(json.dumps({**report, **facts, **done, "remarks": remarks, "seconds": {"all": round(seconds, 3)}}))
    else:
        print(
            f"{output}: {written} frames, {_size(size)}, {rate} a second, {target.bits} bits; fused "
            f"{written / seconds:.1f} a second, decoding {course.seconds / seconds:.0%} of the time beside that"
        )
    return 1 if lost else 0


def _size(size: Any) -> str:
    return f"{size[1]} x {size[0]}"


def _check_output(options: argparse.Namespace, paths: list[Path]) -> Path:
    """The result's name, checked before anything is opened."""
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable
    from ttd_jax.io.outputs import real, refuse_clashes
    from ttd_jax.io.sequences import files_of, is_pattern
    from ttd_jax.io.video import SUFFIXES, is_video

    output = Path(options.output)
    if not is_video(output) and not is_pattern(output):
        raise InputError(
            f"the result of videos is a video ({' '.join(SUFFIXES)}) or numbered files such as out_%04d.png; got "
            f"{output.name}"
        )
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise InputError(f"a quality is from 1 to 100; got {options.quality}")
    check_output(output, overwrite=True)
    refuse_clashes([output], paths)
    if is_pattern(output):
        check_writable(output, quality=options.quality)
        taken = {real(file) for path in paths for file in files_of(path)}
        if real(output.parent) in map(real, paths) or taken & {real(file) for file in files_of(output)}:
            raise InputError(f"output {output} would lie among the frames of a source: choose another folder")
    return output


@contextmanager
def _result(
    output: Path, reference: Any, size: tuple[int, int], *, deep: bool, options: argparse.Namespace
) -> Iterator[Any]:
    """What frames are added to; a video is there in the end, whole, or not at all."""
    from ttd_jax.io.atomic import atomic_file
    from ttd_jax.io.sequences import StillsWriter, is_pattern
    from ttd_jax.io.video import Writer

    if is_pattern(output):
        yield StillsWriter(output, overwrite=options.overwrite, quality=options.quality)
        return
    with atomic_file(output, overwrite=options.overwrite) as temporary:
        writer = Writer(temporary, reference, size, quality=options.quality, deep=deep)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
