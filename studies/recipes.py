"""Which loss weighting should be the default? A study on half of the test pairs, reported on the other half.

Every candidate is a combination of component, target, space, loss, form, scale and smoothing. A first round tries all
of them on a few pairs of each task, a second one the best of these, and neighbours of the very best, on all pairs of
the selection half. Candidates are ranked by how surely they beat static fusion in the cell of studies/measures.py
where they are least sure of it: the smallest of the paired t values, mean gain over its standard error. A mean over
cells would let a large gain in one pay for a loss in another, and prefers weights too strong to carry over. The other
half is for the report: winners, and the recipes that the package names, beside static fusion and the two controls
that use no network loss.

``python -m studies.recipes --data DATA [--ifcnn DIR] [--backbone NAME ...]`` prints markdown. ``--named`` leaves
the search out. ``DIR`` holds the converted IFCNN checkpoints ``sum``, ``mean`` and ``max``.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from studies.measures import CELLS, Scores, score
from studies.methods import control_weights
from studies.pairs import Pair, load_pairs, split_by_content
from ttd_jax import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.dominability import reconstruction_losses, uni_source_components, weights_from_losses
from ttd_jax.core.weighting import PAPER, LossWeighting
from ttd_jax.ops.color import luma


@dataclass(frozen=True)
class Candidate:
    """A loss weighting, and what its components are compared with: each its source, or all the static fused image.

    The second is an idea of this study, that a loss may be what the fused image would lose without the other sources.
    """

    weighting: LossWeighting
    target: str = "source"


Method = Candidate | str
"""A candidate, ``"static"`` or one of the two controls."""

BASELINES = ("static", "control: brightness", "control: brightness, detail")
NAMES = {"infrared": "vif", "medical": "medical", "exposure": "exposure", "focus": "focus"}
"""The recipe of each task."""

Pairs = dict[str, list[Pair]]
Values = dict[tuple[str, str], list[float]]
"""Score of every pair by task and measure."""


def candidates() -> list[Candidate]:
    """The grid: what is compared with what, how losses become scores, and over how many pixels."""
    compared = [
        *(("l1", component, "image", "source") for component in ("alone", "scaled", "black", "fused")),
        *(("l1", component, "mixed", "source") for component in ("alone", "black")),
        *(("l1", component, "image", "fused") for component in ("alone", "scaled", "black")),
    ]
    scored = [
        ("exp", 10.0),
        ("linear", 2.0),
        ("linear", 5.0),
        ("linear", 15.0),
        ("log", 0.5),
        ("log", 1.0),
        ("log", 2.0),
    ]
    absolute = itertools.product(compared, scored, (0.0, 4.0))
    others = itertools.product(compared, [("sigmoid", 10.0)], (4.0,))
    published = [("mse", component, "image", "source") for component in ("alone", "fused")]
    squared = itertools.product(published, [("exp", 50.0)], (0.0, 4.0))
    return [
        Candidate(
            replace(PAPER, loss=loss, scale=scale, component=component, space=space, form=form, smoothing=smoothing),
            target,
        )
        for (loss, component, space, target), (form, scale), smoothing in (*absolute, *others, *squared)
    ]


def neighbours(candidate: Candidate) -> list[Candidate]:
    """A candidate with half and twice its scale, with less and more smoothing."""
    weighting = candidate.weighting
    smoother = {0.0: [2.0], 4.0: [2.0, 8.0]}[float(weighting.smoothing or 0)]
    scales = [replace(weighting, scale=weighting.scale * factor) for factor in (0.5, 2.0)]
    changed = [*scales, *(replace(weighting, smoothing=pixels) for pixels in smoother)]
    return [replace(candidate, weighting=each) for each in changed]


class Bench:
    """Fuses one pair by many methods, computing features and components once.

    Attributes:
        backbone: The network.
        pair: What is being fused.
    """

    def __init__(self, backbone: Backbone):
        model = backbone.model
        self.backbone = backbone
        self._encode = jax.jit(model.encode)
        self._static = jax.jit(lambda variables, features: model.decode(variables, model.merge(features)))
        self._components = jax.jit(partial(uni_source_components, model), static_argnames="kind")
        self._fuse = jax.jit(
            lambda variables, features, weights: model.decode(variables, model.merge(features, weights[..., None]))
        )

    def take(self, pair: Pair) -> None:
        """Begins with a pair."""
        self.pair = pair
        self._sources = jnp.asarray(pair.sources[..., np.newaxis] / 255.0, jnp.float32)
        self._features = self._encode(self.backbone.variables, self._sources)
        self._fused = self._static(self.backbone.variables, self._features)
        self._losses: dict[tuple[str | None, ...], jax.Array] = {}
        self._made: dict[str, jax.Array] = {}

    def losses(self, candidate: Candidate) -> jax.Array:
        """Losses before they are smoothed."""
        weighting = candidate.weighting
        key = (weighting.component, candidate.target, weighting.space, weighting.loss)
        if key not in self._losses:
            kind = str(weighting.component)
            if kind not in self._made:
                self._made[kind] = self._components(self.backbone.variables, self._sources, self._features, kind=kind)
            made = self._made[kind]
            target = jnp.broadcast_to(self._fused, made.shape) if candidate.target == "fused" else self._sources
            self._losses[key] = reconstruction_losses(self.backbone.model, made, target, weighting)
        return self._losses[key]

    def image(self, method: Method) -> np.ndarray:
        """The fused image, 8 bits, as ``fuse`` would give it."""
        if method == "static":
            fused = self._fused
        else:
            if isinstance(method, Candidate):
                weights = weights_from_losses(self.losses(method), method.weighting)
            else:
                pixels = self.pair.sources.astype(np.float32) / 255
                weights = jnp.asarray(control_weights(pixels, detail=method == BASELINES[2]), jnp.float32)
            fused = self._fuse(self.backbone.variables, self._features, weights)
        grey = luma(fused)[..., 0] if fused.shape[-1] == 3 else fused[..., 0]
        return np.rint(255 * np.clip(np.asarray(grey), 0, 1)).astype(np.uint8)


def evaluate(bench: Bench, pairs: Pairs, methods: Iterable[Method]) -> dict[Method, Values]:
    """Scores of every pair by every method."""
    methods = list(dict.fromkeys(methods))
    found: dict[Method, Values] = {method: {} for method in methods}
    for task, members in pairs.items():
        started = time.perf_counter()
        for pair in members:
            bench.take(pair)
            for method in methods:
                for cell, value in score(task, pair, bench.image(method)).items():
                    found[method].setdefault(cell, []).append(value)
        seconds = time.perf_counter() - started
        print(f"{len(members)} {task} pairs, {len(methods)} methods: {seconds:.0f} s", file=sys.stderr, flush=True)
    return found


def means(values: Values) -> Scores:
    """Mean over the pairs."""
    return {cell: float(np.mean(each)) for cell, each in values.items()}


def sureness(values: Values, static: Values, tasks: Iterable[str]) -> float:
    """The smallest t value of the gains over static fusion, pair by pair, among the cells of these tasks."""
    least = np.inf
    for cell in ((task, name) for task in tasks for name in CELLS[task]):
        gains = np.subtract(values[cell], static[cell])
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        least = min(least, float(np.mean(gains) / (error + 1e-9)))
    return least


def compare(scores: Scores, other: Scores, tasks: Iterable[str]) -> tuple[int, float]:
    """Cells better than another method, and the mean gain over all cells in percent."""
    cells = [(task, name) for task in tasks for name in CELLS[task]]
    gains = [100 * (scores[cell] / other[cell] - 1) for cell in cells]
    return sum(gain > 0 for gain in gains), float(np.mean(gains))


def best(found: Mapping[Method, Values], tasks: Iterable[str], keep: int) -> list[Candidate]:
    """The candidates that rank highest, best first."""
    tasks = list(tasks)
    tried = [method for method in found if isinstance(method, Candidate)]
    return sorted(tried, key=lambda method: -sureness(found[method], found["static"], tasks))[:keep]


def search(bench: Bench, selection: Pairs, few: int, keep: int) -> dict[str, Candidate]:
    """The best candidate of each task, and under ``"default"`` that of all sixteen cells."""
    thin = {task: members[:: max(len(members) // few, 1)][:few] for task, members in selection.items()}
    wanted = {**{task: [task] for task in CELLS}, "default": list(CELLS)}
    grid = candidates()
    first = evaluate(bench, thin, ["static", *grid])
    finalists = {name: best(first, tasks, keep) for name, tasks in wanted.items()}
    tried = [each for kept in finalists.values() for each in (*kept, *neighbours(kept[0]))]
    second = evaluate(bench, selection, ["static", *tried])
    print(f"\n{len(grid)} candidates; of the second round, on the selection half:\n")
    print("| for | cells won | least t | gain % | weighting |\n|---|---|---|---|---|")
    for name, tasks in wanted.items():
        for weighting in best(second, tasks, 5):
            won, gain = compare(means(second[weighting]), means(second["static"]), tasks)
            sure = sureness(second[weighting], second["static"], tasks)
            print(f"| {name} | {won} of {4 * len(tasks)} | {sure:+.1f} | {gain:+.2f} | {describe(weighting)} |")
    return {name: best(second, tasks, 1)[0] for name, tasks in wanted.items()}


def describe(candidate: Candidate) -> str:
    """The options that differ from the paper's text, in one line."""
    options = [(f.name, getattr(candidate.weighting, f.name), getattr(PAPER, f.name)) for f in fields(PAPER)]
    options.append(("target", candidate.target, "source"))
    return ", ".join(f"{name} {value}" for name, value, paper in options if value != paper) or "as printed"


