"""From checked sources to the stack that a backbone takes, and back to the shape and order of what was given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ttd_jax.backbones.spec import Backbone
from ttd_jax.engine.pipeline import RAW_RULE, choose_color_rule
from ttd_jax.errors import InputError
from ttd_jax.inputs import Sources


def source_order(backbone: Backbone, sources: Sources, named: bool = True) -> list[int]:
    """Indices of the sources in the model's order: its roles, or the reference first."""
    count = len(sources.images)
    if backbone.max_sources and count > backbone.max_sources:
        raise InputError(f"{backbone.name} takes {backbone.max_sources} sources; got {count}")
    if backbone.roles and named:
        if set(sources.roles) != set(backbone.roles):
            wanted = " ".join(f"{role}=PATH" for role in backbone.roles)
            raise InputError(
                f"{backbone.name} takes the roles {' and '.join(backbone.roles)}; got {', '.join(sources.roles)}: "
                f"name them ({wanted}, or a mapping in Python)"
            )
        return [sources.roles.index(role) for role in backbone.roles]
    return sorted(range(count), key=lambda i: i != sources.reference)


def settle_rule(backbone: Backbone, color: str, colored: tuple[bool, ...]) -> str:
    """The rule for colour that ``color`` means for these sources and this backbone."""
    if not backbone.raw:
        return choose_color_rule(color, colored, backbone.channels)
    if color != "auto":
        raise InputError(f"{backbone.name} takes its sources as they are: leave color at 'auto'; got {color!r}")
    return RAW_RULE


def stack_images(images: Sequence[np.ndarray], backbone: Backbone) -> np.ndarray:
    """(M, H, W, C) with C = 3 if any image has three channels."""
    channels = max(image.shape[-1] for image in images)
    if channels > max(3, backbone.channels):
        raise InputError(f"{backbone.name} takes grey or colour images; got one of {channels} channels")
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])


def reorder(array: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    """The entries of an array, if there is one, in this order."""
    return None if array is None else array[order]


def restore_shape(image: np.ndarray, shape: tuple[int, ...], color: str) -> np.ndarray:
    """A grey (H, W) result in the shape of its sources: with a channel axis if all had one, three if any had."""
    if shape[2:] == (3,) and color != "gray":
        return np.repeat(image[..., np.newaxis], 3, axis=-1)
    return image[..., np.newaxis] if shape[2:] == (1,) else image


def remarks_on(backbone: Backbone, model: Any, count: int) -> list[str]:
    """What a user should know of a fusion of ``count`` sources by this model."""
    if not backbone.recipes:
        return [f"{backbone.name} ({backbone.manifest.get('preset')}) has no loss weighting: fused by its own rule"]
    if getattr(model, "rule", None) == "sum" and count > 2:
        return [f"a sum rule trained on two sources makes {count} too bright: prefer a mean or max preset"]
    return []
