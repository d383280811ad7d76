"""``ttd-jax info``: versions, the machine, backbones and checkpoints."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttd_jax.cli import machine, runtime

_EPILOG = """examples:
  ttd-jax info
  ttd-jax info cddfuse mgdn
  ttd-jax info --json
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "info",
        help="show versions, this machine, backbones and checkpoints",
        description="Show versions, this machine, backbones with their presets and recipes, and checkpoints; all "
        "about the backbones that are named.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("backbones", nargs="*", metavar="BACKBONE", help="to tell all about (--json: default all)")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints what is here; returns the exit code."""
    runtime.start_jax(options)
    facts = gather(
        names=options.backbones, programs=options.program_folder, counted=bool(options.json or options.backbones)
    )
    if options.json:
        print(json.dumps(facts))
        return 0
    for row in facts["backbones"] if options.backbones else ():
        _print_all(row)
    if not options.backbones:
        _print_overview(facts)
    return 0


def _print_overview(facts: dict[str, Any]) -> None:
    print("versions   " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    print("devices    " + ", ".join(facts["devices"]))
    for line in machine.in_words(facts["processor"], facts["compile_cache"]):
        print(line)
    for row in facts["backbones"]:
        print(f"backbone   {row['name']}: {row['title']}")
        print(f"           {_choices(row)}")
    for row in facts["checkpoints"]:
        print(f"checkpoint {row['name']}: {row['backbone']}, {row['parameters']:,} parameters, {row['licence']}")
    print("All about a backbone: ttd-jax info NAME")


def _print_all(row: dict[str, Any]) -> None:
    print(f"backbone   {row['name']}: {row['title']}")
    print(f"           {row['parameters']:,} parameters, {row['channels']} channel(s), {row['reach']}; {_choices(row)}")
    print(f"           merges by {row['static_rule']}")
    for presets, facts_of in _alike(row["by_preset"]):
        print(f"           {presets}: {_in_words(facts_of)}")
    print(f"           from {row['origin']}; {row['licence']}")


def _choices(row: dict[str, Any]) -> str:
    return f"presets {', '.join(row['presets'])}; recipes {', '.join(row['recipes'])}"


def _alike(by_preset: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Presets with the same facts together."""
    groups: dict[str, list[str]] = {}
    for preset, facts in by_preset.items():
        groups.setdefault(json.dumps(facts), []).append(preset)
    return [(", ".join(presets), json.loads(facts)) for facts, presets in groups.items()]


def _in_words(facts: dict[str, Any]) -> str:
    recipe = facts["default_recipe"]
    return "; ".join(
        [
            f"{facts['parameters']:,} parameters, {facts['channels']} channel(s)",
            *([f"roles {', '.join(facts['roles'])}"] if facts["roles"] else []),
            "any size" + (f", padded inside to a multiple of {facts['multiple']}" if facts["multiple"] > 1 else ""),
            f"default {recipe['loss']} x {recipe['scale']:g} of {recipe['component']!r}" if recipe else "static only",
        ]
    )


def _in_pixels(halo: tuple[int, int] | None) -> str:
    return "looks at the whole image" if halo is None else f"looks {sum(halo)} pixels far"


def _facts_of(spec: Any, preset: str) -> dict[str, Any]:
    """What may differ from preset to preset."""
    from dataclasses import asdict

    from ttd_jax.io.checkpoints import count_parameters

    row = spec.of_preset(preset)
    return {
        "parameters": count_parameters(row.abstract(row.build(**row.presets[preset]))),
        "channels": row.channels,
        "roles": list(row.roles),
        "multiple": row.multiple,
        "default_recipe": asdict(row.recipes["default"]) if row.recipes else None,
    }


def gather(*, names: Sequence[str] = (), programs: Path | None = None, counted: bool = True) -> dict[str, Any]:
    """The facts, as plain data.

    Args:
        names: Of backbones; none for all.
        programs: Folder of the compiled ones.
        counted: Count the parameters of every preset, for which each network is traced: seconds for all.
    """
    import platform
    from importlib.metadata import version

    import jax

    from ttd_jax import __version__
    from ttd_jax.backbones import backbone_names, bundled_checkpoints, find_spec
    from ttd_jax.io.checkpoints import read_manifest

    backbones = []
    for spec in map(find_spec, names or backbone_names()):
        model = spec.build(**spec.presets[spec.default_preset])
        by_preset = {preset: _facts_of(spec, preset) for preset in spec.presets} if counted else {}
        backbones.append(
            {
                "name": spec.name,
                "title": spec.title,
                "parameters": by_preset[spec.default_preset]["parameters"] if counted else None,
                "channels": spec.channels,
                "reach": _in_pixels(model.facts.halo),
                "static_rule": spec.static_rule or model.facts.rule,
                "presets": list(spec.presets),
                "by_preset": by_preset,
                "recipes": list(dict.fromkeys(n for p in spec.presets for n in spec.of_preset(p).recipes)),
                "roles": list(spec.roles),
                "origin": spec.origin,
                "licence": spec.licence,
            }
        )
    checkpoints = []
    for name, folder in bundled_checkpoints().items():
        manifest = read_manifest(folder)
        checkpoints.append({"name": name, **{k: manifest[k] for k in ("backbone", "parameters", "licence", "sha256")}})
    versions = {"ttd-jax": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in ("jax", "flax", "orbax-checkpoint", "numpy")}
    return {
        "versions": versions,
        "devices": [f"{device.platform}:{device.id} {device.device_kind}" for device in jax.devices()],
        "processor": machine.machine(),
        "compile_cache": machine.cache(programs),
        "backbones": backbones,
        "checkpoints": checkpoints,
    }
