"""The tables of the TTD paper, computed and set beside the printed figures.

``python -m studies.tables --table 3 --data DIR --checkpoint DIR [DIR ...]``

DIR holds the data sets, each in a folder of its name (``MRI_CT``, ``LLVIP``, ...), or is such a folder; checkpoints
are folders made by ``convert/from_torch.py``. What is missing is said with where to get it.

Protocol. The sources become grey by Pillow's "L" and are repeated to the network's channels; the result is clipped,
multiplied by 255, truncated to 8 bits, and becomes grey by "L" too. Before that the red and blue of IFCNN's result are
exchanged, as of a picture that is written in one order and read in the other. On MEFB and MFI-WHU colour goes into
IFCNN, in the order blue, green, red, and the result is taken as red, green, blue. The metrics are those of convention
``ttd``, but with N - 1 in the standard deviation. With that, Table 3's static row of IFCNN comes out to every printed
digit; with N its SD would be 61.9746 and print as 61.97, with N - 1 it is 61.9751. Only the static rows of IFCNN on
the medical sets and MEFB have been confirmed; what the paper did with CDDFuse, PIAFusion and the infrared sets is not
known.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from studies.datasets import DATASETS, Dataset, Pair, find_pairs
from studies.published import TABLES, Part, Row
from ttd_jax import __version__, load_backbone
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core import fusion
from ttd_jax.core.weighting import LossWeighting, StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.metrics import METRICS, evaluate

Progress = Callable[[Sequence[Pair], str], Iterable[Pair]]

_VARIANTS = {"SD": "sample"}


class Line(NamedTuple):
    """One computed row: the printed row it belongs to, the recipe (``"static"`` for none), and its values."""

    row: Row
    recipe: str
    values: tuple[float, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", type=int, choices=sorted(TABLES), required=True, help="number of the table")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    parser.add_argument("--checkpoint", nargs="+", default=[], metavar="DIR", help="converted checkpoints")
    parser.add_argument("--recipe", nargs="+", metavar="NAME", help="recipes of the +TTD rows (default: all)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pairs of each data set")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is not a folder: expected the folder of the data sets")
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit is at least 1; got {options.limit}")
    backbones = load_backbones(options.checkpoint)
    check_recipes(options.recipe or [], backbones)
    return 0 if show(options.table, options.data, backbones, options.recipe, options.limit, _bar) else 1


def show(
    number: int,
    data: str | Path,
    backbones: dict[str, Backbone],
    recipes: Sequence[str] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Prints a table; returns how many rows were computed.

    Args:
        number: The table's number in the paper.
        data: Folder of the data sets.
        backbones: What ``load_backbones`` returned.
        recipes: Recipes of the +TTD rows; None for all.
        limit: Only the first pairs of each data set.
        progress: Called with the pairs and a label, gives the pairs back one by one.
    """
    computed = 0
    for part in TABLES[number].parts:
        pairs = find_pairs(Path(data), part.dataset)[:limit]
        lines = list(compute(part, pairs, backbones, recipes, progress)) if pairs else []
        computed += len(lines)
        print("\n".join(report(number, part, pairs, backbones, lines)))
    return computed


def load_backbones(checkpoints: Iterable[str | Path]) -> dict[str, Backbone]:
    """Backbones by name.

    Raises:
        InputError: Two checkpoints are of one backbone.
        CheckpointError: A checkpoint cannot be read.
    """
    found: dict[str, Backbone] = {}
    for folder in checkpoints:
        backbone = load_backbone(None, folder)
        if backbone.name in found:
            raise InputError(f"two checkpoints are of {backbone.name}: give one of each backbone")
        found[backbone.name] = backbone
    return found


def check_recipes(recipes: Iterable[str], backbones: dict[str, Backbone]) -> None:
    """Raises InputError if no backbone has one of the recipes."""
    known = dict.fromkeys(name for backbone in backbones.values() for name in backbone.recipes)
    for name in recipes:
        if name not in known:
            raise InputError(f"recipes of {', '.join(backbones) or 'no backbone'} are {', '.join(known)}; got {name!r}")


def compute(
    part: Part,
    pairs: Sequence[Pair],
    backbones: dict[str, Backbone],
    recipes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Line]:
    """The rows of one part whose backbone is there, +TTD rows once for each recipe."""
    progress = progress or _silent
    for row in part.rows:
        if row.kind == "printed" or row.backbone not in backbones:
            continue
        backbone = backbones[row.backbone]
        for recipe, weighting in _weightings(row, backbone, recipes).items():
            scores = []
            fuse = fuser(backbone, weighting, DATASETS[part.dataset])
            for pair in progress(pairs, f"{row.label} ({recipe})"):
                if part.metrics == ("seconds",):
                    scores.append((_seconds(fuse, pair),))
                else:
                    scores.append(_scores(fuse(pair), pair, part.metrics))
            yield Line(row, recipe, tuple(np.mean(scores, axis=0).tolist()))


def fuser(backbone: Backbone, weighting: LossWeighting | None, dataset: Dataset) -> Callable[[Pair], np.ndarray]:
    """From the files of a pair to the fused image, grey, 8 bits, as :mod:`studies.tables` describes the protocol."""
    model, variables = backbone.model, backbone.variables
    run = jax.jit(partial(fusion.fuse, model, weighting=StaticWeighting() if weighting is None else weighting))
    colored = dataset.colored and backbone.channels == 3

    def fuse(pair: Pair) -> np.ndarray:
        images = [Image.open(path).convert("RGB" if colored else "L") for path in pair]
        sources = np.stack([np.asarray(image, np.float32) / 255 for image in images])
        sources = sources[..., ::-1] if colored else sources[..., np.newaxis]
        image = np.asarray(run(variables, sources).image)
        levels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
        if levels.shape[2] == 1:
            return levels[..., 0]
        return np.asarray(Image.fromarray(levels if colored else levels[..., ::-1].copy()).convert("L"))

    return fuse


