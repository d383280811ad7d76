"""From what jax traced to an ONNX graph, equation by equation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax.export import is_symbolic_dim
from jax.extend import core

from ttd_jax.onnx import elementwise, products, shapes, slices
from ttd_jax.onnx.graph import SMALL, Dim, Graph, Operand, Rule, Value, refuse

_CALLS = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}
"""Primitives that call another jaxpr, and what it is called there."""

_NOTHING = {"optimization_barrier", "stop_gradient", "copy", "copy_p", "reduce_precision"}
"""Primitives that give what they take, for a runtime that schedules for itself."""

_SUMS = {"conv_general_dilated", "dot_general", "reduce_sum"}
"""Primitives that give zeros where there is nothing to add up."""

_RULES: dict[str, Rule] = {**elementwise.RULES, **shapes.RULES, **slices.RULES, **products.RULES}

_MOST_STEPS = 256
"""Steps of a loop that are written out."""


def trace_to_onnx(
    function: Callable[..., dict[str, Any]], inputs: dict[str, tuple[Dim, ...]]
) -> tuple[onnx.ModelProto, dict[str, tuple[Dim, ...]]]:
    """A function of float32 arrays as an ONNX model, and the shapes of its outputs.

    Args:
        function: From arrays to float32 arrays by name; jax traces it.
        inputs: The arrays' shapes by name, in order; lengths may be symbols of ``jax.export.symbolic_shape``.

    Raises:
        InputError: It contains what has no counterpart in ONNX.

    Example:
        >>> import jax.numpy as jnp
        >>> model, shapes = trace_to_onnx(lambda x: {"sum": jnp.sum(x, axis=0)}, {"x": (2, 3)})
        >>> shapes, [node.op_type for node in model.graph.node]
        ({'sum': (3,)}, ['ReduceSum', 'Identity'])
    """
    given = [jax.ShapeDtypeStruct(shape, np.float32) for shape in inputs.values()]
    closed, out = jax.make_jaxpr(function, return_shape=True)(*given)
    graph = Graph(inputs)
    found = _walk(graph, closed.jaxpr, closed.consts, list(graph.inputs))
    avals: dict[str, tuple[Dim, ...]] = {name: one.shape for name, one in out.items()}
    return graph.model(dict(zip(sorted(out), found, strict=True)), avals), avals


def _walk(graph: Graph, jaxpr: Any, consts: Sequence[Any], operands: Sequence[Operand]) -> list[Operand]:
    known: dict[Any, Operand] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    known.update(zip(jaxpr.invars, operands, strict=True))

    def read(atom: Any) -> Operand:
        if not isinstance(atom, core.Literal):
            return known[atom]
        aval: Any = atom.aval
        return np.asarray(atom.val, aval.dtype)

    for equation in jaxpr.eqns:
        found = _equation(graph, equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _equation(graph: Graph, equation: Any, operands: list[Operand]) -> list[Operand]:
    name, params = equation.primitive.name, equation.params
    if name in _CALLS:
        return _call(graph, params[_CALLS[name]], operands)
    if name in _NOTHING:
        return operands
    if name == "scan":
        return _loop(graph, equation, operands)
    if name == "cond":
        return _branch(graph, equation, operands)
    if all(0 in one.aval.shape for one in equation.outvars):
        return [_nothing(one.aval) for one in equation.outvars]
    if name in _SUMS and any(0 in one.aval.shape for one in equation.invars):
        return [np.zeros((1,) * len(one.aval.shape), one.aval.dtype) for one in equation.outvars]
    if name not in _RULES:
        raise refuse(f"it needs {name}, which is not translated")
    if all(isinstance(one, np.ndarray) for one in operands):
        if name in elementwise.ON_NUMPY and not elementwise.ends_lengths(name, params, operands):
            return [elementwise.ON_NUMPY[name](*operands, **params)]
        if name not in shapes.KEEP_REPEATED and _is_small(equation, operands):
            return _computed(equation, operands)
    return _RULES[name](graph, equation, operands)


def _nothing(aval: Any) -> np.ndarray:
    """An array without elements, which nobody reads."""
    return np.zeros([0 if is_symbolic_dim(n) else n for n in aval.shape], aval.dtype)


def _is_small(equation: Any, operands: Sequence[Any]) -> bool:
    """Whether an equation of constants is better computed now than by the graph."""
    sizes = [one.aval.shape for one in (*equation.outvars, *equation.invars)]
    if any(is_symbolic_dim(n) for shape in sizes for n in shape) or any(one.dtype == object for one in operands):
        return False
    return all(np.prod(one.aval.shape, dtype=np.int64) <= SMALL for one in equation.outvars)


def _computed(equation: Any, operands: Sequence[Any]) -> list[Operand]:
    whole = [np.broadcast_to(a, v.aval.shape) for a, v in zip(operands, equation.invars, strict=True)]
    if equation.primitive.name in elementwise.RULES:
        whole = list(np.broadcast_arrays(*operands))
    with jax.ensure_compile_time_eval():
        found = equation.primitive.bind(*whole, **equation.params)
    return [np.asarray(one) for one in (found if equation.primitive.multiple_results else [found])]


def _call(graph: Graph, jaxpr: Any, operands: Sequence[Operand]) -> list[Operand]:
    closed = hasattr(jaxpr, "jaxpr")
    return _walk(graph, jaxpr.jaxpr if closed else jaxpr, jaxpr.consts if closed else (), operands)


def _loop(graph: Graph, equation: Any, operands: Sequence[Operand]) -> list[Operand]:
    """A loop of known length, written out."""
    params = equation.params
    first, carried = params["num_consts"], params["num_consts"] + params["num_carry"]
    if params["length"] > _MOST_STEPS:
        raise refuse(f"it has a loop of {params['length']} steps")
    consts, state, rows = operands[:first], list(operands[first:carried]), operands[carried:]
    shapes_of_rows = [one.aval.shape for one in equation.invars[carried:]]
    steps = list(range(params["length"]))
    results: list[list[Operand]] = []
    for step in reversed(steps) if params["reverse"] else steps:
        own = [slices.entry(graph, one, shape, step) for one, shape in zip(rows, shapes_of_rows, strict=True)]
        found = _call(graph, params["jaxpr"], [*consts, *state, *own])
        state, row = found[: len(state)], found[len(state) :]
        results.append(row)
    if params["reverse"]:
        results.reverse()
    avals = [one.aval for one in equation.outvars[len(state) :]]
    stacked = [
        shapes.stacked(graph, list(parts), 0, aval.shape)
        for parts, aval in zip(zip(*results, strict=True), avals, strict=True)
    ]
    return [*state, *stacked]


def _branch(graph: Graph, equation: Any, operands: Sequence[Operand]) -> list[Operand]:
    """The branch that is taken; where that depends on the image all are computed, and one result is kept."""
    index, *rest = operands
    branches = equation.params["branches"]
    if not isinstance(index, Value):
        return _call(graph, branches[int(np.clip(int(index), 0, len(branches) - 1))], rest)
    found = _call(graph, branches[-1], rest)
    for number in reversed(range(len(branches) - 1)):
        taken = graph.one(
            "Equal" if number else "LessOrEqual", index, np.array(number, index.dtype), shape=(), like=bool
        )
        others = _call(graph, branches[number], rest)
        found = [
            graph.one("Where", taken, a, b, shape=elementwise.broadcast([a, b]), like=a)
            for a, b in zip(others, found, strict=True)
        ]
    return found
