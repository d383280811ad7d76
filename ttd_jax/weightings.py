"""What ``fuse`` checks about test-time weights and reports of them."""

from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from ttd_jax.core.gradients import count_channels
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.weighting import GradientWeighting, LossWeighting
from ttd_jax.errors import InputError

Weighting: TypeAlias = LossWeighting | GradientWeighting | None
"""A complete weighting; None for static fusion."""


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
