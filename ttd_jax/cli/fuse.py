"""``ttd-jax fuse``: images or folders of images in, fused images out."""

import argparse
import json
import os
import re
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.progress import followed
from ttd_jax.cli.words import result_line
from ttd_jax.errors import InputError

_MOST_NOTES = 10  # of a folder run
_LONG = 20_000_000  # pixels of all sources

_EPILOG = """examples:
  ttd-jax fuse near.png far.png -o fused.png
  ttd-jax fuse visible=day.png infrared=thermal.png -o fused.png --save-weights weights.png
  ttd-jax fuse under.tif normal.tif over.tif -o fused.tif
  ttd-jax fuse visible=vis_folder infrared=ir_folder -o fused_folder
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
    add_sources(parser)
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file to write, or folder for folders")
    runtime.add_fusion_arguments(parser)
    runtime.add_reading_arguments(parser)
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="fuse larger images in windows of this side, compiled once for images of all sizes",
    )
    parser.add_argument("--save-weights", metavar="FILE", help="also write the weight maps side by side, 16-bit grey")
    parser.add_argument("--save-static", metavar="FILE", help="also write the static fusion, for comparison")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The argument of every subcommand that fuses."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image or folder, or ROLE=PATH with a role such as visible, infrared, mri, pet, under, over, near, far",
    )


def run(options: argparse.Namespace) -> int:
    """Fuses; returns the exit code."""
    runtime.check_fusion_arguments(options)
    sources = parse_sources(options.sources)
    paths = list(sources.values()) if isinstance(sources, dict) else sources
    folders = [path for path in paths if os.path.isdir(path)]  # false where no folder can have this name
    if folders and len(folders) < len(paths):
        files = [str(path) for path in paths if path not in folders]
        raise InputError(f"folders go together with folders; got the folder {folders[0]} and the file {files[0]}")
    if len(paths) < 2:
        hint = f": a folder is many sets, one set of all its images is {folders[0]}/*" if folders else ""
        raise InputError(f"fusion takes two sources or more; got 1{hint}")
    return _run_folders(options, sources, paths) if folders else _run_files(options, sources, paths)


def parse_sources(arguments: list[str]) -> dict[str, Path] | list[Path]:
    """Paths, by role if roles are given.

    Raises:
        InputError: Some have a role and some have none, or a role comes twice.
    """
    matches = [
        None if os.path.lexists(a.partition("\0")[0]) else re.fullmatch(r"([A-Za-z]\w*)=(.+)", a) for a in arguments
    ]
    if not any(matches):
        return [Path(argument) for argument in arguments]
    roles = {m[1]: Path(m[2]) for m in matches if m}
    if None in matches:
        raise InputError(f"give every source a role or none; {arguments[matches.index(None)]} has none")
    if len(roles) < len(arguments):
        raise InputError("each role comes once: give the sources different roles")
    return roles


def _run_files(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    from ttd_jax.inputs import check_sources

    outputs = check_files([options.output, options.save_weights, options.save_static], paths)
    # before jax starts: a bad file should not cost seconds
    checked = check_sources(sources, range=runtime.settle_reading(options))
    refuse_existing(outputs, options.overwrite)
    _announce(checked)
    fuser, static = _make_fusers(options)
    report = _write(fuser(checked), static and static(checked), outputs, options.overwrite)
    _tell(report, options.json)
    return 0


def _run_folders(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    from ttd_jax.io.atomic import remove_leavings
    from ttd_jax.io.folders import match_stems

    if twice := next((path for path in paths if list(map(_real, paths)).count(_real(path)) > 1), None):
        raise InputError(f"the folder {twice} comes twice: every image would be fused with itself")
    sets = match_stems(paths)
    folders = _check_folders(options, paths)
    fusers = _make_fusers(options)
    for folder in filter(None, folders):
        folder.mkdir(exist_ok=True)
        remove_leavings(folder)
    failures = [f"{stem}: missing in {', '.join(map(str, lacking))}" for stem, lacking in sets.incomplete.items()]
    notes: Counter[str] = Counter()
    done = 0
    wanted: dict[str, tuple[Any, list[Path | None]]] = {}
    for stem, files in sets.complete.items():
        suffix = ".tif" if files[0].suffix.lower() in (".tif", ".tiff") else ".png"
        outputs = [None if folder is None else folder / f"{stem}{suffix}" for folder in folders]
        one = dict(zip(sources, files, strict=True)) if isinstance(sources, dict) else files
        if options.overwrite or outputs[0] is None or not outputs[0].exists():  # the image is written last
            wanted[stem] = one, outputs
        elif lacking := [str(path) for path in outputs if path is not None and not path.exists()]:
            failures.append(f"{stem}: {outputs[0]} exists already without {', '.join(lacking)}: pass --overwrite")
    fuser, static = fusers
    with closing(fuser.stream((one for one, _ in wanted.values()), errors="yield")) as results:
        pairs = zip(wanted.items(), results, strict=False)  # the shorter one ends the other
        for (stem, (one, outputs)), result in followed(pairs, len(wanted), "fusing"):
            try:
                if isinstance(result, Exception):
                    raise result
                report = _write(result, static and static(one), outputs, overwrite=True)
            except (InputError, OSError) as error:
                failures.append(f"{stem}: {error}")
                continue
            done += 1
            notes.update(report["remarks"])
            if options.json:
                _tell(report, True)
    for note, times in notes.most_common(_MOST_NOTES):
        print(f"ttd-jax: note: {note}" + (f" ({times} times)" if times > 1 else ""), file=sys.stderr)
    if len(notes) > _MOST_NOTES:
        print(f"ttd-jax: note: {len(notes) - _MOST_NOTES} more notes, see --json", file=sys.stderr)
    for failure in failures:
        print(f"ttd-jax: failed: {failure}", file=sys.stderr)
    kept = len(sets.complete) + len(sets.incomplete) - len(failures) - done
    if kept:
        print(f"ttd-jax: note: {kept} existed already and were kept: --overwrite replaces them", file=sys.stderr)
    if not options.json:
        print(f"{options.output}: {done} fused, {len(failures)} failed")
    return 1 if failures else 0


def _announce(checked: Any) -> None:
    """A line before a long silence."""
    height, width = checked.images[0].shape[:2]
    if len(checked.images) * height * width > _LONG and sys.stderr.isatty():
        print(
            f"ttd-jax: fusing {len(checked.images)} sources of {width} x {height}, which takes a while", file=sys.stderr
        )


def _make_fusers(options: argparse.Namespace) -> tuple[Any, Any]:
    """The fuser asked for, and the static one if its result is wanted."""
    runtime.start_jax(options)
    fuser = runtime.make_fuser(options, tile=options.tile)
    if not options.save_static:
        return fuser, None
    plain = {"backbone": fuser.backbone, "weighting": "static", "recipe": None, "tile": options.tile}
    return fuser, runtime.make_fuser(options, **plain)


def _write(result: Any, plain: Any, outputs: list[Path | None], overwrite: bool) -> dict[str, Any]:
    """Writes the files of one set; returns the report with the output's name."""
    import numpy as np

    from ttd_jax.io.images import write_image

    output, weights_output, static_output = outputs
    if weights_output and result.weights is None:
        raise InputError("a maximum has no weights to save: leave --save-weights out, or use --weighting loss")
    if weights_output:
        maps = np.rint(np.concatenate(list(result.weights), axis=1) * 65535).astype(np.uint16)
        write_image(weights_output, maps, overwrite=overwrite)
    if static_output and plain is not None:
        plain.save(static_output, overwrite=overwrite)
    result.save(output, overwrite=overwrite)
    return {"output": str(output), **result.report}


