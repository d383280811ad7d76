"""What the package knows of a backbone before any checkpoint is read, and what it holds afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.weighting import LossWeighting


@dataclass(frozen=True)
class Spec:
    """One row of the backbone table.

    Attributes:
        name: Name on the command line and in manifests.
        title: Network, authors and year.
        build: Options (a preset's, a manifest's, the caller's) to fusion model.
        abstract: Fusion model to the shapes and dtypes of its variables.
        presets: Published configurations, name to options of ``build``; the first is the default.
        recipes: Published and recommended loss weightings by name; ``"default"`` is what ``"loss"`` means. Empty where
            a loss between result and sources would have no meaning: then fusion is static.
        channels: Channels of the sources it takes; a network of 3 takes grey too.
        roles: Roles that the sources must have, in the order the network takes them; empty if any will do.
        max_sources: The most sources it can take; None for no limit.
        origin: Where its PyTorch checkpoints come from.
        licence: What is known of the licence of those checkpoints.
        static_rule: How the network merges its sources by itself.
        multiple: What the network pads height and width to a multiple of, for itself; 1 for none.
        raw: Whether sources go in and the result comes out as they are, outside any rule for colour.
        result_dtype: Pixel type of the result unless asked otherwise; None for the deepest among the sources.
        variants: Fields of this row that differ for a preset, by its name.
    """

    name: str
    title: str
    build: Callable[..., FusionModel]
    abstract: Callable[[Any], Variables]
    presets: Mapping[str, Mapping[str, Any]]
    recipes: Mapping[str, LossWeighting]
    channels: int
    origin: str
    licence: str
    roles: tuple[str, ...] = ()
    max_sources: int | None = None
    static_rule: str = "sum"
    multiple: int = 1
    raw: bool = False
    result_dtype: str | None = None
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

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
        name: Name for reports.
        model: The fusion model, a hashable :class:`~ttd_jax.core.model.FusionModel`.
        variables: Its parameters.
        recipes: Loss weightings by name. ``"default"`` must be there and leave no option at None; or there are none,
            and fusion is static.
        channels: Channels of the sources it takes; a network of 3 takes grey too.
        roles: Roles the sources must have, in the model's order; empty if any will do.
        max_sources: The most sources it can take; None for no limit.
        raw: Whether sources go in and the result comes out as they are, outside any rule for colour.
        result_dtype: Pixel type of the result unless asked otherwise; None for the deepest among the sources.
        manifest: Where the parameters come from; empty for a model built in memory.
    """

    name: str
    model: FusionModel
    variables: Variables
    recipes: Mapping[str, LossWeighting]
    channels: int
    roles: tuple[str, ...] = ()
    max_sources: int | None = None
    raw: bool = False
    result_dtype: str | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
