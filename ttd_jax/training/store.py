"""What a training run keeps: the state it goes on from, its log, and where it came from."""

import csv
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file, atomic_folder
from ttd_jax.training.plans import Plan
from ttd_jax.training.step import Trained


class Kept(NamedTuple):
    """What a run goes on from: its state, and the best parameters so far with their objective on the guard set."""

    state: Trained
    best: Any
    objective: Any


def save(kept: Kept, step: int, output: Path) -> None:
    """Writes the state after a step in place of the one before."""
    import orbax.checkpoint as ocp

    leaves = {f"{i:05d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(kept))}
    with atomic_folder(output / "state", overwrite=True) as folder:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / "leaves", leaves)
        write_json(folder / "step.json", {"step": step})


def restore(plan: Plan, output: Path) -> tuple[list[jax.Array], int]:
    """The leaves of what a run kept, and the step that they are of.

    Args:
        plan: What the run is to do.
        output: Its folder.

    Raises:
        InputError: There is none, or it is of another plan.
    """
    import orbax.checkpoint as ocp

    if not (output / "state" / "step.json").is_file():
        raise InputError(f"{output} holds no training state to resume from: leave --resume out to start afresh")
    saved, wanted = json.loads((output / "plan.json").read_text()), json.loads(json.dumps(plan.as_dict()))
    if saved != wanted:
        different = ", ".join(sorted(name for name in saved.keys() | wanted if saved.get(name) != wanted.get(name)))
        raise InputError(f"{output} is a run of another plan (different: {different}): resume with the same one")
    first = json.loads((output / "state" / "step.json").read_text())["step"]
    with ocp.PyTreeCheckpointer() as checkpointer:
        leaves = checkpointer.restore((output / "state" / "leaves").absolute())
    return [jnp.asarray(leaves[name]) for name in sorted(leaves)], first


def append_log(path: Path, rows: list[dict[str, float]]) -> None:
    """Adds rows to a CSV file, under a head if it is new."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def cut_log(path: Path, last: int) -> None:
    """Drops rows after the step that is resumed from."""
    lines = path.read_text().splitlines(keepends=True)
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text("".join(lines[:1] + [row for row in lines[1:] if float(row.split(",")[0]) <= last]))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes plain data, so that a reader finds its way."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def with_digest(radiance: str) -> dict[str, str]:
    """A file by its name and its digest, as it may lie elsewhere."""
    if not radiance:
        return {}
    digest = hashlib.sha256(Path(radiance).read_bytes()).hexdigest()
    return {"radiance": Path(radiance).name, "radiance_sha256": digest}


def commit() -> str | None:
    """The commit of the checkout this runs in, if it does."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
