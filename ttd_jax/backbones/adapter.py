"""From a linen network to :class:`~ttd_jax.core.model.FusionModel`: the merge rules most backbones share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.model import Variables
from ttd_jax.errors import InputError

RULES: dict[str, Callable[[Array], Array]] = {
    "max": lambda stack: reduce(jnp.maximum, stack),
    "mean": lambda stack: reduce(jnp.add, stack) / len(stack),
    "sum": lambda stack: reduce(jnp.add, stack),
}
"""Static merge rules over axis 0, source by source: XLA takes five times as long for a reduction over it on CPU."""


@dataclass(frozen=True)
class NetworkModel:
    """What fusion models of a linen network with methods ``encode`` and ``decode`` have in common.

    Attributes:
        network: The linen module; its fields are hashable, so that equal models are equal jit arguments.
    """

    network: nn.Module

    independent: ClassVar[bool] = True
    constant_features: ClassVar[bool] = False
    """Whether a constant image has the same features everywhere, borders included, whatever its size."""

    @property
    def halo(self) -> tuple[int, int] | None:
        """Unknown, so the whole image."""
        return None

    def normalize(self, image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
        """The image itself: the network works in image space."""
        return image

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> PyTree:
        """Features of each source, leading axis M."""
        return self.network.apply(variables, sources, method="encode")

    def decode(self, variables: Variables, latent: PyTree, residual: Array | None = None) -> Float[Array, "H W C"]:
        """The image of a latent; these networks add no residual."""
        del residual
        return self.network.apply(variables, latent, method="decode")

    def residual(self, sources: Float[Array, "M H W C"]) -> Float[Array, "H W C"] | None:
        """Nothing is added to the fused image."""
        del sources
        return None

    def finish(self, image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
        """The image as decoded."""
        return image


@dataclass(frozen=True)
class RuleModel(NetworkModel):
    """A network whose methods ``encode`` and ``decode`` are linked by a max, mean or sum over the sources.

    Attributes:
        network: The linen module; its fields are hashable, so that equal models are equal jit arguments.
        rule: ``"max"``, ``"mean"`` or ``"sum"``. Given weights, a sum has gain M, the others gain 1.

    Raises:
        InputError: There is no such rule.
    """

    rule: str = "sum"

    def __post_init__(self):
        if self.rule not in RULES:
            raise InputError(f"static rules are {', '.join(RULES)}; got {self.rule!r}")

    @property
    def uniform_is_static(self) -> bool:
        """Yes, but for the maximum."""
        return self.rule != "max"

    def gain(self, sources: int) -> float:
        """M for a sum, which uniform weights 1/M then reproduce; 1 otherwise."""
        return float(sources) if self.rule == "sum" else 1.0

    def merge(self, features: PyTree, weights: Float[Array, "M ... 1"] | None = None) -> PyTree:
        """The static rule, or the weighted sum times the gain."""
        if weights is None:
            return jax.tree.map(RULES[self.rule], features)
        return jax.tree.map(lambda f: RULES["sum"](self.gain(len(f)) * weights * f), features)


@dataclass(frozen=True)
class ConcatenationModel(NetworkModel):
    """A network that encodes its sources together and decodes their features side by side; ``merge`` is its own.

    Attributes:
        network: The linen module; its fields are hashable, so that equal models are equal jit arguments.
    """

    independent: ClassVar[bool] = False
    uniform_is_static: ClassVar[bool] = True

    def gain(self, sources: int) -> float:
        """M: features side by side enter the decoder unscaled, as with uniform weights 1/M."""
        return float(sources)


def abstract_variables(network: nn.Module, example: Any) -> Mapping[str, Any]:
    """Names, shapes and dtypes of a network's variables, without computing any."""
    return jax.eval_shape(lambda: network.init(jax.random.key(0), example))
