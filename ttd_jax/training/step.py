"""One optimisation step: static and dynamic fusion of a batch, the objective and its gradient."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from ttd_jax.core.dominability import (
    LOSS_FLOOR,
    reconstruction_losses,
    smooth_losses,
    uni_source_components,
    weights_from_losses,
)
from ttd_jax.core.losses import RECONSTRUCTION_LOSSES
from ttd_jax.core.model import FusionModel
from ttd_jax.training.batches import Batch
from ttd_jax.training.objective import Terms, fusion_terms
from ttd_jax.training.recipes import Recipe
from ttd_jax.training.sources import TASKS

Parameters = Mapping[str, Any]
"""``{"variables": the network's, "log_scale": logarithm of the weighting's scale}``."""


class Trained(NamedTuple):
    """What training changes from step to step."""

    parameters: Parameters
    optimizer: optax.OptState


class Both(NamedTuple):
    """One source set fused both ways."""

    dynamic: Float[Array, "H W"]
    static: Float[Array, "H W"]
    weights: Float[Array, "M H W"]
    losses: Float[Array, "M H W"]
    components: Float[Array, "M H W"]


def fuse_both(model: FusionModel, parameters: Parameters, sources: Float[Array, "M H W"], recipe: Recipe) -> Both:
    """Static and dynamic fusion that share their features."""
    variables, stack = parameters["variables"], sources[..., jnp.newaxis]
    weighting = replace(recipe.weighting, scale=jnp.exp(parameters["log_scale"]))
    features = model.encode(variables, stack)
    components = uni_source_components(model, variables, stack, features, str(weighting.component))
    losses = reconstruction_losses(model, components, stack, weighting)
    weights = weights_from_losses(losses, weighting)
    if not recipe.through_weights:
        weights = jax.lax.stop_gradient(weights)
    static = model.decode(variables, model.merge(features))[..., 0]
    dynamic = model.decode(variables, model.merge(features, weights[..., jnp.newaxis]))[..., 0]
    return Both(dynamic if recipe.dynamic else static, static, weights, losses, components[..., 0])


def objective(model: FusionModel, parameters: Parameters, batch: Batch, recipe: Recipe):
    """The training loss of a batch, and its parts for the log."""
    sources, targets = jnp.asarray(batch.sources), jnp.asarray(batch.targets)
    fused = jax.vmap(lambda one: fuse_both(model, parameters, one, recipe))(sources)
    importance = jax.tree.map(lambda *rows: jnp.array(rows)[batch.tasks], *[recipe.terms[task] for task in TASKS])

    def mean_objective(images: Float[Array, "B H W"]) -> tuple[Array, Terms]:
        terms = jax.vmap(fusion_terms)(images, sources, targets)
        return jnp.mean(sum(jax.tree.leaves(jax.tree.map(jnp.multiply, importance, terms)))), terms

    dynamic, terms = mean_objective(fused.dynamic)
    static, _ = mean_objective(fused.static)
    component = jnp.mean(jnp.abs(fused.components - targets[:, jnp.newaxis]))
    calibration = jnp.mean(jax.vmap(partial(calibration_error, recipe))(fused.losses, sources, targets))
    log = {
        "dynamic": dynamic,
        "static": static,
        "component": component,
        "calibration": calibration,
        "scale": jnp.exp(parameters["log_scale"]),
        "spread": jnp.mean(jnp.std(fused.weights[:, 0], axis=(-1, -2))),
        **{f"{name}": jnp.mean(value) for name, value in terms._asdict().items()},
    }
    total = dynamic + recipe.static * static + recipe.component * component + recipe.calibration * calibration
    return total, log


def calibration_error(
    recipe: Recipe, losses: Float[Array, "M H W"], sources: Float[Array, "M H W"], target: Float[Array, "H W"]
) -> Float[Array, ""]:
    """How far the reconstruction losses are from what they stand for: each source's distance from the target.

    Both are smoothed as the weighting says and compared as logarithms, so that a loss counts by its ratio: defocus
    makes small distances, exposure large ones.
    """
    weighting = recipe.weighting
    distance = RECONSTRUCTION_LOSSES[str(weighting.loss)](
        sources[..., jnp.newaxis], target[jnp.newaxis, ..., jnp.newaxis]
    )
    loss, distance = (smooth_losses(x, float(weighting.smoothing or 0)) + LOSS_FLOOR for x in (losses, distance))
    return jnp.mean(jnp.abs(jnp.log(loss / distance)))


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