def check_files(names: list[str | None], paths: list[Path]) -> list[Path | None]:
    """Output files, those that are asked for, checked before anything is computed.

    Raises:
        InputError: One can not be written, or is a source or another output.
    """
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable

    outputs = [Path(name) if name else None for name in names]
    for path in filter(None, outputs):
        if os.path.isdir(path):
            raise InputError(f"output {path} is a folder: name a file, since the sources are files")
        check_output(check_writable(path), overwrite=True)
    _refuse_clashes(outputs, paths)
    return outputs


def _check_folders(options: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """The three output folders; each exists or can be made."""
    from ttd_jax.io.atomic import check_output

    folders = [Path(name) if name else None for name in (options.output, options.save_weights, options.save_static)]
    for folder in filter(None, folders):
        check_output(folder, overwrite=True)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output {folder} is a file: name a folder, since the sources are folders")
        if folder.is_dir():
            check_output(folder / "any", overwrite=True)
    _refuse_clashes(folders, paths)
    return folders


def _refuse_clashes(outputs: list[Path | None], paths: list[Path]) -> None:
    taken = {_real(path) for path in paths}
    for output in filter(None, outputs):
        if _real(output) in taken:
            raise InputError(f"output {output} is also a source or another output: choose another name")
        taken.add(_real(output))


def _real(path: Path) -> str:
    """The file or folder that is meant, through links; of a link to itself, that link."""
    return os.path.realpath(str(path).partition("\0")[0])


def refuse_existing(outputs: list[Path | None], overwrite: bool) -> None:
    """Refuses to replace files; asked last, so that every other mistake is told first.

    Raises:
        InputError: One exists and ``overwrite`` is false.
    """
    from ttd_jax.io.atomic import check_output

    for output in filter(None, outputs):
        check_output(output, overwrite=overwrite)


def _tell(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    print(result_line(report))
    for remark in report["remarks"]:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
