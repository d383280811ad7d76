"""Recipes as plain data: what a manifest says of a checkpoint's loss weightings."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from ttd_jax.core.weighting import PAPER, LossWeighting
from ttd_jax.errors import InputError


def recipes_as_data(recipes: Mapping[str, LossWeighting]) -> dict[str, dict[str, Any]]:
    """The recipes as a manifest holds them, every option of every recipe.

    Raises:
        InputError: A recipe has a loss that is a function, which no file can hold.
    """
    for name, recipe in recipes.items():
        if callable(recipe.loss):
            raise InputError(f"a checkpoint cannot hold a function: recipe {name!r} has the loss {recipe.loss!r}")
    return {name: asdict(recipe) | {"scale": float(recipe.scale)} for name, recipe in recipes.items()}


def recipes_of(manifest: Mapping[str, Any], published: Mapping[str, LossWeighting]) -> dict[str, LossWeighting]:
    """The recipes of a checkpoint.

    Args:
        manifest: Its manifest. ``recipes`` holds all of them, by name. ``recipe``, in manifests of before, holds
            options that differ from the default: they hold for every recipe that has the default's value there, but
            for the paper's.
        published: Those of the network, where the manifest has none.

    Raises:
        TypeError: An option is unknown, or they are no mapping.
        ValueError: An option is not among its choices, or there is no default.
    """
    if not published:
        return {}
    if (own := manifest.get("recipes")) is not None:
        if "default" not in own:
            raise InputError("recipes without 'default'")
        base = LossWeighting(**own["default"]).complete(published["default"])
        return {name: LossWeighting(**options).complete(base) for name, options in own.items()}
    changes = LossWeighting(**manifest.get("recipe") or {})
    return {name: _changed(recipe, published["default"], changes) for name, recipe in published.items()}


def _changed(recipe: LossWeighting, default: LossWeighting, changes: LossWeighting) -> LossWeighting:
    if recipe == PAPER:
        return recipe
    wanted = {f.name: getattr(changes, f.name) for f in fields(changes)}
    return replace(
        recipe,
        **{
            name: value
            for name, value in wanted.items()
            if value is not None and getattr(recipe, name) == getattr(default, name)
        },
    )
