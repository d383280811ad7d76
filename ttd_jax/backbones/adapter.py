"""From a linen network to :class:`~ttd_jax.core.model.FusionModel`: the merge rules most backbones share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.bands import BandWeights, merge_by_band
from ttd_jax.core.model import Facts, FusionModel, Variables
from ttd_jax.ops.conv import depthwise_conv
from ttd_jax.ops.padding import zero_pad
from ttd_jax.options import Rule, check_rule


def by_activity(stack: Float[Array, "M H W C"]) -> Float[Array, "H W C"]:
    r"""The l1-norm rule: the mean of feature maps, weighted by the activity around each pixel.

    :math:`\sum_m a_m f_m / \sum_m a_m` with :math:`a_m` the mean over 3x3 pixels of :math:`\sum_c |f_{mc}|`; equal
    shares where there is no activity at all. After DenseFuse (Li and Wu, IEEE TIP 2019, Eq. 4 to 6); DIDFuse's is the
    same.

    Example:
        >>> float(by_activity(jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1))[0, 0, 0])
        2.5
    """
    norms = jnp.moveaxis(jnp.sum(jnp.abs(stack), axis=-1), 0, -1)
    activity = depthwise_conv(zero_pad(norms, 1), jnp.ones((3, 3, len(stack)), stack.dtype))
    total = jnp.sum(activity, axis=-1, keepdims=True)
    shares = jnp.where(total > 0, activity / jnp.where(total > 0, total, 1), 1 / len(stack))
    return reduce(jnp.add, [shares[..., m, jnp.newaxis] * maps for m, maps in enumerate(stack)])


RULES: dict[str, Callable[[Array], Array]] = {
    "max": lambda stack: reduce(jnp.maximum, stack),
    "mean": lambda stack: reduce(jnp.add, stack) / len(stack),
    "sum": lambda stack: reduce(jnp.add, stack),
    "l1": by_activity,
}
"""Static merge rules over axis 0, source by source: XLA takes five times as long for a reduction over it on CPU."""


@dataclass(frozen=True)
class NetworkModel(FusionModel):
    """What fusion models of a linen network with methods ``encode`` and ``decode`` have in common.

    Attributes:
        network: The linen module; its fields are hashable, so that equal models are equal jit arguments.
    """

    network: nn.Module

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> PyTree:
        """Features of each source, leading axis M."""
        return self.network.apply(variables, sources, method="encode")

    def decode(self, variables: Variables, latent: PyTree) -> Float[Array, "H W K"]:
        """The image of a latent."""
        return self.network.apply(variables, latent, method="decode")


@dataclass(frozen=True)
class RuleModel(NetworkModel):
    """A network whose methods ``encode`` and ``decode`` are linked by a rule over the sources, a sum for instance.

    Attributes:
        network: The linen module; its fields are hashable, so that equal models are equal jit arguments.
        rule: ``"max"``, ``"mean"``, ``"sum"`` or ``"l1"``. Given weights, a sum has gain M, the others gain 1.

    Raises:
        InputError: There is no such rule.

    Example:
        >>> RuleModel(nn.Dense(1), rule="sum").merge(jnp.array([1.0, 2.0]).reshape(2, 1, 1, 1)).item()
        3.0
    """

    rule: Rule = "sum"

    def __post_init__(self) -> None:
        check_rule(self.rule)

    @property
    def facts(self) -> Facts:
        """The rule, and that each source has features of its own."""
        return Facts(rule=self.rule, by_band=True)

    def merge(self, features: PyTree, weights: Float[Array, "M ... 1"] | BandWeights | None = None) -> PyTree:
        """The static rule, or the weighted sum times the gain: of the features, or band by band of them."""
        if weights is None:
            return jax.tree.map(RULES[self.rule], features)
        if isinstance(weights, tuple):  # by band
            return jax.tree.map(lambda f: self.facts.gain(len(f)) * merge_by_band(f, weights), features)
        return jax.tree.map(lambda f: RULES["sum"](self.facts.gain(len(f)) * weights * f), features)


def abstract_variables(network: nn.Module, example: Any) -> Mapping[str, Any]:
    """Names, shapes and dtypes of a network's variables, without computing any; found once for equal networks."""
    leaves, tree = jax.tree.flatten(example)
    found = _abstract(network, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
    return jax.tree.map(lambda leaf: leaf, found)  # containers of the caller's own


@lru_cache(maxsize=32)  # a large one takes a second
def _abstract(network: nn.Module, tree: Any, leaves: tuple[tuple[tuple[int, ...], Any], ...]) -> Mapping[str, Any]:
    example = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    return jax.eval_shape(lambda one: network.init(jax.random.key(0), one), example)
