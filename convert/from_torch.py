"""Converts a PyTorch checkpoint into one of ttd-jax; needs no PyTorch and runs nothing that is in the file.

Usage: ``python convert/from_torch.py ifcnn IFCNN-MAX.pth --output checkpoints/ifcnn-max --preset max``
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script from a checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "convert"

from ttd_jax import __version__
from ttd_jax.backbones import COMPANIONS, find_spec
from ttd_jax.errors import CheckpointError, InputError, shown
from ttd_jax.io.atomic import check_output
from ttd_jax.io.checkpoints import save_checkpoint

from .mappings import TABLES
from .rules import Converted, Misfit, convert
from .torch_file import read_torch_file

_MOST_GROUPS = 12
_NETWORKS = {name: COMPANIONS.get(name) or find_spec(name) for name in TABLES}


def convert_file(
    backbone: str, path: str | Path, output: str | Path, preset: str | None = None, overwrite: bool = False
) -> tuple[dict[str, Any], Converted]:
    """Converts one file.

    Args:
        backbone: Name of the network the file belongs to.
        path: The ``.pth`` file.
        output: Checkpoint folder to create.
        preset: One of the backbone's presets; None for the one in the file's name, or the only one that it fits.
        overwrite: Replace an existing folder.

    Returns:
        The manifest that was written, and the variables with the keys that were used and ignored.

    Raises:
        InputError: Unknown network or preset, a file that fits several presets, or the output cannot be written.
        CheckpointError: The file cannot be read or does not fit.
    """
    if backbone not in TABLES:
        raise InputError(f"backbones are {', '.join(TABLES)}; got {backbone!r}")
    spec = _NETWORKS[backbone]
    if preset is not None and preset not in spec.presets:
        raise InputError(f"presets of {backbone} are {', '.join(spec.presets)}; got {preset!r}")
    check_output(output, overwrite)
    path = Path(path)
    tensors = read_torch_file(path)
    preset = preset or _only_preset(backbone, path, tensors)
    config = dict(spec.presets[preset])
    try:
        converted = convert(tensors, TABLES[backbone], spec.abstract(spec.build(**config)))
    except Misfit as misfit:
        better = _better_name(backbone, preset, tensors)
        reason = f", but one of {better}" if better else f": {_summarize(misfit.problems)}"
        raise CheckpointError(f"{path} is no {backbone} ({preset}) checkpoint{reason}") from None
    manifest = {
        "backbone": backbone,
        "preset": preset,
        "config": config,
        "recipe": None,
        "source": {"file": path.name, "sha256": _sha256(path)},
        "licence": spec.licence,
        "ttd_jax": __version__,
    }
    return save_checkpoint(output, converted.variables, manifest, overwrite), converted


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _only_preset(backbone: str, path: Path, tensors: dict[str, Any]) -> str:
    """The preset that the file's name has as a word, else the only one that its tensors fit, else the first.

    Raises:
        InputError: The tensors fit several.
    """
    presets = list(_NETWORKS[backbone].presets)
    named = [preset for preset in presets if re.search(rf"(?<![a-z0-9]){preset}(?![a-z0-9])", path.stem.lower())]
    fitting = named if len(named) == 1 or len(presets) == 1 else [p for p in presets if _fits(backbone, p, tensors)]
    if len(fitting) > 1:
        raise InputError(
            f"{shown(path.name)} fits the presets {', '.join(fitting)} of {backbone}, which fuse differently, and its "
            "name does not say which: name one with --preset"
        )
    return (fitting or presets)[0]


def _fits(backbone: str, preset: str, tensors: dict[str, Any]) -> bool:
    table, spec = TABLES[backbone], _NETWORKS[backbone]
    if not table.knows(tensors):
        return False
    try:
        convert(tensors, table, spec.abstract(spec.build(**spec.presets[preset])))
    except Misfit:
        return False
    return True


def _better_name(backbone: str, preset: str, tensors: dict[str, Any]) -> str:
    """A hint at the network and preset that the file does fit, if there is one."""
    others = [
        (name, other) for name in TABLES for other in _NETWORKS[name].presets if (name, other) != (backbone, preset)
    ]
    fitting = next((one for one in others if _fits(*one, tensors)), None)
    return "{} (--preset {})".format(*fitting) if fitting else ""


def _summarize(problems: list[str]) -> str:
    """Problems in one line: of those of one kind in one network or layer the first, and of these groups a dozen."""
    groups: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        kind, name = re.findall(r"^(missing|unexpected key|unexpected|)\s*(.*)", problem)[0]
        part = re.split(r"[./]", name.removeprefix("params/"))[0]
        groups.setdefault((kind, part) if kind else ("", name), []).append(name)
    lines = [
        shown(f"{kind} {names[0]}".strip()) + (f" and {len(names) - 1} more of {shown(part)}" if len(names) > 1 else "")
        for (kind, part), names in groups.items()
    ][:_MOST_GROUPS]
    rest = sum(map(len, list(groups.values())[_MOST_GROUPS:]))
    return "; ".join(lines) + (f"; and {rest} more" if rest else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 2 for usage and output, 3 for the checkpoint."""
    parser = argparse.ArgumentParser(prog="from_torch.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("backbone", choices=sorted(TABLES), help="which network the file belongs to")
    parser.add_argument("file", help="the .pth file, of any PyTorch version")
    parser.add_argument("--output", required=True, metavar="DIR", help="checkpoint folder to create")
    parser.add_argument("--preset", help="published configuration (default: the one in the file's name)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    options = parser.parse_args(arguments)
    try:
        manifest, converted = convert_file(
            options.backbone, options.file, options.output, options.preset, options.overwrite
        )
    except (InputError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 3
    except OSError as error:
        print(f"error: {error.filename or options.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(
        f"{options.output}: {options.backbone}, preset {manifest['preset']}, {manifest['parameters']:,} parameters\n"
        f"  keys: {len(converted.used)} used, {len(converted.ignored)} ignored by name\n"
        f"  source: {manifest['source']['file']}, sha256 {manifest['source']['sha256']}\n"
        f"  licence: {manifest['licence']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