def read_grey(pair: Pair) -> list[np.ndarray]:
    """The sources as the metrics see them: grey by Pillow's "L"."""
    return [np.asarray(Image.open(path).convert("L")) for path in pair]


def report(
    number: int, part: Part, pairs: Sequence[Pair], backbones: dict[str, Backbone], lines: Sequence[Line]
) -> list[str]:
    """The printed rows, under each the computed ones and their differences, and what is missing."""
    dataset, table = DATASETS[part.dataset], TABLES[number]
    wanted = f" of {dataset.count}" if dataset.count else ""
    used = ", ".join(
        f"{name} {b.manifest.get('preset')} ({str(b.manifest.get('sha256'))[:12]})" for name, b in backbones.items()
    )
    text = [
        f"Table {number}, {table.title}: {part.dataset}, {len(pairs)}{wanted} pairs",
        f"ttd-jax {__version__}, jax {jax.__version__}, convention ttd with SD/sample; checkpoints: {used or 'none'}",
        "",
    ]
    arrows = [f"{name}{METRICS[name].arrow}" if name in METRICS else name for name in part.metrics]
    wide = max(len(row.label) for row in part.rows)
    text.append(f"{'':{wide}}  {'':22}" + "".join(f"{name:>9}" for name in arrows))
    printed, digits = (4, 4) if part.metrics == ("seconds",) else (2, 3)
    for row in part.rows:
        text.append(_line(row.label, wide, "paper", row.values, printed))
        for line in lines:
            if line.row == row:
                name = "here" if line.recipe == "static" else f"here, recipe {line.recipe}"
                text.append(_line("", wide, name, line.values, digits))
                differences = [ours - theirs for ours, theirs in zip(line.values, row.values, strict=True)]
                text.append(_line("", wide, "  difference", differences, digits, sign="+"))
    text.append("")
    if part.metrics != ("seconds",):
        for line in lines:
            same = [f"{ours:.2f}" == f"{theirs:.2f}" for ours, theirs in zip(line.values, line.row.values, strict=True)]
            text.append(f"{line.row.label} ({line.recipe}): {sum(same)} of {len(same)} equal to the printed digits")
    text += [*_missing(part, pairs, backbones), *([f"missing: {table.missing}"] if table.missing else []), ""]
    return text


def _missing(part: Part, pairs: Sequence[Pair], backbones: dict[str, Backbone]) -> Iterator[str]:
    """What keeps rows from being computed, or makes them something else than the paper's."""
    dataset = DATASETS[part.dataset]
    folder = part.dataset.replace("-", "_")
    if not pairs:
        layouts = [f"{folder}/{a}/ and {folder}/{b}/, equal file names" for a, b in dataset.layouts]
        if dataset.suffixes:
            layouts.append(f"{folder}/NAME{dataset.suffixes[0]}.jpg and {folder}/NAME{dataset.suffixes[1]}.jpg")
        yield f"missing: {part.dataset}, from {dataset.where}; expected inside --data: {'; or '.join(layouts)}"
    elif dataset.count and len(pairs) != dataset.count:
        yield f"note: {len(pairs)} pairs instead of the paper's {dataset.count}: the differences are not the method's"
    if dataset.note:
        yield f"note: {dataset.note}"
    for name in dict.fromkeys(row.backbone for row in part.rows):
        if name not in backbones:
            spec = BACKBONES[name]
            yield (
                f"missing: a checkpoint of {name}, from {spec.origin}; convert it with "
                f"`python convert/from_torch.py {name} FILE.pth --output DIR --preset {'|'.join(spec.presets)}`"
            )
        elif name == "ifcnn" and (preset := backbones[name].manifest.get("preset")) != "sum":
            yield f"note: the paper's rows of IFCNN are those of IFCNN-SUM.pth; the checkpoint here is {preset}"
        elif name != "ifcnn":
            yield f"note: how the paper ran {name} is not known; rows are by the protocol of studies/tables.py"


def _weightings(row: Row, backbone: Backbone, recipes: Sequence[str] | None) -> dict[str, LossWeighting | None]:
    """Loss weighting by recipe, without recipes that are equal to an earlier one."""
    if row.kind == "static":
        return {"static": None}
    found: dict[str, LossWeighting | None] = {}
    for name in backbone.recipes:
        if recipes and name not in recipes:
            continue
        weighting = replace(backbone.recipes[name], **row.options)
        if weighting not in found.values():
            found[name] = weighting
    return found


def _scores(fused: np.ndarray, pair: Pair, metrics: Sequence[str]) -> tuple[float, ...]:
    return tuple(evaluate(fused, read_grey(pair), metrics=metrics, convention="ttd", variants=_VARIANTS).values())


def _seconds(fuse: Callable[[Pair], np.ndarray], pair: Pair) -> float:
    """Time of one fusion from files, compiled, the better of two."""
    fuse(pair)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        fuse(pair)
        times.append(time.perf_counter() - start)
    return min(times)


def _line(label: str, wide: int, name: str, values: Sequence[float], digits: int, sign: str = "") -> str:
    return f"{label:{wide}}  {name:22}" + "".join(f"{value:{sign}9.{digits}f}" for value in values)


def _silent(pairs: Sequence[Pair], label: str) -> Iterable[Pair]:
    return pairs


def _bar(pairs: Sequence[Pair], label: str) -> Iterable[Pair]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(pairs, label, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:  # InputError and CheckpointError
        sys.exit(f"error: {error}")
