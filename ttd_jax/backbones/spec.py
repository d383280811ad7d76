"""What the package knows of a backbone before any checkpoint is read, and what it holds afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.numpy as jnp

from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.scoring import OPEN
from ttd_jax.core.weighting import PAPER, LossWeighting
from ttd_jax.errors import InputError


def shapes_of(model: Any, channels: int) -> Variables:
    """Names, shapes and dtypes of the variables of a model's linen network, without computing any.

    Args:
        model: A fusion model with a linen module ``network`` that takes images (M, H, W, C).
        channels: C.
    """
    from ttd_jax.backbones.adapter import abstract_variables  # imports flax, which a kept program does without

    return abstract_variables(model.network, jnp.zeros((1, 8, 8, channels)))


def _completed(recipes: Mapping[str, LossWeighting]) -> dict[str, LossWeighting]:
    if recipes and "default" not in recipes:
        raise InputError(f"one of the recipes is called 'default'; got {', '.join(recipes)}")
    return {name: recipe.complete(PAPER) for name, recipe in recipes.items()}


@dataclass(frozen=True)
class Spec:
    """One row of the backbone table.

    Attributes:
        name: Name on the command line and in manifests.
        build: Options (a preset's, a manifest's, the caller's) to fusion model.
        recipes: Published and recommended loss weightings by name; ``"default"`` is what ``"loss"`` means. Options
            left open are the paper's. Empty where a loss between result and sources would have no meaning: then fusion
            is static.
        channels: Channels of the sources it takes; a network of 3 takes grey too.
        title: Network, authors and year; the name if left out.
        abstract: Fusion model to the shapes and dtypes of its variables; left out, what the model's linen module
            ``network`` makes of one image.
        presets: Published configurations, name to options of ``build``; the first is the default.
        origin: Where its PyTorch checkpoints come from.
        licence: What is known of the licence of those checkpoints.
        roles: Roles that the sources must have, in the order the network takes them; empty if any will do.
        max_sources: The most sources it can take; None for no limit.
        static_rule: How the network merges its sources by itself, in words; None for the model's own word.
        multiple: What the network pads height and width to a multiple of, for itself; 1 for none.
        raw: Whether sources go in and the result comes out as they are, outside any rule for colour.
        result_dtype: Pixel type of the result unless asked otherwise; None for the deepest among the sources.
        parameters: Whether there are any; without, no checkpoint is needed.
        variants: Fields of this row that differ for a preset, by its name.

    Raises:
        InputError: There are recipes, and no default.

    Example:
        >>> from ttd_jax.backbones.pyramid import Pyramid
        >>> spec = Spec("plain", build=Pyramid, recipes={}, parameters=False)
        >>> spec.title, spec.default_preset
        ('plain', 'default')
    """

    name: str
    build: Callable[..., FusionModel]
    recipes: Mapping[str, LossWeighting]
    channels: int = 1
    title: str = ""
    abstract: Callable[[Any], Variables] = OPEN
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})
    origin: str = "no known place"
    licence: str = "unknown"
    roles: tuple[str, ...] = ()
    max_sources: int | None = None
    static_rule: str | None = None
    multiple: int = 1
    raw: bool = False
    result_dtype: str | None = None
    parameters: bool = True
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipes", _completed(self.recipes))
        if self.abstract is OPEN:
            object.__setattr__(self, "abstract", partial(shapes_of, channels=self.channels))
        if not self.title:
            object.__setattr__(self, "title", self.name)

    @property
    def default_preset(self) -> str:
        """The first preset."""
        return next(iter(self.presets))

    def of_preset(self, preset: str | None) -> "Spec":
        """This row as it is for one preset."""
        return replace(self, **self.variants.get(preset or self.default_preset, {}))


@dataclass(frozen=True)
class Backbone:
    """A fusion model with its parameters, ready for :func:`ttd_jax.fuse`.

    Attributes:
        spec: What is known of it before its parameters.
        model: The fusion model, a hashable :class:`~ttd_jax.core.model.FusionModel`.
        variables: Its parameters.
        recipes: Loss weightings by name, ``"default"`` among them, open options the paper's; none, and fusion is
            static. Left out, the spec's.
        manifest: Where the parameters come from; empty for a model built in memory.

    Raises:
        InputError: There are recipes, and no default.

    Example:
        >>> from ttd_jax.backbones.pyramid import Pyramid
        >>> spec = Spec("plain", build=Pyramid, recipes={}, parameters=False)
        >>> Backbone(spec, Pyramid(), variables={}).name
        'plain'
    """

    spec: Spec
    model: FusionModel
    variables: Variables
    recipes: Mapping[str, LossWeighting] = OPEN
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipes", self.spec.recipes if self.recipes is OPEN else _completed(self.recipes))

    @property
    def name(self) -> str:
        """The spec's name, for messages and reports."""
        return self.spec.name

    @property
    def channels(self) -> int:
        """How many channels it takes."""
        return self.spec.channels
