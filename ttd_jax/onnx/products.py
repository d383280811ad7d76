"""Products of matrices, and convolutions."""

from string import ascii_lowercase
from typing import Any

import numpy as np

from ttd_jax.onnx.graph import Graph, Operand, Rule, refuse
from ttd_jax.onnx.shapes import transposed


def _dot(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    left, right = (graph.repeated(x, v.aval.shape) for x, v in zip(operands, equation.invars, strict=True))
    out = equation.outvars[0].aval
    (over_left, over_right), (batch_left, batch_right) = equation.params["dimension_numbers"]
    last = (len(left.shape) - 1,)
    if not batch_left and over_left == last and over_right == (0,) and len(right.shape) == 2:
        return [graph.one("MatMul", left, right, shape=out.shape, like=out.dtype)]
    letters = iter(ascii_lowercase)
    names: dict[tuple[str, int], str] = {}
    for i, j in (*zip(batch_left, batch_right, strict=True), *zip(over_left, over_right, strict=True)):
        names["left", i] = names["right", j] = next(letters)
    terms = [
        "".join(
            names.setdefault((side, i), "") or names.update({(side, i): next(letters)}) or names[side, i]
            for i in range(len(x.shape))
        )
        for side, x in (("left", left), ("right", right))
    ]
    shared = "".join(names["left", i] for i in batch_left)
    gone = {names["left", i] for i in over_left} | set(shared)
    result = shared + "".join(letter for term in terms for letter in term if letter not in gone)
    return [graph.one("Einsum", left, right, shape=out.shape, like=out.dtype, equation=f"{','.join(terms)}->{result}")]


def _conv(graph: Graph, equation: Any, operands: list[Any]) -> list[Operand]:
    """Channels go before the image's axes, where ONNX has them, and back."""
    params, out = equation.params, equation.outvars[0].aval
    numbers, groups = params["dimension_numbers"], int(params["feature_group_count"])
    x, kernel = (graph.repeated(a, v.aval.shape) for a, v in zip(operands, equation.invars, strict=True))
    x, kernel = transposed(graph, x, numbers.lhs_spec), transposed(graph, kernel, numbers.rhs_spec)
    kind, pads, strides = "Conv", params["padding"], params["window_strides"]
    if any(n != 1 for n in params["lhs_dilation"]):
        if not isinstance(kernel, np.ndarray) or any(n != 1 for n in strides):
            raise refuse("it spreads pixels before a convolution whose kernel is computed, or that leaves some out")
        kind, strides = "ConvTranspose", params["lhs_dilation"]
        reach = [(n - 1) * step for n, step in zip(kernel.shape[2:], params["rhs_dilation"], strict=True)]
        pads = [(n - low, n - high) for n, (low, high) in zip(reach, pads, strict=True)]
        kernel = _turned(kernel, groups)
    if params["batch_group_count"] != 1 or any(n < 0 for side in pads for n in side):
        raise refuse("it has a convolution of groups of images, or one that cuts what it reads")
    maps = graph.one(
        kind,
        x,
        kernel,
        shape=[out.shape[i] for i in numbers.out_spec],
        like=out.dtype,
        pads=[int(side[end]) for end in (0, 1) for side in pads],
        strides=[int(n) for n in strides],
        dilations=[int(n) for n in params["rhs_dilation"]],
        group=groups,
    )
    return [transposed(graph, maps, np.argsort(numbers.out_spec).tolist())]


def _turned(kernel: np.ndarray, groups: int) -> np.ndarray:
    """The kernel (O, I / groups, ...) as that of a transposed convolution, (I, O / groups, ...), from end to start."""
    flipped = np.flip(kernel, tuple(range(2, kernel.ndim)))
    parts = flipped.reshape(groups, -1, *kernel.shape[1:])
    return parts.swapaxes(1, 2).reshape(-1, parts.shape[1], *kernel.shape[2:])


RULES: dict[str, Rule] = {"dot_general": _dot, "conv_general_dilated": _conv}
"""What each primitive is in ONNX."""
