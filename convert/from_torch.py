"""Converts a PyTorch checkpoint into one of ttd-jax; needs no PyTorch and runs nothing that is in the file.

Usage: ``python convert/from_torch.py ifcnn IFCNN-MAX.pth --output checkpoints/ifcnn-max --preset max``. A network that
its authors split into files takes all of them, in any order.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "convert"

from ttd_jax import __version__
from ttd_jax.cli import edge
from ttd_jax.cli.completion import add_completion
from ttd_jax.errors import CheckpointError, InputError, shown
from ttd_jax.io.atomic import check_output
from ttd_jax.io.checkpoints import save_checkpoint

from .files import File, gather, read_file
from .fitting import NETWORKS, better_name, fit, fits, summarize
from .mappings import TABLES
from .rules import Converted


def convert_file(
    backbone: str,
    path: str | Path | Sequence[str | Path],
    output: str | Path,
    preset: str | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Converted]:
    """Converts one file, or the files of one network.

    Args:
        backbone: Name of the network the file belongs to.
        path: The ``.pth`` file; several, in any order, for a network that its authors split.
        output: Checkpoint folder to create.
        preset: One of the backbone's presets; None for the one in the file's name, or the only one that it fits.
        overwrite: Replace an existing folder.

    Returns:
        The manifest that was written, and the variables with the keys that were used and ignored.

    Raises:
        InputError: Unknown network or preset, a file that fits several presets, several files for a network of one, or
            the output cannot be written.
        CheckpointError: A file cannot be read or does not fit, or one is missing or named twice.
    """
    if backbone not in TABLES:
        raise InputError(f"backbones are {', '.join(TABLES)}; got {backbone!r}")
    spec = NETWORKS[backbone]
    if preset is not None and preset not in spec.presets:
        raise InputError(f"presets of {backbone} are {', '.join(spec.presets)}; got {preset!r}")
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    table = TABLES[backbone]
    if len(paths) != 1 and not table.files:
        raise InputError(f"{backbone} is converted from one file; got {len(paths)}: name one")
    check_output(output, overwrite=overwrite)
    if table.files:
        preset = preset or spec.default_preset
        files, converted = _from_several(backbone, preset, paths)
        source: dict[str, Any] = {"files": [file.as_data() for file in files]}
    else:
        file = read_file(paths[0])
        preset = preset or _only_preset(backbone, file)
        converted = _from_one(backbone, preset, file)
        source = file.as_data()
    manifest = {
        "backbone": backbone,
        "preset": preset,
        "config": dict(spec.presets[preset]),
        "recipe": None,
        "source": source,
        "licence": spec.licence,
        "ttd_jax": __version__,
    }
    return save_checkpoint(output, converted.variables, manifest, overwrite=overwrite), converted


def _from_one(backbone: str, preset: str, file: File) -> Converted:
    found = fit(backbone, preset, file.tensors)
    if isinstance(found, Converted):
        return found
    better = better_name(backbone, preset, file.tensors)
    reason = f", but one of {better}" if better else f": {_reasons(backbone, file, found)}"
    raise CheckpointError(f"{file.path} is no {backbone} ({preset}) checkpoint{reason}")


def _reasons(backbone: str, file: File, problems: list[str]) -> str:
    hint = TABLES[backbone].hint(file.tensors)
    return summarize(problems) + (f": {hint}" if hint else "")


def _from_several(backbone: str, preset: str, paths: Sequence[Path]) -> tuple[list[File], Converted]:
    gathered = gather(backbone, preset, paths)
    found = fit(backbone, preset, gathered.tensors, without=gathered.missing)
    problems = gathered.problems + ([] if isinstance(found, Converted) else found)
    if isinstance(found, Converted) and not problems:
        return gathered.files, found
    names = ", ".join(map(str, paths))
    verb = "are" if len(paths) > 1 else "is"
    raise CheckpointError(f"{names} {verb} no {backbone} ({preset}) checkpoint: {summarize(problems)}")


def _only_preset(backbone: str, file: File) -> str:
    """The preset that the file's name has as a word, else the only one that its tensors fit, else the first.

    Raises:
        InputError: The tensors fit several.
    """
    presets, name = list(NETWORKS[backbone].presets), file.path
    named = [preset for preset in presets if re.search(rf"(?<![a-z0-9]){preset}(?![a-z0-9])", name.stem.lower())]
    fitting = named if len(named) == 1 or len(presets) == 1 else [p for p in presets if fits(backbone, p, file.tensors)]
    if len(fitting) > 1:
        raise InputError(
            f"{shown(name.name)} fits the presets {', '.join(fitting)} of {backbone}, which fuse differently, and its "
            "name does not say which: name one with --preset"
        )
    return (fitting or presets)[0]


def _epilog() -> str:
    """Two examples, and the presets of each network."""
    wide = max(map(len, TABLES))
    rows = [f"  {name:{wide}}  {', '.join(NETWORKS[name].presets) or 'none'}" for name in sorted(TABLES)]
    examples = (
        "ttd-jax-convert ifcnn IFCNN-MAX.pth --output ifcnn-max",
        "ttd-jax-convert auif TCSVT_Encoder_Base.model TCSVT_Encoder_Detail.model TCSVT_Decoder.model --output auif",
    )
    return "\n".join(["examples:", *(f"  {line}" for line in examples), "", "presets:", *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 2 for usage and output, 3 for the checkpoint."""
    return edge.run("ttd-jax-convert", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="ttd-jax-convert",
        description=(__doc__ or "").splitlines()[0],
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ttd-jax-convert {__version__}")
    add_completion(parser)
    parser.add_argument("backbone", choices=sorted(TABLES), help="which network the file belongs to")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="file",
        help="the .pth file, of any PyTorch version; all of them, in any order, for "
        + ", ".join(name for name, table in TABLES.items() if table.files),
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="checkpoint folder to create")
    parser.add_argument("--preset", help="published configuration (default: the one in the file's name)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    options = parser.parse_args(arguments)
    try:
        manifest, converted = convert_file(
            options.backbone, options.files, options.output, options.preset, options.overwrite
        )
    except OSError as error:
        error.filename = error.filename or options.output
        raise
    print(
        f"{options.output}: {options.backbone}, preset {manifest['preset']}, {manifest['parameters']:,} parameters\n"
        f"  keys: {len(converted.used)} used, {len(converted.ignored)} ignored by name"
    )
    for file in manifest["source"].get("files", [manifest["source"]]):
        print(f"  source: {file['file']}, sha256 {file['sha256']}")
    print(f"  licence: {manifest['licence']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
