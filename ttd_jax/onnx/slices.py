"""Primitives that take a part of an array, or put one in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.export import is_symbolic_dim
from jax.lax import GatherScatterMode

from ttd_jax.onnx.graph import Dim, Graph, Operand, Rule, Value, refuse
from ttd_jax.onnx.shapes import axes, joined, reshaped

_END = np.iinfo(np.int64).max


def part(
    graph: Graph,
    operand: Operand,
    shape: Sequence[Dim],
    starts: Sequence[Dim],
    limits: Sequence[Dim],
    *,
    steps: Any = None,
) -> Operand:
    """Elements from ``starts`` to ``limits``; an axis that repeats an element goes on repeating it.

    Args:
        graph: The graph.
        operand: An array, with axes that may be repeated.
        shape: Its shape with these repeated.
        starts: First element on every axis.
        limits: The one after the last.
        steps: From one to the next; None for 1.
    """
    operand = reshaped(graph, operand, (1,) * (len(shape) - len(operand.shape)) + tuple(operand.shape))
    steps = [1] * len(shape) if steps is None else steps
    cut, given = [], list(operand.shape)
    for axis, (start, limit, step) in enumerate(zip(starts, limits, steps, strict=True)):
        repeats = not is_symbolic_dim(given[axis]) and given[axis] == 1
        if repeats or (not is_symbolic_dim(start) and start == 0 and step == 1 and limit == shape[axis]):
            continue
        cut.append(axis)
        given[axis] = (limit - start + step - 1) // step if step > 1 else limit - start
    if not cut:
        return operand
    if isinstance(operand, np.ndarray) and not any(is_symbolic_dim(n) for n in (*starts, *limits)):
        return operand[
            tuple(slice(starts[i], limits[i], steps[i]) if i in cut else slice(None) for i in range(len(shape)))
        ]
    ends = [_END if limits[i] is shape[i] or _equal(limits[i], shape[i]) else limits[i] for i in cut]
    first, last = graph.lengths([starts[i] for i in cut]), graph.lengths(ends)
    return graph.one("Slice", operand, first, last, axes(cut), axes([steps[i] for i in cut]), shape=given, like=operand)


def _equal(a: Dim, b: Dim) -> bool:
    return bool(a == b)


def entry(graph: Graph, operand: Operand, shape: Sequence[Dim], index: int) -> Operand:
    """One entry along the first axis.

    Args:
        graph: The graph.
        operand: An array, with axes that may be repeated.
        shape: Its shape with these repeated.
        index: Which entry.
    """
    starts, limits = [index] + [0] * (len(shape) - 1), [index + 1, *shape[1:]]
    found = part(graph, operand, shape, starts, limits)
    return reshaped(graph, found, found.shape[1:])


def _slice(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    params, shape = equation.params, equation.invars[0].aval.shape
    return [part(graph, operands[0], shape, params["start_indices"], params["limit_indices"], steps=params["strides"])]


def _known(starts: Sequence[Operand], shape: Sequence[Dim], sizes: Sequence[Dim]) -> list[Dim]:
    """Starts that do not depend on the image, kept inside as jax does."""
    if any(isinstance(one, Value) for one in starts):
        raise refuse("it takes a part of an array at a place that depends on the image")
    found = []
    for one, n, size in zip(starts, shape, sizes, strict=True):
        start = np.asarray(one).ravel()[0] if not isinstance(one, Value) else 0
        start = start if is_symbolic_dim(start) else int(start)
        whole = is_symbolic_dim(start) or is_symbolic_dim(n) or is_symbolic_dim(size)
        found.append(start if whole else min(max(start, 0), n - size))
    return found


def _dynamic_slice(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    x, *starts = operands
    shape, sizes = equation.invars[0].aval.shape, equation.params["slice_sizes"]
    first = _known(starts, shape, sizes)
    return [part(graph, x, shape, first, [a + n for a, n in zip(first, sizes, strict=True)])]


def _place(
    graph: Graph, whole: Operand, shape: list[Dim], patch: Operand, sizes: Sequence[Dim], at: list[Dim]
) -> Operand:
    """An array with a part of it replaced: the axes where the part is shorter, one after another."""
    axis = next((i for i, (n, m) in enumerate(zip(shape, sizes, strict=True)) if not _equal(n, m)), None)
    if axis is None:
        return graph.repeated(patch, shape)
    end = at[axis] + sizes[axis]

    def rows(start: Dim, limit: Dim) -> Operand:
        starts, limits = [0] * len(shape), list(shape)
        starts[axis], limits[axis] = start, limit
        return part(graph, whole, shape, starts, limits)

    between = list(shape)
    between[axis] = sizes[axis]
    middle = _place(graph, rows(at[axis], end), between, patch, sizes, at)
    parts = []
    for start, limit in ((0, at[axis]), (end, shape[axis])):
        if not _equal(start, limit):
            own = list(shape)
            own[axis] = limit - start
            parts.append(graph.repeated(rows(start, limit), own))
    place = 0 if _equal(at[axis], 0) else 1
    return joined(graph, [*parts[:place], middle, *parts[place:]], axis, shape)


def _update(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    x, patch, *starts = operands
    shape, sizes = (list(one.aval.shape) for one in equation.invars[:2])
    return [_place(graph, x, shape, patch, sizes, _known(starts, shape, sizes))]


def _gather(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """A part that begins at a known place, or one element of every row."""
    (x, index), params, out = operands, equation.params, equation.outvars[0].aval
    numbers, shape = params["dimension_numbers"], equation.invars[0].aval.shape
    sizes = params["slice_sizes"]
    if numbers.operand_batching_dims == tuple(range(len(shape) - 1)) and not numbers.offset_dims:
        return [_of_each_row(graph, equation, x, index)]
    if len(equation.invars[1].aval.shape) != 1 or numbers.operand_batching_dims or isinstance(index, Value):
        raise refuse("it picks elements by an array of places")
    starts: list[Any] = [np.array(0)] * len(shape)
    for place, axis in zip(index.ravel(), numbers.start_index_map, strict=True):
        starts[axis] = np.array(place, object if is_symbolic_dim(place) else None)
    first = _known(starts, shape, sizes)
    found = part(graph, x, shape, first, [a + n for a, n in zip(first, sizes, strict=True)])
    gone = numbers.collapsed_slice_dims
    if numbers.offset_dims != tuple(range(len(out.shape))):
        raise refuse("it picks elements and moves axes")
    return [reshaped(graph, found, [n for i, n in enumerate(found.shape) if i not in gone])]


def _of_each_row(graph: Graph, equation: Any, x: Operand, index: Operand) -> Operand:
    """``jnp.take_along_axis`` along the last axis; places outside are kept inside."""
    shape, places = equation.invars[0].aval.shape, equation.invars[1].aval.shape
    out = equation.outvars[0].aval.shape
    if equation.params["mode"] not in (GatherScatterMode.FILL_OR_DROP, GatherScatterMode.PROMISE_IN_BOUNDS):
        raise refuse("it picks elements in a way of its own")
    column = reshaped(graph, graph.repeated(index, places), places[:-1])
    most = graph.lengths([shape[-1] - 1])
    number = graph.one("Cast", column, shape=places[:-1], like=np.int64, to=7)
    low = graph.one("Max", number, np.array(0, np.int64), shape=places[:-1], like=np.int64)
    inside = graph.one("Min", low, most, shape=places[:-1], like=np.int64)
    rows = graph.repeated(x, shape)
    return reshaped(
        graph, graph.one("GatherElements", rows, inside, shape=places[:-1], like=x, axis=len(shape) - 1), out
    )


def _scatter(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """``x.at[m].set(part)``, or ``.add(part)``, with a known m, and likewise for a part that begins at known places."""
    x, index, patch = operands
    numbers, shape = equation.params["dimension_numbers"], list(equation.invars[0].aval.shape)
    axes_, gone = numbers.scatter_dims_to_operand_dims, numbers.inserted_window_dims
    own = equation.invars[2].aval.shape
    one_part = numbers.update_window_dims == tuple(range(len(own))) and not numbers.operand_batching_dims
    if isinstance(index, Value) or index.shape != (len(axes_),) or not one_part:
        raise refuse("it changes elements by an array of places")
    left = iter(own)
    sizes = [1 if i in gone else next(left) for i in range(len(shape))]
    starts: list[Any] = [np.array(0)] * len(shape)
    for place, axis in zip(index, axes_, strict=True):
        starts[axis] = np.array(place, object if is_symbolic_dim(place) else None)
    at = _known(starts, shape, sizes)
    unit = reshaped(graph, graph.repeated(patch, own), sizes)
    if equation.primitive.name == "scatter-add":
        before = part(graph, x, shape, at, [first + size for first, size in zip(at, sizes, strict=True)])
        unit = graph.one("Add", graph.repeated(before, sizes), unit, shape=sizes, like=x)
    return [_place(graph, x, shape, unit, sizes, at)]


def _split(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    shape, axis = equation.invars[0].aval.shape, equation.params["axis"]
    found: list[Operand] = []
    first: Dim = 0
    for size in equation.params["sizes"]:
        starts, limits = [0] * len(shape), list(shape)
        starts[axis], limits[axis] = first, first + size
        found.append(part(graph, operands[0], shape, starts, limits))
        first += size
    return found


def _rev(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    x = operands[0]
    turned = [i for i in equation.params["dimensions"] if is_symbolic_dim(x.shape[i]) or x.shape[i] != 1]
    if not turned:
        return [x]
    if isinstance(x, np.ndarray):
        return [np.flip(x, tuple(turned))]
    count = len(turned)
    ends = axes([-1] * count), axes([-_END] * count), axes(turned), axes([-1] * count)
    return [graph.one("Slice", x, *ends, shape=x.shape, like=x)]


def _pad(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    x, value = operands
    shape, widths = equation.invars[0].aval.shape, equation.params["padding_config"]
    if any(inner for _, _, inner in widths):
        raise refuse("it pads between elements")
    if 0 in shape:
        return [reshaped(graph, value, (1,) * len(shape))]
    x = graph.repeated(x, shape)
    before, after = ([one[i] for one in widths] for i in (0, 1))
    return [graph.one("Pad", x, graph.lengths([*before, *after]), value, shape=equation.outvars[0].aval.shape, like=x)]


RULES: dict[str, Rule] = {
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _update,
    "gather": _gather,
    "scatter": _scatter,
    "scatter-add": _scatter,
    "split": _split,
    "rev": _rev,
    "pad": _pad,
}
"""What each primitive is in ONNX."""
