"""``ttd-jax info``: versions, devices, backbones and checkpoints."""

import argparse
import json
from typing import Any

from ttd_jax.cli import runtime


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("info", help="show versions, devices, backbones and checkpoints")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints what is here; returns the exit code."""
    runtime.start_jax(options)
    facts = gather()
    if options.json:
        print(json.dumps(facts))
        return 0
    print("versions   " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    print("devices    " + ", ".join(facts["devices"]))
    for row in facts["backbones"]:
        print(f"backbone   {row['name']}: {row['title']}")
        print(
            f"           {row['parameters']:,} parameters, {row['channels']} channel(s), {row['reach']}; "
            f"presets {', '.join(row['presets'])}; recipes {', '.join(row['recipes'])}"
        )
        print(f"           from {row['origin']}; {row['licence']}")
    for row in facts["checkpoints"]:
        print(f"checkpoint {row['name']}: {row['backbone']}, {row['parameters']:,} parameters, {row['licence']}")
    return 0


def gather() -> dict[str, Any]:
    """The facts, as plain data."""
    import platform
    from importlib.metadata import version

    import jax

    from ttd_jax import __version__
    from ttd_jax.backbones import BACKBONES, bundled_checkpoints
    from ttd_jax.io.checkpoints import count_parameters, read_manifest

    backbones = []
    for spec in BACKBONES.values():
        model = spec.build(**spec.presets[spec.default_preset])
        backbones.append(
            {
                "name": spec.name,
                "title": spec.title,
                "parameters": count_parameters(spec.abstract(model)),
                "channels": spec.channels,
                "reach": "looks at the whole image" if model.halo is None else f"looks {sum(model.halo)} pixels far",
                "presets": list(spec.presets),
                "recipes": list(spec.recipes),
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
        "backbones": backbones,
        "checkpoints": checkpoints,
    }
