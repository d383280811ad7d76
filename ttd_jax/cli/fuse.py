"""``ttd-jax fuse``: images or folders of images in, fused images out."""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.errors import InputError

_MOST_NOTES = 10  # of a folder run

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
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image or folder, or ROLE=PATH with a role such as visible, infrared, mri, pet, under, over, near, far",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file to write, or folder for folders")
    parser.add_argument("--backbone", help="fusion network (default: the one in the package)")
    parser.add_argument("--checkpoint", metavar="DIR", help="its checkpoint folder")
    parser.add_argument("--weighting", choices=("loss", "gradient", "static"), default="loss", help="default: loss")
    parser.add_argument(
        "--channel",
        type=_channel,
        metavar="N",
        help="feature channel for --weighting gradient: an index, several (13,44,58), auto, or mean (default)",
    )
    parser.add_argument("--recipe", help="named weighting recipe of the backbone (see ttd-jax info)")
    parser.add_argument(
        "--color",
        choices=("auto", "luma", "rgb", "gray"),
        default="auto",
        help="auto keeps colour if any source has it (default)",
    )
    parser.add_argument("--save-weights", metavar="FILE", help="also write the weight maps side by side, 16-bit grey")
    parser.add_argument("--save-static", metavar="FILE", help="also write the static fusion, for comparison")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fuses; returns the exit code."""
    if options.channel is not None and options.weighting != "gradient":
        raise InputError("--channel is for gradients: add --weighting gradient")
    sources = parse_sources(options.sources)
    paths = list(sources.values()) if isinstance(sources, dict) else sources
    folders = [path for path in paths if path.is_dir()]
    if folders and len(folders) < len(paths):
        files = [str(path) for path in paths if not path.is_dir()]
        raise InputError(f"folders go together with folders; got the folder {folders[0]} and the file {files[0]}")
    if len(paths) < 2:
        raise InputError("fusion takes two sources or more; got 1")
    return _run_folders(options, sources, paths) if folders else _run_files(options, sources, paths)


def _channel(text: str) -> Any:
    if text in ("mean", "auto"):
        return text
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"an index, indices such as 13,44,58, mean or auto; got {text!r}")
    numbers = [int(number) for number in text.split(",")]
    return numbers if len(numbers) > 1 else numbers[0]


def parse_sources(arguments: list[str]) -> dict[str, Path] | list[Path]:
    """Paths, by role if roles are given.

    Raises:
        InputError: Some have a role and some have none, or a role comes twice.
    """
    matches = [None if Path(a).exists() else re.fullmatch(r"([A-Za-z]\w*)=(.+)", a) for a in arguments]
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

    outputs = _check_outputs(options, paths)
    checked = check_sources(sources)  # before jax starts: a bad file should not cost seconds
    report = _fuse_one(_make_fusers(options), checked, outputs, options.overwrite)
    _tell(report, options.json)
    return 0


def _run_folders(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    from rich.console import Console
    from rich.progress import track

    from ttd_jax.io.folders import match_stems

    sets = match_stems(paths)
    folders = _check_folders(options, paths)
    fusers = _make_fusers(options)
    for folder in folders:
        if folder is not None:
            folder.mkdir(exist_ok=True)
    failures = [f"{stem}: missing in {', '.join(map(str, lacking))}" for stem, lacking in sets.incomplete.items()]
    notes: Counter[str] = Counter()
    console = Console(stderr=True)
    shown = track(sets.complete.items(), "fusing", console=console, transient=True, disable=not console.is_terminal)
    for stem, files in shown:
        one = dict(zip(sources, files, strict=True)) if isinstance(sources, dict) else files
        suffix = ".tif" if files[0].suffix.lower() in (".tif", ".tiff") else ".png"
        outputs = [None if folder is None else folder / f"{stem}{suffix}" for folder in folders]
        try:
            _refuse_existing(outputs, options.overwrite)
            report = _fuse_one(fusers, one, outputs, options.overwrite)
        except (InputError, OSError) as error:
            failures.append(f"{stem}: {error}")
            continue
        notes.update(report["remarks"])
        if options.json:
            _tell(report, True)
    for note, times in notes.most_common(_MOST_NOTES):
        print(f"ttd-jax: note: {note}" + (f" ({times} times)" if times > 1 else ""), file=sys.stderr)
    if len(notes) > _MOST_NOTES:
        print(f"ttd-jax: note: {len(notes) - _MOST_NOTES} more notes, see --json", file=sys.stderr)
    for failure in failures:
        print(f"ttd-jax: failed: {failure}", file=sys.stderr)
    done = len(sets.complete) + len(sets.incomplete) - len(failures)
    if not options.json:
        print(f"{options.output}: {done} fused, {len(failures)} failed")
    return 1 if failures else 0


def _make_fusers(options: argparse.Namespace) -> tuple[Any, Any]:
    """The fuser asked for, and the static one if its result is wanted."""
    runtime.start_jax(options)
    from ttd_jax import Fuser, GradientWeighting, load_backbone

    backbone = load_backbone(options.backbone, options.checkpoint)
    weighting = options.weighting if options.channel is None else GradientWeighting(channel=options.channel)
    fuser = Fuser(backbone, weighting=weighting, recipe=options.recipe, color=options.color)
    static = Fuser(backbone, weighting="static", color=options.color) if options.save_static else None
    return fuser, static


def _fuse_one(fusers: tuple[Any, Any], sources: Any, outputs: list[Path | None], overwrite: bool) -> dict[str, Any]:
    """Fuses one set and writes its files; returns the report with the output's name."""
    import numpy as np

    from ttd_jax.io.images import write_image

    fuser, static = fusers
    output, weights_output, static_output = outputs
    result = fuser(sources)
    if weights_output and result.weights is None:
        raise InputError("a maximum has no weights to save: leave --save-weights out, or use --weighting loss")
    plain = static(sources) if static is not None else None
    if weights_output:
        maps = np.rint(np.concatenate(list(result.weights), axis=1) * 65535).astype(np.uint16)
        write_image(weights_output, maps, overwrite=overwrite)
    if static_output and plain is not None:
        plain.save(static_output, overwrite=overwrite)
    result.save(output, overwrite=overwrite)
    return {"output": str(output), **result.report}


