"""A fusion network whose matrix products and convolutions run in bfloat16, everything else in float32.

Operands are rounded to bfloat16 (8 significant bits), products are summed in float32 and stay there: what a TPU does by
default, and what tensor cores are fastest at. Whatever carries the image itself past the convolutions (a residual, a
mean of the sources, a difference of moments) keeps its 24 bits, which a network cast as a whole would lose.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.model import Facts, FusionModel, Variables
from ttd_jax.errors import InputError
from ttd_jax.options import Precision, choices

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, Primitive

_PRODUCTS = (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p)


def with_precision(model: FusionModel, precision: Precision) -> FusionModel:
    """The model, computed in this precision.

    Raises:
        InputError: There is no such precision.
    """
    if precision not in choices(Precision):
        raise InputError(f"precision is one of {', '.join(choices(Precision))}; got {precision!r}")
    return model if precision == "float32" else RoundedModel(model)


@dataclass(frozen=True)
class RoundedModel:
    """A fusion model with the products of its ``encode``, ``decode`` and ``render`` in bfloat16.

    Attributes:
        model: The model itself; everything else is as it says.
    """

    model: FusionModel

    @property
    def facts(self) -> Facts:
        """As the model's."""
        return self.model.facts

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> PyTree:
        """Features of all sources, float32, of products in bfloat16."""
        return round_products(self.model.encode)(variables, sources)

    def merge(self, features: PyTree, weights: PyTree = None) -> PyTree:
        """As the model's, in float32."""
        return self.model.merge(features, weights)

    def decode(self, variables: Variables, latent: PyTree) -> Float[Array, "H W K"]:
        """The image of a latent, float32, of products in bfloat16."""
        return round_products(self.model.decode)(variables, latent)

    def render(self, variables: Variables, latent: PyTree, sources: Float[Array, "M H W C"]) -> Float[Array, "H W K"]:
        """The fused image of a latent, likewise."""
        return round_products(self.model.render)(variables, latent, sources)


def round_products(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """The function with operands of its float32 matrix products and convolutions rounded to bfloat16.

    Works on what jax traces, however the function was written, loops and branches included.
    """

    def rounded(*arguments: PyTree) -> PyTree:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _evaluate(traced.jaxpr, traced.consts, *jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return rounded


def _evaluate(jaxpr: "Jaxpr", constants: list[Any], *arguments: Any) -> list[Any]:
    """Runs a traced function, products rounded."""
    from jax.extend.core import Literal  # with jax's kernel language, 20 ms of an import

    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    for step in jaxpr.eqns:
        operands = [one.val if isinstance(one, Literal) else values[one] for one in step.invars]
        if step.primitive in _PRODUCTS and all(one.dtype == jnp.float32 for one in operands):
            operands = [one.astype(jnp.bfloat16) for one in operands]
            results = step.primitive.bind(
                *operands, **{**step.params, "preferred_element_type": jnp.dtype("float32"), "precision": None}
            )
        else:
            params = {name: _round_inside(param) for name, param in step.params.items()}
            results = _run(step.primitive, operands, params)
        values.update(zip(step.outvars, results if step.primitive.multiple_results else [results], strict=True))
    return [one.val if isinstance(one, Literal) else values[one] for one in jaxpr.outvars]


def _run(primitive: "Primitive", operands: list[Any], params: dict[str, Any]) -> Any:
    bound = primitive.get_bind_params(params)
    functions, bound = ((), bound) if isinstance(bound, dict) else bound  # a pair before jax 0.10
    return primitive.bind(*functions, *operands, **bound)


def _round_inside(param: Any) -> Any:
    """The body of a loop, a branch or a call with its products rounded; any other parameter as it is."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    if type(param) is tuple:  # not one of the named tuples that describe a gather
        return tuple(_round_inside(one) for one in param)
    if isinstance(param, ClosedJaxpr):
        return jax.make_jaxpr(partial(_evaluate, param.jaxpr, param.consts))(*param.in_avals)
    if isinstance(param, Jaxpr):  # of jax.checkpoint; has no constants
        return jax.make_jaxpr(partial(_evaluate, param, []))(*[one.aval for one in param.invars]).jaxpr
    return param
