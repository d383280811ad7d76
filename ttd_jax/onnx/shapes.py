"""Primitives that give elements another place or shape, and reductions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.export import is_symbolic_dim
from onnx import helper

from ttd_jax.onnx.graph import Dim, Graph, Operand, Rule, refuse

KEEP_REPEATED = {"broadcast_in_dim", "reshape", "squeeze", "transpose", "dim_as_value", "empty", "empty2"}
"""Primitives whose rule works on constants too, without repeating them."""


def axes(numbers: Sequence[int]) -> np.ndarray:
    """Axes or numbers as ONNX takes them."""
    return np.array(list(numbers), np.int64)


def reshaped(graph: Graph, operand: Operand, shape: Sequence[Dim]) -> Operand:
    """The elements, none of them repeated, in another shape."""
    shape = tuple(shape)
    if operand.shape == shape:
        return operand
    if isinstance(operand, np.ndarray) and not any(map(is_symbolic_dim, shape)):
        return operand.reshape(shape)
    if sum(map(is_symbolic_dim, shape)) == 1:  # one length may be left open
        known = np.array([-1 if is_symbolic_dim(n) else n for n in shape], np.int64)
        return graph.one("Reshape", operand, known, shape=shape, like=operand)
    return graph.one("Reshape", operand, graph.lengths(shape), shape=shape, like=operand)


def stacked(graph: Graph, parts: list[Operand], axis: int, shape: Sequence[Dim]) -> Operand:
    """Arrays of one shape side by side along a new axis.

    Args:
        graph: The graph.
        parts: The arrays.
        axis: The new axis.
        shape: Of the result.
    """
    own = [n for i, n in enumerate(shape) if i != axis]
    unit = [1 if i == axis else n for i, n in enumerate(shape)]
    return joined(graph, [reshaped(graph, graph.repeated(one, own), unit) for one in parts], axis, shape)


def joined(graph: Graph, parts: list[Operand], axis: int, shape: Sequence[Dim]) -> Operand:
    """Arrays one after another along an axis.

    Args:
        graph: The graph.
        parts: The arrays, none with an axis that stands for a longer one.
        axis: The axis.
        shape: Of the result.
    """
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(one, np.ndarray) for one in parts):
        return np.concatenate([np.asarray(one) for one in parts], axis=axis)
    return graph.one("Concat", *parts, shape=shape, like=parts[0], axis=axis)


def _broadcast(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """Nothing but axes of length 1: what repeats is repeated where somebody needs it."""
    shape, places = equation.params["shape"], equation.params["broadcast_dimensions"]
    given: list[Dim] = [1] * len(shape)
    for n, place in zip(_full_rank(operands[0], len(places)), places, strict=True):
        given[place] = n
    return [reshaped(graph, operands[0], given)]


def _full_rank(operand: Operand, rank: int) -> tuple[Dim, ...]:
    return (1,) * (rank - len(operand.shape)) + tuple(operand.shape)


def _reshape(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    (x,), new = operands, equation.params["new_sizes"]
    old = equation.invars[0].aval.shape
    if all(not is_symbolic_dim(n) and n == 1 for n in x.shape):  # one number, however often
        return [reshaped(graph, x, (1,) * len(new))]
    kept = [n for n in _full_rank(x, len(old))]
    lengths = [n for n, m in zip(kept, old, strict=True) if is_symbolic_dim(m) or m != 1]
    if [n for n in old if is_symbolic_dim(n) or n != 1] == [n for n in new if is_symbolic_dim(n) or n != 1]:
        left = iter(lengths)  # axes of length 1 come or go, the others keep their order
        return [reshaped(graph, x, [next(left) if is_symbolic_dim(n) or n != 1 else 1 for n in new])]
    whole = graph.repeated(x, old)
    return [reshaped(graph, whole, new)]


def _squeeze(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    gone = equation.params["dimensions"]
    shape = _full_rank(operands[0], len(equation.invars[0].aval.shape))
    return [reshaped(graph, operands[0], [n for i, n in enumerate(shape) if i not in gone])]


def transposed(graph: Graph, operand: Operand, order: Sequence[int]) -> Operand:
    """An array with its axes in another order."""
    if list(order) == list(range(len(order))):
        return operand
    if isinstance(operand, np.ndarray):
        return operand.transpose(order)
    shape = [operand.shape[i] for i in order]
    return graph.one("Transpose", operand, shape=shape, like=operand, perm=list(map(int, order)))


def _transpose(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    order = equation.params["permutation"]
    x = reshaped(graph, operands[0], _full_rank(operands[0], len(order)))
    return [transposed(graph, x, order)]


def _concatenate(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    shapes = [one.aval.shape for one in equation.invars]
    axis = equation.params["dimension"]
    parts = [graph.repeated(x, s) for x, s in zip(operands, shapes, strict=True) if 0 not in s]
    return [joined(graph, parts, axis, equation.outvars[0].aval.shape)]


def _stack(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [stacked(graph, operands, equation.params["axis"], equation.outvars[0].aval.shape)]


def _iota(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    aval, axis = equation.outvars[0].aval, equation.params["dimension"]
    given: list[Dim] = [1] * len(aval.shape)
    given[axis] = length = aval.shape[axis]
    if not is_symbolic_dim(length):
        return [np.arange(length, dtype=aval.dtype).reshape(given)]
    ends: list[Operand | str] = [np.array(0, np.int64), graph.lengths([length], shape=()), np.array(1, np.int64)]
    count = graph.op("Range", *ends)[0]
    number = helper.np_dtype_to_tensor_dtype(aval.dtype)
    return [reshaped(graph, graph.one("Cast", count, shape=(length,), like=aval.dtype, to=number), given)]


def _length(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """A length as a number; it stays an expression as long as it can."""
    found = np.empty((), object)
    found[()] = equation.params["dim"]
    return [found]


def _empty(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """What is overwritten before it is read."""
    aval = equation.outvars[0].aval
    return [np.zeros((1,) * len(aval.shape), aval.dtype)]


def _reduction(kind: str) -> Rule:
    def rule(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
        aval, out = equation.invars[0].aval, equation.outvars[0].aval
        x, over = graph.repeated(operands[0], aval.shape), axes(equation.params["axes"])
        if kind not in ("Any", "All"):
            return [graph.one(f"Reduce{kind}", x, over, shape=out.shape, like=out.dtype, keepdims=0)]
        number = helper.np_dtype_to_tensor_dtype(np.dtype(np.float32))
        ones = graph.one("Cast", x, shape=aval.shape, like=np.float32, to=number)
        word = "ReduceMax" if kind == "Any" else "ReduceMin"
        most = graph.one(word, ones, over, shape=out.shape, like=np.float32, keepdims=0)
        return [graph.one("Greater", most, np.array(0.5, np.float32), shape=out.shape, like=bool)]

    return rule


def _sort(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    if len(operands) > 1:
        raise refuse("it sorts several arrays together")
    shape, axis = equation.outvars[0].aval.shape, equation.params["dimension"]
    x = graph.repeated(operands[0], shape)
    count = graph.lengths([shape[axis]])
    names = graph.op("TopK", x, count, outputs=2, axis=axis, largest=0, sorted=1)
    return [x._replace(name=names[0]) if not isinstance(x, np.ndarray) else np.sort(x, axis=axis)]


def _argmax(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    aval, (axis,) = equation.outvars[0].aval, equation.params["axes"]
    x = graph.repeated(operands[0], equation.invars[0].aval.shape)
    found = graph.one("ArgMax", x, shape=aval.shape, like=np.int64, axis=axis, keepdims=0)
    number = helper.np_dtype_to_tensor_dtype(np.dtype(aval.dtype))
    return [graph.one("Cast", found, shape=aval.shape, like=aval.dtype, to=number)]


RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "stack": _stack,
    "iota": _iota,
    "dim_as_value": _length,
    "empty": _empty,
    "empty2": _empty,
    "reduce_sum": _reduction("Sum"),
    "reduce_max": _reduction("Max"),
    "reduce_min": _reduction("Min"),
    "reduce_prod": _reduction("Prod"),
    "reduce_or": _reduction("Any"),
    "reduce_and": _reduction("All"),
    "sort": _sort,
    "argmax": _argmax,
}
"""What each primitive is in ONNX."""
