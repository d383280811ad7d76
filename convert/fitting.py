"""Whether tensors are those of a network and preset, and what to say if they are not."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ttd_jax.backbones import COMPANIONS, find_spec
from ttd_jax.errors import shown

from .mappings import TABLES
from .rules import Converted, Misfit, convert, part_of

NETWORKS = {name: COMPANIONS.get(name) or find_spec(name) for name in TABLES}
"""What is known of the networks that can be converted."""

_MOST_GROUPS = 12
_ABSENT = re.compile(r"missing (\S+/\S+)")


def fit(backbone: str, preset: str, tensors: Mapping[str, np.ndarray], without: Any = ()) -> Converted | list[str]:
    """The variables that tensors make, or all that is wrong with them.

    Args:
        backbone: The network.
        preset: Its configuration.
        tensors: Arrays by key.
        without: Parts of the network whose absence is not told.
    """
    spec = NETWORKS[backbone]
    try:
        return convert(tensors, TABLES[backbone], spec.abstract(spec.build(**spec.presets[preset])))
    except Misfit as misfit:
        absent = [_ABSENT.match(problem) for problem in misfit.problems]
        return [p for p, m in zip(misfit.problems, absent, strict=True) if not (m and part_of(m[1]) in without)]


def fits(backbone: str, preset: str, tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the network's tensors, or those of one or more of its files."""
    table = TABLES[backbone]
    if not table.knows(tensors):
        return False
    parts = table.parts(tensors)
    without = set(table.files) - parts
    found = fit(backbone, preset, tensors, without)
    return isinstance(found, Converted) or bool(parts and without and not found)


def better_name(backbone: str, preset: str, tensors: Mapping[str, np.ndarray]) -> str:
    """The network and preset that the tensors do fit, for a message; empty if there is none."""
    others = [
        (name, other) for name in TABLES for other in NETWORKS[name].presets if (name, other) != (backbone, preset)
    ]
    fitting = next((one for one in others if fits(*one, tensors)), None)
    return "{} (--preset {})".format(*fitting) if fitting else ""


def summarize(problems: list[str]) -> str:
    """Problems in one line: of those of one kind in one network or layer the first, and of these groups a dozen."""
    groups: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        kind, name = re.findall(r"^(missing|unexpected key|unexpected|)\s*(.*)", problem)[0]
        part = re.split(r"[./]", name.removeprefix("params/"))[0]
        groups.setdefault((kind, part) if kind else ("", name), []).append(name)
    lines = [
        shown(f"{kind} {names[0]}".strip()) + (f" and {len(names) - 1} more of {shown(part)}" if len(names) > 1 else "")
        for (kind, part), names in groups.items()
    ][:_MOST_GROUPS]
    rest = sum(map(len, list(groups.values())[_MOST_GROUPS:]))
    return "; ".join(lines) + (f"; and {rest} more" if rest else "")