def _check_outputs(options: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """The three output files, checked before anything is computed."""
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable

    outputs = [Path(name) if name else None for name in (options.output, options.save_weights, options.save_static)]
    for path in filter(None, outputs):
        if path.is_dir():
            raise InputError(f"output {path} is a folder: name a file, since the sources are files")
        check_output(check_writable(path), options.overwrite)
    _refuse_clashes(outputs, paths)
    return outputs


def _check_folders(options: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """The three output folders; each exists or can be made."""
    from ttd_jax.io.atomic import check_output

    folders = [Path(name) if name else None for name in (options.output, options.save_weights, options.save_static)]
    for folder in filter(None, folders):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output {folder} is a file: name a folder, since the sources are folders")
        check_output(folder / "any" if folder.is_dir() else folder, overwrite=True)
    _refuse_clashes(folders, paths)
    return folders


def _refuse_clashes(outputs: list[Path | None], paths: list[Path]) -> None:
    taken = {path.resolve() for path in paths}
    for output in filter(None, outputs):
        if output.resolve() in taken:
            raise InputError(f"output {output} is also a source or another output: choose another name")
        taken.add(output.resolve())


def _refuse_existing(outputs: list[Path | None], overwrite: bool) -> None:
    from ttd_jax.io.atomic import check_output

    for output in filter(None, outputs):
        check_output(output, overwrite)


def _in_words(weighting: Any) -> str:
    if weighting == "static":
        return weighting
    if "channel" not in weighting:
        return "loss"
    chosen = f" {weighting['chosen_channel']}" if "chosen_channel" in weighting else ""
    return f"gradient (channel {weighting['channel']}{chosen})"


def _tell(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    height, width = report["shape"][:2]
    weighting = _in_words(report["weighting"])
    print(
        f"{report['output']}: {len(report['sources'])} sources, {width} x {height} {report['dtype']}, "
        f"color {report['color']}, {report['backbone']} {report['preset'] or ''} {weighting}, "
        f"{report['seconds']['fuse']:.2f} s"
    )
    for remark in report["remarks"]:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
