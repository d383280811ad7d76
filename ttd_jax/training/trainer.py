"""The training loop: repeatable, resumable, logged.

The output folder holds ``recipe.json``, ``log.csv`` (one row a step), ``state/`` (where a resumed run starts) and,
once a run is through, ``checkpoint/``, which :func:`ttd_jax.load_backbone` reads.
"""

import csv
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax import __version__
from ttd_jax.backbones import ttdnet
from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file, atomic_folder, check_output
from ttd_jax.io.checkpoints import save_checkpoint
from ttd_jax.training.batches import batches
from ttd_jax.training.recipes import Recipe
from ttd_jax.training.scenes import make_scenes
from ttd_jax.training.step import Trained, make_optimizer, make_step

SCENE_SIZE = 256
_T = TypeVar("_T")


def train(recipe: Recipe, output: str | os.PathLike, *, resume: bool = False, save_every: int = 100) -> Path:
    """Trains TTDNet and writes its checkpoint.

    Args:
        recipe: What to do.
        output: Folder to create; its parent must exist.
        resume: Continue from the state in ``output``; the result equals that of an uninterrupted run.
        save_every: Steps between two saved states.

    Returns:
        The checkpoint folder.

    Raises:
        InputError: The folder exists and ``resume`` is false, it holds no state or that of another recipe, or
            scikit-image is missing.
        FloatingPointError: The objective is no longer finite.
        OSError: The disk is full; the last state is kept.
    """
    output = Path(output)
    scenes = make_scenes(recipe.seed, recipe.scenes, SCENE_SIZE)
    if resume:
        state, first = _restore(recipe, output)
    else:
        check_output(output).mkdir()
        _write_json(output / "recipe.json", recipe.as_dict())
        state, first = initial_state(recipe), 0
    step = make_step(ttdnet.build(**recipe.network), recipe)
    stream = batches(
        first,
        recipe.steps,
        scenes=scenes,
        seed=recipe.seed,
        size=recipe.size,
        batch=recipe.batch,
        counts=recipe.counts,
        corrupted=recipe.corrupt,
    )
    logs: list[dict[str, Any]] = []
    for number, batch in enumerate(_progress(stream, recipe.steps - first), first + 1):
        state, log = step(state, batch)
        logs.append({"step": number, **log})
        if number % save_every == 0 or number == recipe.steps:
            rows = [{name: float(value) for name, value in row.items()} for row in logs]
            if not all(np.isfinite(row["total"]) for row in rows):
                raise FloatingPointError(f"the objective is not finite before step {number}: lower learning_rate")
            _append_log(output / "log.csv", rows)
            _save(state, number, output)
            logs.clear()
    return export(recipe, state, output)


def initial_state(recipe: Recipe) -> Trained:
    """Parameters and optimiser state before the first step, decided by the seed."""
    network = ttdnet.build(**recipe.network).network
    parameters = network.init(jax.random.key(recipe.seed), jnp.zeros((1, 16, 16, 1)))
    return Trained(parameters, make_optimizer(recipe).init(parameters))


def export(recipe: Recipe, state: Trained, output: Path) -> Path:
    """Writes the network and its weighting as the checkpoint ``output/checkpoint``."""
    manifest = {
        "backbone": "ttdnet",
        "preset": recipe.name,
        "config": recipe.network,
        "recipe": asdict(recipe.weighting),
        "source": {"trained_with": recipe.as_dict(), "commit": _commit()},
        "licence": "Apache-2.0",
        "ttd_jax": __version__,
    }
    save_checkpoint(output / "checkpoint", state.parameters, manifest, overwrite=True)
    return output / "checkpoint"


def _save(state: Trained, step: int, output: Path) -> None:
    import orbax.checkpoint as ocp

    leaves = {f"{i:05d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    with atomic_folder(output / "state", overwrite=True) as folder:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / "leaves", leaves)
        _write_json(folder / "step.json", {"step": step})


def _restore(recipe: Recipe, output: Path) -> tuple[Trained, int]:
    import orbax.checkpoint as ocp

    if not (output / "state" / "step.json").is_file():
        raise InputError(f"{output} holds no training state to resume from: leave --resume out to start afresh")
    saved, wanted = json.loads((output / "recipe.json").read_text()), json.loads(json.dumps(recipe.as_dict()))
    if saved != wanted:
        different = ", ".join(sorted(name for name in saved.keys() | wanted if saved.get(name) != wanted.get(name)))
        raise InputError(f"{output} is a run of another recipe (different: {different}): resume with the same one")
    first = json.loads((output / "state" / "step.json").read_text())["step"]
    with ocp.PyTreeCheckpointer() as checkpointer:
        leaves = checkpointer.restore((output / "state" / "leaves").absolute())
    template = initial_state(recipe)
    state = jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(leaves[name]) for name in sorted(leaves)])
    _cut_log(output / "log.csv", first)
    return state, first


def _append_log(path: Path, rows: list[dict[str, float]]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def _cut_log(path: Path, last: int) -> None:
    """Drops rows after the step that is resumed from."""
    lines = path.read_text().splitlines(keepends=True)
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text("".join(lines[:1] + [row for row in lines[1:] if float(row.split(",")[0]) <= last]))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _progress(items: Iterable[_T], total: int) -> Iterator[_T]:
    from rich.console import Console
    from rich.progress import track

    return iter(track(items, "training", total=total, console=Console(stderr=True), transient=True))


def _commit() -> str | None:
    """The commit of the checkout this runs in, if it does."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