def print_tables(title: str, rows: Mapping[str, Mapping[str, Scores]], static: Scores, controls: list[Scores]) -> None:
    """A table per task: ``rows`` holds labels and scores by task."""
    for task, names in CELLS.items():
        columns = (*names, "SD", "AG", "SF")
        print(f"\n| {title}: {task} | beats static | the controls | gain % | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 4) + "|")
        for label, scores in rows[task].items():
            won, gain = compare(scores, static, [task])
            against = " and ".join(str(compare(scores, control, [task])[0]) for control in controls)
            values = " | ".join(f"{scores[task, name]:.4f}" for name in columns)
            marks = "" if scores is static else f"{won} of 4 | {against} | {gain:+.2f}"
            print(f"| {label} | {marks or '| | '} | {values} |")


def study(label: str, backbone: Backbone, halves: tuple[Pairs, Pairs], few: int, keep: int, named: bool) -> None:
    """Searches on the first half of the pairs, and prints both."""
    bench = Bench(backbone)
    print(f"\n## {label}")
    found = {} if named else search(bench, halves[0], few, keep)
    recipes = {name: Candidate(recipe) for name, recipe in backbone.recipes.items()}
    for title, pairs in zip(("selection", "held out"), halves, strict=True):
        values = evaluate(bench, pairs, [*BASELINES, *recipes.values(), *found.values()])
        scores = {method: means(each) for method, each in values.items()}
        rows: dict[str, dict[str, Scores]] = {}
        for task in CELLS:
            chosen: dict[str, Method] = {name: name for name in BASELINES}
            chosen |= {f"`{name}`": recipes[name] for name in ("paper", "default", NAMES[task]) if name in recipes}
            if found:
                chosen |= {"found for all": found["default"], "found for this task": found[task]}
            rows[task] = {name: scores[method] for name, method in chosen.items()}
        static, *controls = (scores[name] for name in BASELINES)
        print_tables(title, rows, static, controls)
        print(f"\n| {title}: all sixteen cells | beat static | beat the controls |\n|---|---|---|")
        everything: dict[str, Scores] = {name: scores[name] for name in BASELINES[1:]}
        everything |= {f"`{name}`": scores[recipes[name]] for name in ("paper", "default")}
        if found:
            everything["found for all"] = scores[found["default"]]
        if set(NAMES.values()) <= set(recipes):
            per_task = {t: scores[recipes[NAMES[t]]] for t in CELLS}
            everything["the recipe of each task"] = {c: v for t in CELLS for c, v in per_task[t].items() if c[0] == t}
        for name, each in everything.items():
            against = " and ".join(str(compare(each, control, CELLS)[0]) for control in controls)
            print(f"| {name} | {compare(each, static, CELLS)[0]} | {against} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test pairs (see studies/pairs.py)")
    folder = "folder of the converted IFCNN checkpoints sum, mean and max"
    parser.add_argument("--ifcnn", type=Path, required=True, help=folder)
    choices = ("ifcnn-sum", "ifcnn-mean", "ifcnn-max")
    parser.add_argument("--backbone", nargs="+", choices=choices, default=choices)
    parser.add_argument("--size", type=int, default=192, help="central pixels of each pair")
    parser.add_argument("--every", type=int, default=4, help="take every n-th medical pair")
    parser.add_argument("--few", type=int, default=3, help="pairs of each task in the first round")
    parser.add_argument("--keep", type=int, default=4, help="candidates of each task in the second round")
    parser.add_argument("--named", action="store_true", help="the named recipes only, no search")
    options = parser.parse_args()
    halves = split_by_content(load_pairs(options.data, options.size, options.every))
    for title, pairs in zip(("selection", "held out"), halves, strict=True):
        print(f"{title}: " + ", ".join(f"{len(members)} {task}" for task, members in pairs.items()) + " pairs")
    for label in options.backbone:
        name, _, rule = label.partition("-")
        backbone = load_backbone(name, options.ifcnn / rule)
        study(label, backbone, halves, options.few, options.keep, options.named)


if __name__ == "__main__":
    main()
