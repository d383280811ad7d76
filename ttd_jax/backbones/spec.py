"""What the package knows of a backbone before any checkpoint is read, and what it holds afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
        recipes: Published and recommended loss weightings by name; ``"default"`` is what ``"loss"`` means.
        channels: Channels of the sources it takes: 3 networks take grey too.
        roles: Roles that the sources must have, in the order the network takes them; empty if any will do.
        max_sources: The most sources it can take; None for no limit.
        origin: Where its PyTorch checkpoints come from.
        licence: What is known of the licence of those checkpoints.
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

    @property
    def default_preset(self) -> str:
        """The first preset."""
        return next(iter(self.presets))


@dataclass(frozen=True)
class Backbone:
    """A fusion model with its parameters, ready for :func:`ttd_jax.fuse`.

    Attributes:
        name: Name for reports.
        model: The fusion model, a hashable :class:`~ttd_jax.core.model.FusionModel`.
        variables: Its parameters.
        recipes: Loss weightings by name; ``"default"`` must be there and leave no option at None.
        channels: 1 or 3, the channels of the sources it takes (3: grey too).
        roles: Roles the sources must have, in the model's order; empty if any will do.
        max_sources: The most sources it can take; None for no limit.
        manifest: Where the parameters come from; empty for a model built in memory.
    """

    name: str
    model: FusionModel
    variables: Variables
    recipes: Mapping[str, LossWeighting]
    channels: int
    roles: tuple[str, ...] = ()
    max_sources: int | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
