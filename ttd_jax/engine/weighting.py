"""What the options ``weighting`` and ``recipe`` mean for a backbone."""

from typing import Any

from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.gradient_weighting import GradientWeighting
from ttd_jax.core.model import FusionModel, check_model
from ttd_jax.core.protocol import Weighting, check_weighting
from ttd_jax.core.weighting import LossWeighting, StaticWeighting
from ttd_jax.errors import InputError

_BY_NAME: dict[str, type[Any]] = {"loss": LossWeighting, "gradient": GradientWeighting, "static": StaticWeighting}


def settle_weighting(backbone: Backbone, weighting: Any, recipe: str | None) -> tuple[FusionModel, Weighting]:
    """What the options ``weighting`` and ``recipe`` of ``fuse`` mean for a backbone.

    Returns:
        The model to run and its complete weighting.

    Raises:
        InputError: An option is unknown, or the backbone cannot be fused like this.
    """
    check_model(backbone.model)
    recipes = backbone.recipes
    if recipe is not None and recipe not in recipes:
        raise InputError(f"recipes of {backbone.name} are {', '.join(recipes) or 'none'}; got {recipe!r}")
    if weighting == "loss" and not recipes:
        weighting = "static"
    if isinstance(weighting, str):
        if weighting not in _BY_NAME:
            raise InputError(
                f"weighting is {', '.join(map(repr, _BY_NAME))}, a LossWeighting, a GradientWeighting, a "
                f"StaticWeighting or one of your own; got {weighting!r}"
            )
        weighting = _BY_NAME[weighting]()
    check_weighting(weighting)
    complete = weighting.complete(recipes.get(recipe or "default"))
    return complete.adapt(backbone.model), complete
