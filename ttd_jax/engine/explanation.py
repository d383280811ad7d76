"""What ``fuse(..., explain=True)`` puts into the report: the terms of :mod:`ttd_jax.core.theory` as plain data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ttd_jax.core.protocol import Weighting
from ttd_jax.core.theory import Bound, correlation, covariance, cross_losses, generalization_bound, pixel_mean
from ttd_jax.engine.stack import Restored, Stack
from ttd_jax.errors import InputError
from ttd_jax.ops.color import luma


def theory_report(stack: Stack, dynamic: Restored, static: Restored) -> dict[str, Any]:
    """Covariances and bounds of one dynamic fusion beside the static one; for "rgb" errors are in RGB, else in luma.

    Args:
        stack: The sources.
        dynamic: Their dynamic fusion, restored.
        static: Their static fusion, restored.

    Returns:
        ``sources``: by name, mean ``weight`` and ``loss``, their ``covariance`` and ``correlation``, and ``error``,
        the mean absolute difference of component and source. ``covariance``: the sum over the sources. ``dynamic``
        and ``static``: the entries of :class:`~ttd_jax.core.theory.Bound`; None for those that need weights that sum
        to 1 where there are none (a static maximum, ``normalization="none"``). Losses are those that made the
        weights; everything else is in absolute differences of the images as they are given and returned.
    """
    names = stack.like.roles
    weights, losses, components = (jnp.asarray(getattr(dynamic, name)) for name in ("weights", "losses", "components"))
    planes, image, still = jnp.asarray(stack.given), jnp.asarray(dynamic.image), jnp.asarray(static.image)
    if stack.rule != "rgb":
        planes = luma(planes) if planes.shape[-1] == 3 else planes
        image, still = _plane(image, stack.rule), _plane(still, stack.rule)
        components = components[..., jnp.newaxis]
    bounds = _bounds(image, still, weights, components, planes)
    normalized = bool(jnp.all(jnp.abs(jnp.sum(weights, axis=0) - 1) < 1e-3))
    rows = {
        "weight": pixel_mean(weights),
        "loss": pixel_mean(losses),
        "covariance": covariance(weights, losses),
        "correlation": correlation(weights, losses),
        "error": jnp.diagonal(cross_losses(components, planes)),
    }
    columns = {name: np.asarray(values).tolist() for name, values in rows.items()}
    return {
        "sources": {name: {key: values[m] for key, values in columns.items()} for m, name in enumerate(names)},
        "covariance": float(sum(columns["covariance"])),
        "dynamic": _plain(bounds[0], normalized),
        "static": _plain(bounds[1], static.weights is not None),
    }


def check_explainable(dynamic: Restored, weighting: Weighting) -> None:
    """Refuses a fusion without the numbers that an explanation is about.

    Raises:
        InputError: It has no weights, losses or components; says whose fault that is.
    """
    if lacking := [name for name in ("weights", "losses", "components") if getattr(dynamic, name) is None]:
        if weighting.describe() == "static":
            raise InputError("static fusion has no losses to explain: use weighting='loss' and a network with recipes")
        name = type(weighting).__name__
        raise InputError(f"{name}.weigh returned no {' and no '.join(lacking)}, which an explanation is about")


@jax.jit
def _bounds(dynamic: Array, static: Array, weights: Array, components: Array, sources: Array) -> tuple[Bound, Bound]:
    uniform = jnp.full_like(weights, 1 / len(weights))
    return (
        generalization_bound(dynamic, weights, components, sources),
        generalization_bound(static, uniform, components, sources),
    )


def _plane(image: Array, rule: str) -> Array:
    """(H, W, 1) luma of a grey or a colour image; a grey one may have an axis of one channel, or of equal ones."""
    if image.ndim == 2:
        return image[..., jnp.newaxis]
    return image[..., :1] if rule == "gray" else luma(image)


def _plain(bound: Bound, weighted: bool) -> dict[str, float | None]:
    weightless = ("error", "constant")
    return {name: float(value) if weighted or name in weightless else None for name, value in bound._asdict().items()}
