"""The training loop: repeatable, resumable, logged.

The output folder holds ``plan.json``, ``log.csv`` (one row a step), ``state/`` (where a resumed run starts) and,
once a run is through, ``checkpoint/``, which :func:`ttd_jax.load_backbone` reads.
"""

import csv
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax import __version__
from ttd_jax.backbones import bandnet
from ttd_jax.backbones.recipes import recipes_as_data
from ttd_jax.core.weighting import PAPER
from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file, atomic_folder, check_output
from ttd_jax.io.checkpoints import save_checkpoint
from ttd_jax.training.batches import Batch, Pool, every_batch, make_batch, make_pool
from ttd_jax.training.plans import Plan
from ttd_jax.training.scenes import load_radiance, make_scenes
from ttd_jax.training.step import (
    Trained,
    calibrate,
    initial_parameters,
    make_judge,
    make_optimizer,
    make_step,
    refer,
)

SCENE_SIZE = 256


def train(plan: Plan, output: str | os.PathLike[str], *, resume: bool = False, save_every: int = 50) -> Path:
    """Trains BandNet and writes its checkpoint.

    With a guard set, the parameters that are kept are those of the saved step that did best on it.

    Args:
        plan: What to do.
        output: Folder to create; its parent must exist.
        resume: Continue from the state in ``output``; the result equals that of an uninterrupted run.
        save_every: Steps between two saved states, and between two looks at the guard set.

    Returns:
        The checkpoint folder.

    Raises:
        InputError: The folder exists and ``resume`` is false, it holds no state or that of another plan, or
            scikit-image is missing.
        FloatingPointError: The objective is no longer finite.
        OSError: The disk is full; the last state is kept.
    """
    output = Path(output)
    if resume:
        kept, first = _restore(plan, output)
    else:
        check_output(output).mkdir()
        _write_json(output / "plan.json", plan.as_dict())
        kept, first = Kept(initial_state(plan), None, np.float32(np.inf)), 0
    model = bandnet.build(**plan.network)
    step, judge = make_step(model, plan), make_judge(model, plan)
    pools, guard = make_pools(plan)
    logs: list[dict[str, Any]] = []
    state = kept.state
    for number in _progress(range(first + 1, plan.steps + 1)):
        batch = make_batch(pools, seed=plan.seed, step=number - 1, share=plan.pairs)
        state, log = step(state, batch)
        logs.append({"step": number, **log})
        if number % save_every == 0 or number == plan.steps:
            rows = [{name: float(value) for name, value in row.items()} for row in logs]
            if not all(np.isfinite(row["total"]) for row in rows):
                raise FloatingPointError(f"the objective is not finite before step {number}: lower learning_rate")
            kept = _judge(judge, kept, state, guard)
            _append_log(output / "log.csv", rows)
            _save(kept, number, output)
            logs.clear()
    return export(plan, kept, output)


class Kept(NamedTuple):
    """What a run goes on from: its state, and the best parameters so far with their objective on the guard set."""

    state: Trained
    best: Any
    objective: Any


def _judge(judge: Any, kept: Kept, state: Trained, guard: Sequence[Batch]) -> Kept:
    if not guard:
        return Kept(state, state.parameters, kept.objective)
    objective = np.float32(np.mean([float(judge(state.parameters, batch)) for batch in guard]))
    if objective < kept.objective or kept.best is None:
        return Kept(state, state.parameters, objective)
    return kept._replace(state=state)


def make_pools(plan: Plan) -> tuple[list[Pool], list[Batch]]:
    """The sets to train on, of two sources and of more, and batches of the guard set, of other scenes."""
    radiance = load_radiance(plan.radiance) if plan.radiance else []
    scenes = make_scenes(plan.seed, plan.scenes, SCENE_SIZE, radiance=radiance)
    options: dict[str, Any] = {"size": plan.size, "damaged": plan.damaged, "refer": refer}
    sets = {2: plan.sets} | (dict.fromkeys(plan.more, plan.sets // 12) if plan.pairs < 1 else {})
    pools = [make_pool(scenes, seed=plan.seed, sets=max(n, 4), count=m, **options) for m, n in sets.items()]
    if not plan.guard:
        return pools, []
    others = make_scenes(plan.seed + 1, plan.scenes, SCENE_SIZE, radiance=radiance)
    sets = {2: plan.guard - plan.guard // 4, 4: plan.guard // 4} if plan.pairs < 1 else {2: plan.guard}
    guard = [make_pool(others, seed=plan.seed + 1, sets=n, count=m, **options) for m, n in sets.items()]
    return pools, [batch for pool in guard for batch in every_batch(pool)]


def initial_state(plan: Plan) -> Trained:
    """Parameters and optimiser state before the first step, decided by the seed."""
    network = bandnet.build(**plan.network).network
    variables = jax.jit(network.init)(jax.random.key(plan.seed), jnp.zeros((2, 32, 32, 1)))
    parameters = initial_parameters(variables)
    return Trained(parameters, make_optimizer(plan).init(parameters))


def export(plan: Plan, kept: Kept, output: Path) -> Path:
    """Writes the network and its weighting as the checkpoint ``output/checkpoint``."""
    variables, trained = calibrate(kept.best, plan)
    weighting = replace(trained, saliency=float(trained.saliency), scale=float(trained.scale))
    published = bandnet.SPEC.recipes
    recipes = {name: PAPER if recipe == PAPER else weighting for name, recipe in published.items()}
    manifest = {
        "backbone": "bandnet",
        "preset": bandnet.SPEC.default_preset,
        "config": {name: list(v) if isinstance(v, tuple) else v for name, v in plan.network.items()},
        "recipes": recipes_as_data(recipes),
        "source": {"trained_with": plan.as_dict() | _named(plan.radiance), "commit": _commit()},
        "licence": "Apache-2.0",
        "ttd_jax": __version__,
    }
    save_checkpoint(output / "checkpoint", variables, manifest, overwrite=True)
    return output / "checkpoint"


def _named(radiance: str) -> dict[str, str]:
    """A file by its name and its digest, as it may lie elsewhere."""
    if not radiance:
        return {}
    digest = hashlib.sha256(Path(radiance).read_bytes()).hexdigest()
    return {"radiance": Path(radiance).name, "radiance_sha256": digest}


def _save(kept: Kept, step: int, output: Path) -> None:
    import orbax.checkpoint as ocp

    leaves = {f"{i:05d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(kept))}
    with atomic_folder(output / "state", overwrite=True) as folder:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / "leaves", leaves)
        _write_json(folder / "step.json", {"step": step})


def _restore(plan: Plan, output: Path) -> tuple[Kept, int]:
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
    start = initial_state(plan)
    template = Kept(start, start.parameters, np.float32(0))
    kept = jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(leaves[name]) for name in sorted(leaves)])
    _cut_log(output / "log.csv", first)
    return kept, first


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


def _progress(steps: range) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import track

    return iter(track(steps, "training", console=Console(stderr=True), transient=True))


def _commit() -> str | None:
    """The commit of the checkout this runs in, if it does."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
