"""The training loop: repeatable, resumable, logged.

The output folder holds ``plan.json``, ``log.csv`` (one row a step), ``state/`` (where a resumed run starts) and,
once a run is through, ``checkpoint/``, which :func:`ttd_jax.load_backbone` reads.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax import __version__
from ttd_jax.backbones import bandnet
from ttd_jax.backbones.recipes import recipes_as_data
from ttd_jax.core.weighting import PAPER
from ttd_jax.io.atomic import check_output
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
from ttd_jax.training.store import Kept, append_log, commit, cut_log, restore, save, with_digest, write_json

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
        leaves, first = restore(plan, output)
        start = initial_state(plan)
        kept = jax.tree.unflatten(jax.tree.structure(Kept(start, start.parameters, np.float32(0))), leaves)
        cut_log(output / "log.csv", first)
    else:
        check_output(output).mkdir()
        write_json(output / "plan.json", plan.as_dict())
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
            append_log(output / "log.csv", rows)
            save(kept, number, output)
            logs.clear()
    return export(plan, kept, output)


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
        "config": {n: list(v) if isinstance(v, tuple) else v for n, v in plan.network.items()} | {"calm": plan.calm},
        "recipes": recipes_as_data(recipes),
        "source": {"trained_with": plan.as_dict() | with_digest(plan.radiance), "commit": commit()},
        "licence": "Apache-2.0",
        "ttd_jax": __version__,
    }
    save_checkpoint(output / "checkpoint", variables, manifest, overwrite=True)
    return output / "checkpoint"


def _progress(steps: range) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import track

    return iter(track(steps, "training", console=Console(stderr=True), transient=True))
