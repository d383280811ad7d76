"""Mapping tables as data: which state-dict key becomes which flax variable, in which layout.

A rule's source may hold ``{name}``, which stands for one dotted part of the key and may be used again in the
target: ``Rule("layers.{i}.weight", "params/layers_{i}/kernel", "conv")``. Problems are collected and raised
together, so that one run shows everything that does not fit.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from ttd_jax.errors import CheckpointError
from ttd_jax.io.checkpoints import flatten, tree_differences

LAYOUTS = {
    "same": None,
    "conv": (2, 3, 1, 0),  # (out, in / groups, kh, kw) → (kh, kw, in / groups, out)
    "linear": (1, 0),  # (out, in) → (in, out)
}
"""The closed set of layout changes from PyTorch to flax, as transpositions."""


class Rule(NamedTuple):
    """One line of a table: a key of the state dict, the variable it fills, and the layout change."""

    source: str
    target: str
    layout: str = "same"


@dataclass(frozen=True)
class Table:
    """Everything that may stand in a backbone's state dict.

    Attributes:
        rules: The keys that are used.
        ignored: The keys that are known and not needed; ``{name}`` as in a rule.
    """

    rules: Sequence[Rule]
    ignored: Sequence[str] = ()

    def knows(self, keys: Iterable[str]) -> bool:
        """Whether every key may stand in the state dict."""
        patterns = [*self.ignored, *(rule.source for rule in self.rules)]
        return all(any(_match(pattern, _plain(key)) for pattern in patterns) for key in keys)


class Converted(NamedTuple):
    """Variables, and the keys they were made from."""

    variables: dict[str, Any]
    used: list[str]
    ignored: list[str]


def batch_norm(source: str, target: str) -> list[Rule]:
    """The rules of one batch normalisation."""
    return [
        Rule(f"{source}.weight", f"params/{target}/scale"),
        Rule(f"{source}.bias", f"params/{target}/bias"),
        Rule(f"{source}.running_mean", f"batch_stats/{target}/mean"),
        Rule(f"{source}.running_var", f"batch_stats/{target}/var"),
    ]


def convert(tensors: Mapping[str, np.ndarray], table: Table, abstract: Mapping[str, Any]) -> Converted:
    """Flax variables from a state dict.

    Args:
        tensors: Arrays by dotted key. Parts called ``module`` (PyTorch's DataParallel) are dropped.
        table: The backbone's table.
        abstract: The variables it must fill, as shapes and dtypes.

    Returns:
        The variables in float32, and which keys were used and ignored.

    Raises:
        CheckpointError: A key is neither used nor ignored, two keys fill one variable, a variable stays empty, or a
            shape differs; all such problems are listed.
    """
    filled: dict[str, np.ndarray] = {}
    used, ignored, problems = [], [], []
    for key, tensor in tensors.items():
        name = _plain(key)
        if any(_match(pattern, name) for pattern in table.ignored):
            ignored.append(key)
            continue
        rule, parts = next(((r, m) for r in table.rules if (m := _match(r.source, name))), (None, None))
        if rule is None or parts is None:
            problems.append(f"unexpected key {key} {tensor.shape}")
            continue
        axes = LAYOUTS[rule.layout] or tuple(range(tensor.ndim))
        target = rule.target.format(**parts.groupdict())
        if target in filled:
            problems.append(f"two keys for {target}, the second is {key}")
        elif tensor.ndim != len(axes):
            problems.append(f"{key} has {tensor.ndim} dimensions, expected {len(axes)}")
        else:
            filled[target] = tensor.transpose(axes)
            used.append(key)
    shapes = {path: jax.ShapeDtypeStruct(array.shape, np.float32) for path, array in filled.items()}
    problems += tree_differences(_nest(shapes), abstract)
    if problems:
        raise CheckpointError("; ".join(problems))
    return Converted(_like(abstract, filled), used, ignored)


def _plain(key: str) -> str:
    """The key without the parts that ``DataParallel`` adds."""
    return ".".join(part for part in key.split(".") if part != "module")


def _match(pattern: str, name: str) -> re.Match | None:
    return _compiled(pattern).fullmatch(name)


@cache
def _compiled(pattern: str) -> re.Pattern:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^.]+)", re.escape(pattern)))


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, last = path.split("/")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = leaf
    return tree


def _like(abstract: Mapping[str, Any], filled: Mapping[str, np.ndarray]) -> dict[str, Any]:
    leaves = [np.ascontiguousarray(filled[path], np.float32) for path in flatten(abstract)]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)
