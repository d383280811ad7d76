"""What ``fuse(..., explain=True)`` puts into the report: the terms of :mod:`ttd_jax.core.theory` as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.core.fusion import Fused
from ttd_jax.core.theory import Bound, correlation, covariance, cross_losses, generalization_bound, pixel_mean
from ttd_jax.ops.color import luma


def theory_report(
    names: Sequence[str],
    stack: Float[np.ndarray, "M H W C"],
    rule: str,
    image: Float[np.ndarray, "..."],
    arrays: Mapping[str, Any],
    static: Fused,
) -> dict[str, Any]:
    """Covariances and bounds of one dynamic fusion beside the static one.

    Args:
        names: Of the sources, in the order of the stack.
        stack: Sources in [0, 1], as the pipeline takes them.
        rule: Colour rule; errors are measured in RGB for "rgb", else in luma.
        image: The dynamic fusion, (H, W) or (H, W, 3) in [0, 1].
        arrays: Its weights, losses and components, in the order of the stack.
        static: The static fusion of the same sources.

    Returns:
        ``sources``: by name, mean ``weight`` and ``loss``, their ``covariance`` and ``correlation``, and ``error``,
        the mean absolute difference of component and source. ``covariance``: the sum over the sources. ``dynamic``
        and ``static``: the entries of :class:`~ttd_jax.core.theory.Bound`; None for those that need weights that sum
        to 1 where there are none (a static maximum, ``normalization="none"``). Losses are those that made the
        weights; everything else is in absolute differences of the images as they are given and returned.
    """
    weights, losses, components = (jnp.asarray(arrays[name]) for name in ("weights", "losses", "components"))
    planes, dynamic, still = jnp.asarray(stack), jnp.asarray(image), static.image
    if rule != "rgb":
        planes, dynamic, still = (luma(planes) if planes.shape[-1] == 3 else planes, _plane(dynamic), _plane(still))
        components = components[..., jnp.newaxis]
    bounds = _bounds(dynamic, still, weights, components, planes)
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


@jax.jit
def _bounds(dynamic: Array, static: Array, weights: Array, components: Array, sources: Array) -> tuple[Bound, Bound]:
    uniform = jnp.full_like(weights, 1 / len(weights))
    return (
        generalization_bound(dynamic, weights, components, sources),
        generalization_bound(static, uniform, components, sources),
    )


def _plane(image: Array) -> Array:
    """(H, W, 1) luma of a grey (H, W) or a colour (H, W, 3) image."""
    return luma(image) if image.ndim == 3 else image[..., jnp.newaxis]


def _plain(bound: Bound, weighted: bool) -> dict[str, float | None]:
    weightless = ("error", "constant")
    return {name: float(value) if weighted or name in weightless else None for name, value in bound._asdict().items()}
