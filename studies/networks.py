"""What converted networks are: their files, licence and parameters, and what one pair costs.

``python -m studies.networks DIR ...`` prints this table, ``python -m studies.cells --networks DIR ...`` scores too.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from studies.methods import Method, named_method
from ttd_jax import Fuser, load_backbone

SIDE = 320
"""Of the grey pair that seconds are of."""


def network_methods(folders: Iterable[Path]) -> dict[str, Method]:
    """By label: each network by its static rule, and with its default weights if it has any."""
    found = {}
    for folder in folders:
        backbone = load_backbone(None, folder)
        found[f"{backbone.name}, static"] = named_method(f"fuse weighting=static checkpoint={folder}")
        if backbone.recipes:
            found[backbone.name] = named_method(f"fuse checkpoint={folder}")
    return found


def files_in(source: dict) -> list[str]:
    """Names of the files that a manifest says its parameters come from."""
    return [one["file"] for one in source.get("files", [source]) if "file" in one]


def processor_seconds(folder: Path, weighting: str, repeat: int = 3) -> float:
    """Processor time over all cores of one grey pair, the least of some runs after compilation."""
    fuser = Fuser(load_backbone(None, folder), weighting=weighting)
    pair = list(np.random.default_rng(0).random((2, SIDE, SIDE)).astype(np.float32))
    fuser(pair)
    found = []
    for _ in range(repeat):
        started = time.process_time()
        fuser(pair)
        found.append(time.process_time() - started)
    return min(found)


def print_networks(folders: Iterable[Path]) -> None:
    """Markdown, a row for each network."""
    heads = ("checkpoint", "licence", "parameters", f"static, s ({SIDE} x {SIDE})", "default weights, s")
    print("\n| network | " + " | ".join(heads) + " |\n" + "|---" * (1 + len(heads)) + "|")
    for folder in folders:
        backbone = load_backbone(None, folder)
        manifest = backbone.manifest
        files = ", ".join(f"`{name}`" for name in files_in(manifest.get("source", {}))) or "in the package"
        seconds = [
            f"{processor_seconds(folder, weighting):.2f}"
            for weighting in ("static", *(["loss"] * bool(backbone.recipes)))
        ]
        costs = " | ".join([*seconds, ""][:2])
        licence = str(manifest.get("licence", backbone.spec.licence)).split(":")[0]
        parameters = f"{manifest.get('parameters', 0):,}"
        print(
            f"| {backbone.name} ({manifest.get('preset')}) | {files} | {licence} | {parameters} | {costs} |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="converted checkpoints")
    print_networks(parser.parse_args().folders)


if __name__ == "__main__":
    main()
