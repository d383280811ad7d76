"""One optimisation step: static and dynamic fusion of a batch, the objective and its gradient."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ttd_jax.core.dominability import (
    reconstruction_losses,
    weights_from_losses,
)
from ttd_jax.core.losses import RECONSTRUCTION_LOSSES
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.training.batches import Batch
from ttd_jax.training.objective import fusion_terms
from ttd_jax.training.recipes import Recipe
from ttd_jax.training.sources import TASKS


class Trained(NamedTuple):
    """What training changes from step to step."""

    parameters: Variables
    optimizer: optax.OptState


class Fused(NamedTuple):
    """One source set fused with test-time weights and with uniform ones; None for a way that the recipe leaves out."""

    dynamic: Float[Array, "H W"] | None
    static: Float[Array, "H W"] | None
    weights: Float[Array, "M H W"]
    losses: Float[Array, "M H W"]
    components: Float[Array, "M H W"]


def fuse_both(model: FusionModel, variables: Variables, sources: Float[Array, "M H W"], recipe: Recipe) -> Fused:
    """What :func:`ttd_jax.core.fusion.fuse` gives by its weighting and by none, from features computed once.

    Components are decoded side by side, not one after the other: on small crops that is faster.
    """
    stack, weighting = sources[..., jnp.newaxis], recipe.weighting

    def component(features_of_one):
        return model.decode(variables, model.merge(jax.tree.map(lambda leaf: leaf[jnp.newaxis], features_of_one)))

    features = model.encode(variables, stack)
    components = jax.vmap(component)(features)
    losses = reconstruction_losses(model, components, stack, weighting)
    weights = weights_from_losses(losses, weighting)
    if not recipe.through_weights:
        weights = jax.lax.stop_gradient(weights)
    dynamic = static = None
    if recipe.dynamic:
        dynamic = model.decode(variables, model.merge(features, weights[..., jnp.newaxis]))[..., 0]
    if recipe.static:
        static = model.decode(variables, model.merge(features))[..., 0]
    return Fused(dynamic, static, weights, losses, components[..., 0])


def objective(
    model: FusionModel, variables: Variables, batch: Batch, recipe: Recipe
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The training loss of a batch, and its parts for the log."""
    seen, sources, targets = (jnp.asarray(part) for part in (batch.sources, batch.intact, batch.targets))
    fused = jax.vmap(lambda one: fuse_both(model, variables, one, recipe))(seen)
    importance = jax.tree.map(lambda *rows: jnp.array(rows)[batch.tasks], *[recipe.terms[task] for task in TASKS])
    log = {"spread": jnp.mean(jnp.std(fused.weights[:, 0], axis=(-1, -2)))}
    total = jnp.float32(0)
    for name, images, share in (("static", fused.static, recipe.static), ("dynamic", fused.dynamic, 1.0)):
        if images is not None:
            terms = jax.vmap(fusion_terms)(images, sources, targets)
            log |= {term: jnp.mean(value) for term, value in terms._asdict().items()}
            log[name] = jnp.mean(sum(jax.tree.leaves(jax.tree.map(jnp.multiply, importance, terms))))
            total += share * log[name]
    log["component"] = jnp.mean(jnp.abs(fused.components - targets[:, jnp.newaxis]))
    calibration = jax.vmap(partial(calibration_error, recipe))(fused.losses, seen, targets)
    log["calibration"] = jnp.mean(jnp.array([recipe.calibration[task] for task in TASKS])[batch.tasks] * calibration)
    total += recipe.component * log["component"] + log["calibration"]
    return total, log | {"total": total}


def calibration_error(
    recipe: Recipe, losses: Float[Array, "M H W"], sources: Float[Array, "M H W"], target: Float[Array, "H W"]
) -> Float[Array, ""]:
    """How far weights by the reconstruction losses are from weights by what these stand for (Kullback-Leibler).

    What they stand for is each source's distance from the target.
    """
    distance = RECONSTRUCTION_LOSSES[str(recipe.weighting.loss)]
    wanted = distance(sources[..., jnp.newaxis], jnp.broadcast_to(target, sources.shape)[..., jnp.newaxis])
    weights, ideal = (weights_from_losses(x, recipe.weighting) + 1e-6 for x in (losses, wanted))
    return jnp.mean(jnp.sum(ideal * jnp.log(ideal / weights), axis=0))


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Adam with a short warm-up, a cosine schedule and clipped gradients."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, min(50, recipe.steps // 2), recipe.steps, 0.01 * recipe.learning_rate
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def make_step(model: FusionModel, recipe: Recipe):
    """A compiled function (state, batch) → (state, log)."""
    optimizer = make_optimizer(recipe)

    @jax.jit
    def step(state: Trained, batch: Batch):
        gradient, log = jax.grad(lambda p: objective(model, p, batch, recipe), has_aux=True)(state.parameters)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.parameters)
        return Trained(optax.apply_updates(state.parameters, updates), optimizer_state), log

    return step
