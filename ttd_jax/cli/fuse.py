"""``ttd-jax fuse``: images or folders of images in, fused images out."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ttd_jax.cli import cluster, folders, runtime, stack, timings, video, volumes
from ttd_jax.cli.pace import expected_seconds, remember_pace
from ttd_jax.cli.progress import awaited
from ttd_jax.cli.words import result_line
from ttd_jax.errors import InputError

_LONG = 20  # megapixels of all sources

_EPILOG = """examples:
  ttd-jax fuse near.png far.png -o fused.png
  ttd-jax fuse visible=day.png infrared=thermal.png -o fused.png --save-weights weights.png
  ttd-jax fuse under.tif normal.tif over.tif -o fused.tif
  ttd-jax fuse normal.jpg under.jpg over.jpg -o fused.jpg --align
  ttd-jax fuse visible=vis_folder infrared=ir_folder -o fused_folder
  ttd-jax fuse visible=day.mp4 infrared=thermal.mp4 -o fused.mp4 --temporal 0.8
  ttd-jax fuse visible=day/%04d.png infrared=night/%04d.png -o fused.mp4 --rate 30
  ttd-jax fuse mri=series_folder pet=pet.nii.gz -o fused.nii.gz --colormap pet=hot --overview fused.png
  ttd-jax fuse stack_folder --stack --align -o sharp.tif --depth depth.png
  ttd-jax fuse --pair 'visible=night/vis_{}.png' 'infrared=night/ir_{}.png' -o fused_folder --skip-existing
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "fuse",
        help="fuse two or more images, or folders of images, into one",
        description="Fuse registered images of one scene. Folders fuse every set of files with equal stems.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_sources(parser, optional=True)
    stack.add_arguments(parser)
    folders.add_arguments(parser)
    video.add_arguments(parser)
    volumes.add_arguments(parser)
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file to write, or folder for folders")
    runtime.add_fusion_arguments(parser)
    runtime.add_reading_arguments(parser)
    runtime.add_alignment_arguments(parser)
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="fuse larger images in windows of this side, compiled once for images of all sizes",
    )
    parser.add_argument("--save-weights", metavar="FILE", help="also write the weight maps side by side, 16-bit grey")
    parser.add_argument("--save-static", metavar="FILE", help="also write the static fusion, for comparison")
    parser.add_argument("--quality", type=int, metavar="N", help="1 to 100, of JPEG and WebP results")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument(
        "--timings", action="store_true", help="of one set of images: tell on stderr what the process's time went into"
    )
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def add_sources(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The argument of every subcommand that fuses; optional where sources can be told otherwise."""
    parser.add_argument(
        "sources",
        nargs="*" if optional else "+",
        metavar="SOURCE",
        help="image or folder, or ROLE=PATH with a role such as visible, infrared, mri, pet, under, over, near, far",
    )


def run(options: argparse.Namespace) -> int:
    """Fuses; returns the exit code."""
    runtime.check_fusion_arguments(options)
    cluster.refuse_arguments(options)
    if options.pair or options.manifest:
        video.refuse_arguments(options)
        return folders.run_lists(options)
    if not options.sources:
        raise InputError("fusion takes two sources or more; got none: name images, folders, --pair or --manifest")
    if options.stack:
        folders.refuse_arguments(options)
        video.refuse_arguments(options)
        return stack.run(options)
    stack.refuse_arguments(options)
    sources = parse_sources(options.sources)
    paths = list(sources.values()) if isinstance(sources, dict) else sources
    if options.ray is not None:
        volumes.refuse_arguments(options)
        video.refuse_arguments(options)
        return folders.run_folders(options, sources, paths)
    if len(paths) > 1 and volumes.are_volumes(paths):
        folders.refuse_arguments(options)
        video.refuse_arguments(options)
        return volumes.run(options, sources, paths)
    volumes.refuse_arguments(options)
    if len(paths) > 1 and video.are_videos(paths, Path(options.output)):
        folders.refuse_arguments(options)
        return video.run(options, sources, paths)
    video.refuse_arguments(options)
    inside = [path for path in paths if os.path.isdir(path)]  # false where no folder can have this name
    if inside and len(inside) < len(paths):
        files = [str(path) for path in paths if path not in inside]
        raise InputError(f"folders go together with folders; got the folder {inside[0]} and the file {files[0]}")
    if len(paths) < 2:
        hint = f": a folder is many sets, one set of all its images is {inside[0]}/*" if inside else ""
        raise InputError(f"fusion takes two sources or more; got 1{hint}")
    if inside:
        return folders.run_folders(options, sources, paths)
    folders.refuse_arguments(options)
    return _run_files(options, sources, paths)


def parse_sources(arguments: list[str]) -> dict[str, Any] | list[Any]:
    """Paths, or addresses on other storage, by role if roles are given.

    Raises:
        InputError: Some have a role and some have none, or a role comes twice.
    """
    from ttd_jax.io.storage import place

    matches = [
        None if os.path.lexists(a.partition("\0")[0]) else re.fullmatch(r"([A-Za-z]\w*)=(.+)", a) for a in arguments
    ]
    if not any(matches):
        return [place(argument) for argument in arguments]
    roles = {m[1]: place(m[2]) for m in matches if m}
    if None in matches:
        raise InputError(f"give every source a role or none; {arguments[matches.index(None)]} has none")
    if len(roles) < len(arguments):
        raise InputError("each role comes once: give the sources different roles")
    return roles


def _run_files(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    timings.step("start")
    from ttd_jax.inputs import check_sources
    from ttd_jax.result import write_files

    timings.step("imports")
    outputs = check_files([options.output, options.save_weights, options.save_static], paths, quality=options.quality)
    # before jax starts: a bad file should not cost seconds
    reading = {"range": runtime.settle_reading(options), "align": options.align, "frame": options.align_frame}
    start = _start_beside(options, paths)
    checked = check_sources(sources, **reading, workers=min(len(sources), os.cpu_count() or 1))
    refuse_existing(outputs, options.overwrite)
    timings.step("read")
    fuser, static = make_fusers(options, start=start)
    timings.step("network")
    result, plain = _fused(fuser, checked, options), static and static(checked)
    timings.step("fuse")
    report = write_files(result, plain, outputs, overwrite=options.overwrite, quality=options.quality)
    timings.step("write")
    if options.timings:
        report["timeline"] = timings.timeline(compiled=report["seconds"]["program"])
        print(timings.table(report["timeline"]), file=sys.stderr)
    tell(report, options.json)
    return 0


def _start_beside(options: argparse.Namespace, paths: list[Path]) -> Callable[[], None]:
    """What starts jax; where files are so large that reading takes as long, it has begun, and this waits for it."""
    from ttd_jax.io.images import declared_size

    here = (declared_size(path) for path in paths if isinstance(path, Path))
    if sum(height * width for height, width, _ in here) < _LONG * 1e6:
        return lambda: runtime.start_jax(options)
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    found = pool.submit(runtime.start_jax, options)
    pool.shutdown(wait=False)
    return lambda: found.result()


def _fused(fuser: Any, checked: Any, options: argparse.Namespace) -> Any:
    """The fusion; of large sources it is shown how long it takes."""
    height, width = checked.pixels[0].shape[:2]
    megapixels = len(checked.pixels) * height * width / 1e6
    kind = f"{fuser.backbone.name} {options.weighting} {options.precision} {options.device}"
    if megapixels < _LONG:
        result = fuser(checked)
    else:
        what = f"fusing {len(checked.pixels)} sources of {width} x {height}"
        expected = expected_seconds(kind, megapixels) if options.compile_cache else None
        result = awaited(lambda: fuser(checked), expected=expected, what=what)
    if options.compile_cache:
        remember_pace(kind, megapixels, result.report["seconds"]["fuse"])
    return result


def make_fusers(options: argparse.Namespace, *, start: Callable[[], None] | None = None) -> tuple[Any, Any]:
    """The fuser asked for, and the static one if its result is wanted; ``start`` starts jax, None as usual."""
    start() if start else runtime.start_jax(options)
    timings.step("jax")
    fuser = runtime.make_fuser(options, tile=options.tile, image_only=not options.save_weights)
    if not options.save_static:
        return fuser, None
    plain = {"backbone": fuser.backbone, "weighting": "static", "recipe": None, "tile": options.tile}
    plain["image_only"] = True
    return fuser, runtime.make_fuser(options, **plain)


def check_files(names: list[str | None], paths: list[Any], *, quality: int | None = None) -> list[Any]:
    """Output files, those that are asked for, checked before anything is computed.

    Raises:
        InputError: One can not be written, or is a source or another output.
    """
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable
    from ttd_jax.io.outputs import refuse_clashes
    from ttd_jax.io.storage import place

    outputs: list[Any] = [place(name) if name else None for name in names]
    for path in filter(None, outputs):
        if os.path.isdir(path):
            raise InputError(f"output {path} is a folder: name a file, since the sources are files")
        if isinstance(check_writable(path), Path):
            check_output(path, overwrite=True)
    if quality is not None and outputs[0] is not None:
        check_writable(outputs[0], quality=quality)
    refuse_clashes(outputs, paths)
    return outputs


def refuse_existing(outputs: list[Path | None], overwrite: bool) -> None:
    """Refuses to replace files; asked last, so that every other mistake is told first.

    Raises:
        InputError: One exists and ``overwrite`` is false.
    """
    from ttd_jax.io.atomic import check_output

    for output in outputs:
        if isinstance(output, Path):  # of others it is asked when they are written
            check_output(output, overwrite=overwrite)


def tell(report: dict[str, Any], as_json: bool) -> None:
    """Prints what was done: a line and the remarks, or the whole report as JSON."""
    if as_json:
        print(json.dumps(report))
        return
    print(result_line(report))
    for remark in report["remarks"]:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
