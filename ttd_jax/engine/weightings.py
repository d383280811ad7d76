"""What the option ``weighting`` means, what is checked about it, and what is reported of it."""

from dataclasses import asdict, replace
from typing import Any, TypeAlias, cast

import numpy as np

from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.gradients import count_channels
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.weighting import GradientWeighting, LossWeighting, StaticWeighting
from ttd_jax.errors import InputError

Weighting: TypeAlias = LossWeighting | GradientWeighting | None
"""A complete weighting; None for static fusion."""


def settle_weighting(backbone: Backbone, weighting: Any, recipe: str | None) -> tuple[Any, Any]:
    """What the options ``weighting`` and ``recipe`` of ``fuse`` mean for a backbone.

    Returns:
        The model to run and its complete loss or gradient weighting, None for static fusion.

    Raises:
        InputError: An option is unknown, or the backbone cannot be fused like this.
    """
    recipes = backbone.recipes
    if recipe is not None and recipe not in recipes:
        raise InputError(f"recipes of {backbone.name} are {', '.join(recipes) or 'none'}; got {recipe!r}")
    if weighting == "static" or isinstance(weighting, StaticWeighting):
        rule = weighting.rule if isinstance(weighting, StaticWeighting) else None
        return (backbone.model if rule is None else _with_rule(backbone, rule)), None
    if weighting == "loss":
        if not recipes:
            return backbone.model, None
        weighting = LossWeighting()
    if weighting == "gradient":
        weighting = GradientWeighting()
    if not isinstance(weighting, LossWeighting | GradientWeighting):
        raise InputError(
            "weighting is 'loss', 'gradient', 'static', a LossWeighting, a GradientWeighting or a StaticWeighting; "
            f"got {weighting!r}"
        )
    if not recipes:
        raise InputError(f"{backbone.name} ({backbone.manifest.get('preset')}) fuses by weighting='static' only")
    complete: Any = weighting.resolve(recipes[recipe or "default"])
    if np.ndim(complete.scale):
        raise InputError(f"scale is one number; got an array of shape {np.shape(complete.scale)}")
    numbers: dict[str, Any] = {"scale": np.float32(complete.scale)}
    if isinstance(complete, GradientWeighting) and not isinstance(complete.channel, str):
        numbers["channel"] = np.asarray(complete.channel, np.int32)
    return backbone.model, replace(complete, **numbers)


def _with_rule(backbone: Backbone, rule: str):
    if not hasattr(backbone.model, "rule"):
        raise InputError(f"{backbone.name} has one static rule: use weighting='static'")
    return replace(cast(Any, backbone.model), rule=rule)


def check_channel(model: FusionModel, variables: Variables, weighting: Weighting, shape: tuple[int, ...]) -> None:
    """Refuses a channel beyond the last, before anything is computed.

    Args:
        model: The fusion network.
        variables: Its parameters.
        weighting: A complete weighting; only that by gradients has channels.
        shape: Of the sources that the network gets, (M, H, W, C).

    Raises:
        InputError: The network has no such channel.
    """
    if not isinstance(weighting, GradientWeighting) or isinstance(weighting.channel, str):
        return
    count = count_channels(model, variables, shape)
    if (highest := int(np.max(weighting.channel))) >= count:
        raise InputError(f"this backbone has {count} feature channels, 0 to {count - 1}; got channel {highest}")


def check_gradients(weighting: Weighting, losses: np.ndarray | None) -> None:
    """Refuses gradients that are not numbers, of which weights cannot be made.

    Raises:
        InputError: A gradient is NaN or infinite.
    """
    if isinstance(weighting, GradientWeighting) and losses is not None and not np.isfinite(losses).all():
        name = weighting.loss if isinstance(weighting.loss, str) else getattr(weighting.loss, "__name__", "your loss")
        raise InputError(
            f"the gradients of {name} are NaN or infinite at {np.mean(~np.isfinite(losses)):.1%} of the pixels: "
            "use a loss whose derivative is finite everywhere (a square root has none at 0)"
        )


def describe_weighting(weighting: Weighting, channel: np.ndarray | None) -> Any:
    """The weighting as plain data, with the channel that "auto" chose, or for a batch the channels."""
    if weighting is None:
        return "static"
    described = asdict(weighting) | {"scale": float(weighting.scale)}
    if isinstance(weighting, GradientWeighting):
        if callable(weighting.loss):
            described["loss"] = getattr(weighting.loss, "__name__", repr(weighting.loss))
        if not isinstance(weighting.channel, str):
            described["channel"] = np.asarray(weighting.channel).tolist()
        if channel is not None:
            described["chosen_channel"] = channel.tolist()
    return described
