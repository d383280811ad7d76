"""Mapping tables as data: which state-dict key becomes which flax variable, in which layout.

A rule's source may hold ``{name}``, which stands for one dotted part of the key and may be used again in the
target: ``Rule("layers.{i}.weight", "params/layers_{i}/kernel", "conv")``. Problems are collected and raised
together, so that one run shows everything that does not fit.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
        files: For a network that its authors split into files, the part of the network that each holds (the first
            name in a target's path) and what they call it; empty for one file.
        hint: From tensors that do not fit to what to do instead, if that can be told; else an empty string.
    """

    rules: Sequence[Rule]
    ignored: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    hint: Callable[[Mapping[str, np.ndarray]], str] = lambda tensors: ""

    def knows(self, keys: Iterable[str]) -> bool:
        """Whether every key may stand in the state dict."""
        return all(self.find(key) for key in keys)

    def find(self, key: str) -> tuple[Rule | None, dict[str, str]] | None:
        """The rule of a key and what its placeholders stand for; no rule if it is ignored, None if it is unknown."""
        name = _plain(key)
        for pattern, rule in self._patterns.get(name.count("."), ()):
            if match := pattern.fullmatch(name):
                return rule, match.groupdict()
        return None

    def parts(self, keys: Iterable[str]) -> set[str]:
        """Which of ``files`` these keys are of."""
        found = [self.find(key) for key in keys]
        return {part_of(match[0].target) for match in found if match and match[0]} & set(self.files)

    @cached_property
    def _patterns(self) -> dict[int, list[tuple[re.Pattern[str], Rule | None]]]:
        """Patterns with their rules, what is ignored first, by the number of dots, of which a placeholder has none."""
        found: dict[int, list[tuple[re.Pattern[str], Rule | None]]] = {}
        for source, rule in [*((i, None) for i in self.ignored), *((r.source, r) for r in self.rules)]:
            pattern = re.sub(
                r"\\\{(\w+)\\\}", r"(?P<\1>[^./]+)", re.escape(source)
            )  # a slash would be a part of the target
            found.setdefault(source.count("."), []).append((re.compile(pattern), rule))
        return found


def part_of(target: str) -> str:
    """The part of the network that a variable is in, the first name in its path after the collection."""
    return target.split("/")[1]


class Misfit(CheckpointError):
    """A state dict that does not fit, with every problem: ``problems``, a sentence each."""

    def __init__(self, problems: list[str]):
        super().__init__("; ".join(problems))
        self.problems = problems


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
        Misfit: A key is neither used nor ignored, two keys fill one variable, a variable stays empty, a shape differs,
            or numbers are not finite in float32; all such problems are listed. A ``CheckpointError``.
    """
    filled: dict[str, np.ndarray] = {}
    used, ignored, problems = [], [], []
    for key, tensor in tensors.items():
        found = table.find(key)
        if found is None:
            problems.append(f"unexpected key {key} {tensor.shape}")
            continue
        rule, parts = found
        if rule is None:
            ignored.append(key)
            continue
        axes = LAYOUTS[rule.layout] or tuple(range(tensor.ndim))
        target = rule.target.format(**parts)
        if target in filled:
            problems.append(f"two keys for {target}, the second is {key}")
        elif tensor.ndim != len(axes):
            problems.append(f"{key} has {tensor.ndim} dimensions, expected {len(axes)}")
        else:
            filled[target] = tensor.transpose(axes)
            used.append(key)
    shapes = {path: jax.ShapeDtypeStruct(array.shape, np.float32) for path, array in filled.items()}
    problems += tree_differences(shapes, abstract)
    if problems:
        raise Misfit(problems)
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        leaves = {path: np.ascontiguousarray(filled[path], np.float32) for path in flatten(abstract)}
    bad = {path: array.size - np.count_nonzero(np.isfinite(array)) for path, array in leaves.items()}
    if any(bad.values()):
        raise Misfit([f"{path} has {count} numbers that are not finite" for path, count in bad.items() if count])
    return Converted(jax.tree.unflatten(jax.tree.structure(abstract), list(leaves.values())), used, ignored)


def _plain(key: str) -> str:
    """The key without the parts that ``DataParallel`` adds."""
    return ".".join(part for part in key.split(".") if part != "module")
