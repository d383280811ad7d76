"""Primitives that work on every element for itself; repeated axes stay as they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.export import is_symbolic_dim
from onnx import helper

from ttd_jax.onnx.graph import Dim, Graph, Operand, Rule, Value, refuse

_SAME_WORD = {
    "add": "Add",
    "add_any": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "erf": "Erf",
    "not": "Not",
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}


def broadcast(operands: list[Operand]) -> tuple[Dim, ...]:
    """The shape of what is made of these, axis by axis the longest."""
    rank = max(len(one.shape) for one in operands)
    shape: list[Dim] = [1] * rank
    for one in operands:
        for axis, n in enumerate(one.shape, rank - len(one.shape)):
            if is_symbolic_dim(n) or n != 1:
                shape[axis] = n
    return tuple(shape)


def _emit(graph: Graph, kind: str, *operands: Operand, like: Any = None, **attributes: Any) -> Value:
    like = operands[0] if like is None else like
    return graph.one(kind, *operands, shape=broadcast(list(operands)), like=like, **attributes)


def _one(like: Operand, value: float) -> np.ndarray:
    return np.array(value, like.dtype)


def _named(kind: str) -> Rule:
    def rule(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
        if kind in ("And", "Or", "Xor", "Not") and operands[0].dtype != bool:
            raise refuse(f"it needs {equation.primitive.name} of integers")
        return [_emit(graph, kind, *operands, like=equation.outvars[0].aval.dtype)]

    return rule


def _ne(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Not", _emit(graph, "Equal", *operands, like=bool))]


def _square(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Mul", operands[0], operands[0])]


def _rsqrt(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Reciprocal", _emit(graph, "Sqrt", *operands))]


def _erfc(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Sub", _one(operands[0], 1), _emit(graph, "Erf", *operands), like=operands[0])]


def _log1p(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Log", _emit(graph, "Add", operands[0], _one(operands[0], 1)))]


def _integer_pow(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Pow", operands[0], _one(operands[0], equation.params["y"]))]


def _is_finite(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    strange = [_emit(graph, kind, *operands, like=bool) for kind in ("IsInf", "IsNaN")]
    return [_emit(graph, "Not", _emit(graph, "Or", *strange))]


def _limit(kind: str) -> Rule:
    """A maximum or minimum; with a number as ``Clip``, which takes less time."""

    def rule(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
        for x, number in (operands, operands[::-1]):
            if isinstance(number, np.ndarray) and number.size == 1 and isinstance(x, Value) and x.dtype == np.float32:
                limits = ([] if kind == "Max" else [""]) + [number.reshape(())]
                return [graph.one("Clip", x, *limits, shape=broadcast(operands), like=x)]
        return [_emit(graph, kind, *operands)]

    return rule


def _clamp(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    low, x, high = operands
    lowest = _limit("Max")(graph, equation, [x, low])
    return _limit("Min")(graph, equation, [*lowest, high])


def _rem(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    return [_emit(graph, "Mod", *operands, fmod=1)]


def _select(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    which, *cases = operands
    if len(cases) != 2 or which.dtype != bool:
        raise refuse("it chooses among more than two cases")
    slope = _slope(graph, which, *cases)
    if slope is not None:
        return [_emit(graph, "LeakyRelu", cases[1], alpha=slope)]
    return [_emit(graph, "Where", which, cases[1], cases[0], like=cases[0])]


def _slope(graph: Graph, which: Operand, other: Operand, kept: Operand) -> float | None:
    """What negative numbers are multiplied by where the others are kept, if this is what is chosen."""
    compared, scaled = graph.made_by(which, "Greater", "GreaterOrEqual"), graph.made_by(other, "Mul")
    if compared is None or scaled is None or not isinstance(kept, Value) or kept.dtype != np.float32:
        return None
    if compared[0] != kept.name or graph.number(compared[1]) != 0 or kept.name not in scaled:
        return None
    return graph.number(scaled[1] if scaled[0] == kept.name else scaled[0])


def _convert(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    (x,), dtype = operands, np.dtype(equation.params["new_dtype"])
    if x.dtype == dtype:
        return [x]
    if x.dtype == object:
        x = Value(graph.name(x), x.shape, np.dtype(np.int64))
    if dtype.kind not in "fiub" or dtype.itemsize not in (1, 4, 8):
        raise refuse(f"it computes in {dtype}")
    return [_emit(graph, "Cast", x, like=dtype, to=helper.np_dtype_to_tensor_dtype(dtype))]


RULES: dict[str, Rule] = {
    **{name: _named(kind) for name, kind in _SAME_WORD.items()},
    "max": _limit("Max"),
    "min": _limit("Min"),
    "ne": _ne,
    "square": _square,
    "rsqrt": _rsqrt,
    "erfc": _erfc,
    "log1p": _log1p,
    "integer_pow": _integer_pow,
    "is_finite": _is_finite,
    "clamp": _clamp,
    "rem": _rem,
    "select_n": _select,
    "convert_element_type": _convert,
}
"""What each primitive is in ONNX."""


def ends_lengths(name: str, params: dict[str, Any], operands: list[Operand]) -> bool:
    """Whether lengths become numbers that are no lengths."""
    return name == "convert_element_type" and operands[0].dtype == object and np.dtype(params["new_dtype"]).kind != "i"


def _converted(x: np.ndarray, new_dtype: Any, **_: Any) -> np.ndarray:
    return x if x.dtype == object else x.astype(new_dtype)


def _selected(which: np.ndarray, *cases: np.ndarray, **_: Any) -> np.ndarray:
    return np.asarray(np.choose(np.asarray(which).astype(int), cases))


def _plain(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    return lambda *operands, **params: np.asarray(function(*operands))


ON_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "add": _plain(np.add),
    "sub": _plain(np.subtract),
    "mul": _plain(np.multiply),
    "max": _plain(np.maximum),
    "min": _plain(np.minimum),
    "eq": _plain(np.equal),
    "ne": _plain(np.not_equal),
    "lt": _plain(np.less),
    "le": _plain(np.less_equal),
    "gt": _plain(np.greater),
    "ge": _plain(np.greater_equal),
    "select_n": _selected,
    "convert_element_type": _converted,
}
"""Those that NumPy computes of constants and lengths, without a compilation."""
