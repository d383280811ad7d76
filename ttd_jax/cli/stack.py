"""``ttd-jax fuse --stack``: all frames of files, folders and multi-page TIFF are one set, in bounded memory."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.kinds import refuse_given
from ttd_jax.cli.progress import followed, trimmed
from ttd_jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of stacks."""
    group = parser.add_argument_group("stacks")
    group.add_argument(
        "--stack",
        action="store_true",
        help="all images of SOURCE (files, folders, pages of TIFF) are one focus stack, of 2 to 200 frames",
    )
    group.add_argument(
        "--depth", metavar="FILE", help="also write which frame is sharpest where, first black, last white"
    )


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of stacks where there is none.

    Raises:
        InputError: One was given.
    """
    refuse_given({"--depth": options.depth}, "is for stacks: add --stack")


def run(options: argparse.Namespace) -> int:
    """Fuses a stack; returns the exit code."""
    import numpy as np

    from ttd_jax.cli.fuse import check_files, refuse_existing
    from ttd_jax.io.frames import Frames, read_frames
    from ttd_jax.io.images import write_image

    given = {
        "--save-weights": options.save_weights,
        "--save-static": options.save_static,
        "--range": options.range,
        "--window": options.window,
        "--tile": options.tile,
    }
    refuse_given(given, "is not for stacks: leave it out")
    paths = [Path(source) for source in options.sources]
    runtime.settle_reading(options)
    outputs = check_files([options.output, options.depth], paths, quality=options.quality)
    started, frames, metadata = time.monotonic(), Frames(), None
    register = _registration(paths, options) if options.align else None
    try:
        for name, picture in read_frames(paths):
            metadata = metadata or picture.metadata
            pixels = picture.pixels[..., :3] if picture.pixels.ndim == 3 else picture.pixels
            frames.add(name, register(pixels, len(frames.names)) if register else pixels)
        if len(frames.names) < 2:
            raise InputError(f"a stack has two frames or more; got {len(frames.names)}")
        refuse_existing(outputs, options.overwrite)
        read = time.monotonic() - started
        runtime.start_jax(options)
        from ttd_jax.stacks import fuse_stack

        fuser = runtime.make_fuser(options, align=None)
        fused = fuse_stack(
            fuser,
            frames.pixels,
            follow=lambda items, total: followed(trimmed(items, every=1), total, "fusing", unit="windows"),
        )
    finally:
        frames.close()
    if outputs[1] is not None:
        depth = np.rint(fused.depth * (65535 / (len(frames.names) - 1))).astype(np.uint16)
        write_image(outputs[1], depth, overwrite=options.overwrite)
    assert outputs[0] is not None
    write_image(outputs[0], fused.image, metadata=metadata, overwrite=options.overwrite, quality=options.quality)
    seconds = time.monotonic() - started
    height, width = fused.image.shape[:2]
    if options.json:
        facts = {"output": str(outputs[0]), "sources": frames.names, "shape": list(fused.image.shape)}
        print(json.dumps({**facts, "seconds": {"read": round(read, 3), "all": round(seconds, 3)}}))
    else:
        print(
            f"{outputs[0]}: {len(frames.names)} frames, {width} x {height} {fused.image.dtype}, {seconds:.2f} s, "
            f"{read / seconds:.0%} of it reading{' and aligning' if register else ''}"
        )
    return 0


def _registration(paths: list[Path], options: argparse.Namespace) -> Callable[[Any, int], Any]:
    """What moves a frame onto the middle one, found on reduced frames, and cuts all to what they have in common."""
    import numpy as np

    from ttd_jax.align.frames import warp
    from ttd_jax.align.long import register_frames
    from ttd_jax.io.frames import read_frames
    from ttd_jax.ops.pixels import from_float, to_float

    def floats(pixels: Any) -> Any:
        return to_float(pixels[..., :3] if pixels.ndim == 3 else pixels[..., np.newaxis])

    given = ((name, floats(picture.pixels)) for name, picture in read_frames(paths))
    transforms, (top, left, height, width) = register_frames(given, model=options.align)
    print(f"ttd-jax: note: aligned ({options.align}); cut to the {width} x {height} pixels in common", file=sys.stderr)

    def move(pixels: Any, index: int) -> Any:
        moved = warp(floats(pixels), transforms[index])[top : top + height, left : left + width]
        return from_float(moved if pixels.ndim == 3 else moved[..., 0], pixels.dtype)

    return move
