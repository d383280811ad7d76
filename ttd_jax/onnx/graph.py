"""An ONNX graph in the making: nodes, constants, and lengths that are known when it runs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx
from jax.export import is_symbolic_dim
from onnx import TensorProto, helper, numpy_helper

from ttd_jax.errors import InputError

OPSET = 18
"""The version of ONNX's operators; ONNX Runtime 1.14 and newer know it."""

_IR_VERSION = 9

Dim: TypeAlias = Any
"""A length: a number, or an expression of jax's symbolic shapes."""


class Value(NamedTuple):
    """What a node gives.

    Attributes:
        name: Its name in the graph.
        shape: Its shape; an axis of length 1 may stand for one of any length that repeats it.
        dtype: Its element type.
    """

    name: str
    shape: tuple[Dim, ...]
    dtype: np.dtype[Any]


Operand: TypeAlias = Value | np.ndarray
"""What a node gives, or a constant; a constant of objects holds lengths."""

Rule: TypeAlias = Callable[["Graph", Any, list[Any]], list[Operand]]
"""From a graph, an equation of a jaxpr and its operands to what the equation gives."""


class Graph:
    """Nodes and constants, to be put together as a model.

    Args:
        shapes: Of the inputs, by name; with expressions of at most these two symbols, height and width.

    Attributes:
        inputs: The inputs.
    """

    def __init__(self, shapes: dict[str, tuple[Dim, ...]]):
        self.inputs = [Value(name, shape, np.dtype(np.float32)) for name, shape in shapes.items()]
        self._nodes: list[onnx.NodeProto] = []
        self._makers: dict[str, onnx.NodeProto] = {}
        self._constants: dict[Any, onnx.TensorProto] = {}
        self._lengths: dict[str, str] = {}
        self._count = 0

    def op(self, kind: str, *inputs: Operand | str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Adds a node, and gives the names of its outputs."""
        names = [self._fresh(kind.lower()) for _ in range(outputs)]
        given = [one if isinstance(one, str) else self.name(one) for one in inputs]
        self._nodes.append(helper.make_node(kind, given, names, **attributes))
        self._makers.update(dict.fromkeys(names, self._nodes[-1]))
        return names

    def one(self, kind: str, *inputs: Operand | str, shape: Sequence[Dim], like: Any, **attributes: Any) -> Value:
        """Adds a node of one output of this shape, and of this type or that of this operand."""
        dtype = np.dtype(like if isinstance(like, type) else getattr(like, "dtype", like))
        return Value(self.op(kind, *inputs, **attributes)[0], tuple(shape), dtype)

    def made_by(self, operand: Operand, *kinds: str) -> list[str] | None:
        """The inputs of the node that gives an operand, if it is of one of these kinds."""
        node = self._makers.get(operand.name) if isinstance(operand, Value) else None
        return list(node.input) if node is not None and node.op_type in kinds else None

    def number(self, name: str) -> float | None:
        """A constant of one element, or None for what is none."""
        found = [one for one in self._constants.values() if one.name == name]
        array = numpy_helper.to_array(found[0]) if found else np.empty(0)
        return float(array.ravel()[0]) if array.size == 1 else None

    def name(self, operand: Operand) -> str:
        """The name of an operand; a constant becomes an initializer."""
        if isinstance(operand, Value):
            return operand.name
        if operand.dtype == object:
            return self.lengths(operand.ravel().tolist(), shape=operand.shape)
        array = np.ascontiguousarray(operand).reshape(operand.shape)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, self._fresh("constant"))
        return self._constants[key].name

    def lengths(self, dims: Sequence[Dim], *, shape: tuple[int, ...] | None = None) -> str:
        """Lengths as int64, those with symbols computed when the graph runs."""
        if not any(map(is_symbolic_dim, dims)):
            whole = np.array([int(n) for n in dims], np.int64)
            return self.name(whole if shape is None else whole.reshape(shape))
        parts = [self._length(n) if is_symbolic_dim(n) else np.array([n], np.int64) for n in dims]
        name = self.op("Concat", *parts, axis=0)[0] if len(parts) > 1 else self.name_of(parts[0])
        return name if shape != () else self.op("Squeeze", name, np.array([0], np.int64))[0]

    def name_of(self, part: Operand | str) -> str:
        """The name of an operand, or a name itself."""
        return part if isinstance(part, str) else self.name(part)

    def repeated(self, operand: Operand, shape: Sequence[Dim]) -> Operand:
        """An operand with no axis left that stands for a longer one."""
        shape = tuple(shape)
        if operand.shape == shape:
            return operand
        if isinstance(operand, np.ndarray):
            operand = np.asarray(operand)
            if not any(map(is_symbolic_dim, shape)) and np.prod(shape, dtype=np.int64) <= SMALL:
                return np.broadcast_to(operand, shape)
        return self.one("Expand", operand, self.lengths(shape), shape=shape, like=operand)

    def model(self, outputs: dict[str, Operand], shapes: dict[str, tuple[Dim, ...]]) -> onnx.ModelProto:
        """The model of what the outputs need."""
        for name, operand in outputs.items():
            source = self.name(self.repeated(operand, shapes[name]))
            self._nodes.append(helper.make_node("Identity", [source], [name]))
        wanted, kept = set(outputs), []
        for node in reversed(self._nodes):
            if wanted & set(node.output):
                kept.append(node)
                wanted |= set(node.input)
        ends = [_info(name, shapes[name]) for name in outputs]
        starts = [_info(one.name, one.shape) for one in self.inputs]
        constants = [one for one in self._constants.values() if one.name in wanted]
        graph = helper.make_graph(kept[::-1], "fusion", starts, ends, constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="ttd-jax")

    def _length(self, dim: Dim) -> str:
        """A length with symbols, as one int64 in an array."""
        if (key := str(dim)) not in self._lengths:
            symbols: dict[str, Any] = {"floordiv": _Length.__floordiv__, "mod": _Length.__mod__}
            for one in self.inputs:
                for axis, n in enumerate(one.shape):
                    if is_symbolic_dim(n):
                        shape = self.op("Shape", one, start=axis, end=axis + 1)[0]
                        symbols.setdefault(str(n), _Length(self, shape))
            # jax writes an expression as Python would, but for powers
            found = eval(key.replace("^", "**"), {"__builtins__": {}}, symbols)
            self._lengths[key] = found.name
        return self._lengths[key]

    def _fresh(self, word: str) -> str:
        self._count += 1
        return f"{word}_{self._count}"


SMALL = 1 << 16
"""Elements of a constant that is stored as it is; larger ones are computed by the graph."""


class _Length:
    """A length that the graph computes, in arithmetic of Python."""

    def __init__(self, graph: Graph, name: str):
        self.graph, self.name = graph, name

    def _with(self, kind: str, other: Any, swapped: bool = False) -> "_Length":
        operand = other.name if isinstance(other, _Length) else np.array([other], np.int64)
        pair = (operand, self.name) if swapped else (self.name, operand)
        return _Length(self.graph, self.graph.op(kind, *pair)[0])

    def __add__(self, other: Any) -> "_Length":
        return self._with("Add", other)

    def __mul__(self, other: Any) -> "_Length":
        return self._with("Mul", other)

    def __sub__(self, other: Any) -> "_Length":
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> "_Length":
        return self._with("Sub", other, swapped=True)

    def __neg__(self) -> "_Length":
        return self * -1

    def __mod__(self, other: Any) -> "_Length":
        return self._with("Mod", other)

    def __floordiv__(self, other: Any) -> "_Length":
        return (self - self % other)._with("Div", other)

    __radd__, __rmul__ = __add__, __mul__


def _info(name: str, shape: Sequence[Dim]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [n if isinstance(n, int) else str(n) for n in shape])


def refuse(what: str) -> InputError:
    """The error for what has no counterpart here."""
    return InputError(f"this fusion cannot be exported to ONNX: {what}; format='stablehlo' can")
