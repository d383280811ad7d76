"""One optimisation step: test-time dynamic fusion of one set of every task, the objective and its gradient."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ttd_jax.backbones import pyramid
from ttd_jax.backbones.bandnet import WEIGHTING
from ttd_jax.core.fusion import Fused, fuse
from ttd_jax.core.model import FusionModel
from ttd_jax.core.protocol import Weighting
from ttd_jax.core.weighting import LossWeighting, StaticWeighting
from ttd_jax.ops.pyramid import reduce
from ttd_jax.training.batches import Batch
from ttd_jax.training.objective import measure
from ttd_jax.training.plans import Plan
from ttd_jax.training.sources import TASKS

_LEVELS_DOWN = 3  # brightness is what is left after as many halvings


class Trained(NamedTuple):
    """What training changes from step to step.

    ``parameters`` are the network's ``variables`` and the two numbers of the weighting, ``saliency`` and ``scale``.
    """

    parameters: dict[str, Any]
    optimizer: optax.OptState


def initial_parameters(variables: Any) -> dict[str, Any]:
    """Where training starts: at the energy-weighted pyramid, divided by the loss."""
    return {
        "variables": variables,
        "saliency": jnp.float32(WEIGHTING.saliency),
        "scale": jnp.float32(WEIGHTING.scale),
    }


def weighting_of(parameters: dict[str, Any], plan: Plan) -> LossWeighting:
    """The weighting with its trained numbers, at least 0; one that the plan leaves out stays 0."""
    learned = {"saliency": plan.saliency and plan.bands == "all", "scale": plan.loss}
    numbers: dict[str, Any] = {name: jnp.maximum(parameters[name], 0) * float(on) for name, on in learned.items()}
    weighting: LossWeighting = replace(WEIGHTING, bands=plan.bands, **numbers)
    return weighting


def calibrate(parameters: dict[str, Any], plan: Plan) -> tuple[Any, LossWeighting]:
    """Variables and weighting as they are published: how decided weights are is settled after training.

    Made scenes have less to choose from in the bands than real images have.
    """
    weighting = weighting_of(parameters, plan)
    weighting = replace(weighting, saliency=plan.sharper * weighting.saliency, scale=plan.sharper * weighting.scale)
    variables = jax.tree.map(jnp.asarray, parameters["variables"])
    decision = variables["params"]["judge"]["decision"]
    for name in ("last_kernel", "last_bias"):  # sharpness and prior are its results
        decision[name] = decision[name] * jnp.array([1.0, plan.sharper])
    return variables, weighting


def objective(
    model: FusionModel, parameters: dict[str, Any], batch: Batch, plan: Plan
) -> tuple[Float[Array, ""], dict[str, Float[Array, "..."]]]:
    """The training loss of a batch, and its parts for the log.

    Every measure counts by how far it is above the reference, in steps: a shortfall counts in full, what is won beyond
    a few steps counts little. So no measure is bought with another.

    Args:
        model: The network.
        parameters: What is trained.
        batch: Sets of every task, with their targets and references.
        plan: What counts how much.
    """
    seen, intact, targets = (jnp.asarray(part) for part in batch[:3])
    fused = fuse_sets(model, parameters["variables"], seen, weighting_of(parameters, plan))
    merged = fused if plan.loop else fuse_sets(model, parameters["variables"], seen, StaticWeighting())
    images = merged.image[..., 0]
    measures = [measure(task, images[i], intact[i], targets[i]) for i, task in enumerate(TASKS)]
    steps = jnp.where(batch.damaged, 3.0, 1.0)[:, jnp.newaxis]
    margins = (jnp.stack(measures) - batch.reference) / steps
    beyond = 0.15 * jnp.minimum(margins, 6.0)
    total = jnp.mean(jax.nn.softplus(-2 * margins) / 2 - jnp.where(margins > 0, beyond, margins), axis=1)
    low, wanted = images, targets
    for _ in range(_LEVELS_DOWN):
        low, wanted = reduce(low), reduce(wanted)
    importance = jnp.array([plan.brightness.get(task, 0.0) for task in TASKS])
    total += importance * jnp.mean(jnp.abs(low - wanted), axis=(1, 2)) * 20
    assert fused.components is not None  # a loss weighting has some
    distance = jnp.mean(jnp.abs(fused.components[..., 0] - intact), axis=(1, 2, 3))
    total += plan.component * distance * 51
    total += 20 * jnp.mean(jax.nn.relu(images - 1) + jax.nn.relu(-images), axis=(1, 2))
    log = {f"{task} {i + 1}": margins[t, i] for t, task in enumerate(TASKS) for i in range(4)}
    return jnp.mean(total), log | {"total": jnp.mean(total)}


def fuse_sets(model: FusionModel, variables: Any, sources: Float[Array, "S M N N"], weighting: Weighting) -> Fused:
    """Every set fused as :func:`ttd_jax.fuse` would, arrays with a leading axis S.

    Args:
        model: The network.
        variables: Its parameters.
        sources: S sets of M square sources.
        weighting: Complete options.
    """
    return jax.vmap(lambda one: fuse(model, variables, one[..., jnp.newaxis], weighting))(sources)


@jax.jit
def reference_measures(
    sources: Float[Array, "4 M N N"], intact: Float[Array, "4 M N N"], targets: Float[Array, "4 N N"]
) -> Float[Array, "4 4"]:
    """The measures of the energy-weighted pyramid for one set of every task."""
    images = fuse_sets(pyramid.MODEL, {}, sources, pyramid.WEIGHTING).image[..., 0]
    return jnp.stack([measure(task, images[i], intact[i], targets[i]) for i, task in enumerate(TASKS)])


def refer(sources: np.ndarray, intact: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``reference_measures`` as an array of this machine."""
    return np.asarray(reference_measures(sources, intact, targets))


def make_optimizer(plan: Plan) -> optax.GradientTransformation:
    """Adam with a short warm-up, a cosine schedule and clipped gradients."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, plan.learning_rate, min(20, plan.steps // 2), plan.steps, 0.02 * plan.learning_rate
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def make_step(model: FusionModel, plan: Plan) -> Callable[[Trained, Batch], tuple[Trained, Any]]:
    """A compiled function (state, batch) → (state, log)."""
    optimizer = make_optimizer(plan)
    gradient = jax.grad(partial(objective, model), has_aux=True)

    @jax.jit
    def step(state: Trained, batch: Batch) -> tuple[Trained, Any]:
        slope, log = gradient(state.parameters, batch, plan=plan)
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integers
            updates, optimizer_state = optimizer.update(slope, state.optimizer, state.parameters)
        return Trained(optax.apply_updates(state.parameters, updates), optimizer_state), log

    return step


def make_judge(model: FusionModel, plan: Plan) -> Callable[[Any, Batch], Array]:
    """A compiled function (parameters, batch) → objective."""
    return jax.jit(lambda parameters, batch: objective(model, parameters, batch, plan)[0])
