"""Networks that reconstruct single images: what their losses measure, and what weights by them gain.

``python -m studies.reconstruction DIR ... --data DATA [--half choose] [--most 5] [--tasks infrared] [--size 256]``

``DIR`` are converted checkpoints, of ``densefuse``, ``didfuse``, ``auif`` and ``pfcfuse`` for instance. Four tables:

- *without them*: the average, classical methods and the network in the package on the same pairs.
- *facts*: how well a source is reconstructed from its features alone, what its losses go with (brightness, local
  gradient: correlation over the pixels), and whether they rise where the source is damaged (``studies.damage``).
- *cells*: each weighting beside static fusion and the controls that use no loss of the network: the four measures of
  the task, in how many of them, clean and with a damaged source (noise, JPEG, box), it is better than static fusion,
  and the terms of the theory: the summed covariance of weights and losses, and how much the bound (Eq. 10) and the
  error (Eq. 4, left) change against static fusion.
- *shares*: what weight a damaged source keeps, in hundredths of what it had.

Recipes were settled on the half ``choose``; the half ``report`` is for the page.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from studies.damage import COUNTED, box_of, damaged
from studies.measures import CELLS, score
from studies.methods import FuseFn, fused_by_control, named_method
from studies.pairs import HALVES, Pair, load_half, spaced
from studies.scoring import DATA, keep_programs
from ttd_jax import Fuser, GradientWeighting, StaticWeighting, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.filters import gaussian_kernel, local_mean

LOG = replace(PAPER, loss="l1", form="log", smoothing=4.0)
"""What is the default with IFCNN, with the paper's component: weights by the ratio of smoothed absolute errors."""

BANDS = replace(LOG, bands="all", smoothing=0.0)

WEIGHTINGS = {
    "l1-norm rule": StaticWeighting(rule="l1"),
    "paper": PAPER,
    "paper x 50": replace(PAPER, scale=50.0),
    "log": LOG,
    "log, scale 0.5": replace(LOG, scale=0.5),
    "log, scale 2": replace(LOG, scale=2.0),
    "log, positive": replace(LOG, correlation="positive"),
    "bands, loss and energy": replace(BANDS, saliency=1.0),
    "bands, energy": replace(BANDS, scale=0.0, saliency=1.0),
    "gradient, mean": GradientWeighting("mse", channel="mean").complete(PAPER),
}
"""By label. Energy alone (scale 0) does not look at a loss: an energy-weighted pyramid of the network's features."""

PEERS = {
    "average": "average",
    "pyramid": "pyramid",
    "larger coefficient": "laplacian max",
    "guided filter": "guided filter",
    "BandNet": "fuse",
}
"""Methods of ``studies.methods`` by label, doing nothing first."""

COLUMNS = ("loss", "noise", "jpeg", "box", "defocus")


@dataclass(frozen=True)
class Row:
    """What one way to fuse gives on all pairs.

    Attributes:
        clean: The measures, (pairs, 4).
        robust: Likewise by kind of damage.
        theory: Covariance, bound and error relative to the static ones, (pairs, 3); NaN where there is none.
        shares: By kind of damage, the damaged source's mean weight over what it was, (pairs,); in the box for ``box``.
    """

    clean: np.ndarray
    robust: Mapping[str, np.ndarray]
    theory: np.ndarray
    shares: Mapping[str, np.ndarray]


def reconstruct(backbone: Backbone, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components (2, H, W) of uint8 sources, decoded alone, and their absolute errors, in [0, 1]."""
    result = Fuser(backbone, weighting=replace(PAPER, loss="l1"))(list(sources))
    return np.asarray(result.components), np.asarray(result.losses)


def facts(backbone: Backbone, pairs: Sequence[Pair]) -> dict[str, float]:
    """What losses go with, in means over pairs and sources; errors in levels of 255.

    ``defocus`` and so on are the mean loss of a damaged source, in the hidden box for ``box``, where ``loss in box`` is
    that of the clean one.
    """
    rows: list[dict[str, float]] = []
    for pair in pairs:
        components, losses = reconstruct(backbone, pair.sources)
        hidden = {kind: [damaged(pair.sources, kind, m)[m] for m in (0, 1)] for kind in COLUMNS[1:]}
        spoiled = {kind: reconstruct(backbone, np.stack(both))[1] for kind, both in hidden.items()}
        for m, source in enumerate(pair.sources / 255):
            inside = box_of(source.shape)
            detail = np.hypot(*np.gradient(source))
            row = {
                "PSNR": -10 * np.log10(np.mean((components[m] - source) ** 2)),
                "brightness": np.corrcoef(losses[m].ravel(), source.ravel())[0, 1],
                "gradient": np.corrcoef(_smooth(losses[m]).ravel(), _smooth(detail).ravel())[0, 1],
                "loss": 255 * losses[m].mean(),
                "loss in box": 255 * losses[m][inside].mean(),
            }
            for kind, found in spoiled.items():
                row[kind] = 255 * (found[m][inside] if kind == "box" else found[m]).mean()
            rows.append(row)
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def _smooth(plane: np.ndarray) -> np.ndarray:
    return np.asarray(local_mean(jnp.asarray(plane), gaussian_kernel(25, 4.0)))


def judge(fuser: Fuser | FuseFn, pairs: Sequence[Pair], task: str, explained: bool = False) -> Row:
    """One way to fuse, on all pairs, clean and with the first and the second source damaged in turns."""
    clean, theory = [], []
    robust: dict[str, list[np.ndarray]] = {kind: [] for kind in COUNTED}
    shares: dict[str, list[float]] = {kind: [] for kind in COUNTED}
    for index, pair in enumerate(pairs):
        image, weights, terms = _fused(fuser, pair.sources, explained)
        clean.append(_measured(task, pair, image))
        theory.append(terms)
        for kind in COUNTED:
            m = index % 2
            image, spoiled, _ = _fused(fuser, damaged(pair.sources, kind, m), False)
            robust[kind].append(_measured(task, pair, image))
            where = (m, *box_of(pair.sources.shape)) if kind == "box" else m
            shares[kind].append(
                np.nan if weights is None or spoiled is None else spoiled[where].mean() / weights[where].mean()
            )
    return Row(
        np.array(clean),
        {kind: np.array(values) for kind, values in robust.items()},
        np.array(theory),
        {kind: np.array(values) for kind, values in shares.items()},
    )


def _fused(fuser: Fuser | FuseFn, sources: np.ndarray, explain: bool):
    """Image, weights, and covariance, bound and error of one fusion."""
    nothing = [np.nan] * 3
    if not isinstance(fuser, Fuser):
        return fuser(list(sources)), None, nothing
    result = fuser(list(sources), explain=explain)
    if not explain:
        return result.image, None if result.weights is None else np.asarray(result.weights), nothing
    theory = result.report["theory"]
    dynamic, static = theory["dynamic"], theory["static"]
    terms = [theory["covariance"], dynamic["covariance"] / dynamic["constant"], dynamic["error"] / static["error"] - 1]
    return result.image, np.asarray(result.weights), terms


def _measured(task: str, pair: Pair, image: np.ndarray) -> np.ndarray:
    found = score(task, pair, image)
    return np.array([found[task, name] for name in CELLS[task]])


def cells_won(row: Row, other: Row) -> tuple[int, int]:
    """In how many cells the row's mean is better than the other's: of the four clean ones, of the robust ones."""
    clean = int((np.nanmean(row.clean, axis=0) > np.nanmean(other.clean, axis=0)).sum())
    robust = [np.nanmean(row.robust[kind], axis=0) > np.nanmean(other.robust[kind], axis=0) for kind in COUNTED]
    return clean, int(np.sum(robust))


def study(backbone: Backbone, pairs: Sequence[Pair], task: str, labels: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Static fusion, the weightings of these labels, and the controls, one after the other."""
    yield "static", judge(Fuser(backbone, weighting="static"), pairs, task)
    for label in labels:
        weighting = WEIGHTINGS[label]
        explained = not isinstance(weighting, StaticWeighting)
        yield label, judge(Fuser(backbone, weighting=weighting), pairs, task, explained)
    for control, detail in (("control: brightness", False), ("control: brightness, detail", True)):
        yield control, judge(fused_by_control(backbone, detail), pairs, task)


def peers(pairs: Sequence[Pair], task: str) -> Iterator[tuple[str, Row]]:
    """What needs none of these networks: the average, classical methods, and the network in the package."""
    for label, name in PEERS.items():
        yield label, judge(named_method(name).fuse, pairs, task)


def print_facts(found: Mapping[str, Mapping[str, float]]) -> None:
    """Markdown, a row for each network."""
    columns = ("PSNR", "brightness", "gradient", "loss", "noise", "jpeg", "defocus", "loss in box", "box")
    print("\n| network | " + " | ".join(columns) + " |\n" + "|---" * (1 + len(columns)) + "|")
    for name, row in found.items():
        values = " | ".join(f"{row[column]:.{1 if column == 'PSNR' else 2}f}" for column in columns)
        print(f"| {name} | {values} |")


def print_cells(name: str, task: str, rows: Iterable[tuple[str, Row]]) -> dict[str, Row]:
    """Markdown, a row for each way to fuse as soon as it is known; the first is what others are better than."""
    found: dict[str, Row] = {}
    heads = (*CELLS[task], "better, of 4", f"damaged, of {4 * len(COUNTED)}", "covariance", "bound", "error")
    print(f"\n| {name}, {task} | " + " | ".join(heads) + " |\n" + "|---" * (1 + len(heads)) + "|")
    for label, row in rows:
        found[label] = row
        values = " | ".join(f"{value:.3f}" for value in np.nanmean(row.clean, axis=0))
        won = " | " if len(found) == 1 else "{} | {}".format(*cells_won(row, next(iter(found.values()))))
        covariance, bound, error = row.theory.mean(axis=0)
        terms = " | | " if np.isnan(covariance) else f"{covariance:+.1e} | {bound:+.2%} | {error:+.1%}"
        print(f"| {label} | {values} | {won} | {terms} |", flush=True)
    return found


def print_shares(name: str, found: Mapping[str, Row]) -> None:
    """Markdown, a row for each weighting."""
    print(f"\n| {name}: weight kept | " + " | ".join(COUNTED) + " |\n" + "|---" * (1 + len(COUNTED)) + "|")
    for label, row in found.items():
        kept = [float(np.mean(row.shares[kind])) for kind in COUNTED]
        if label != "static" and not np.isnan(kept).all():
            print(f"| {label} | " + " | ".join(f"{100 * value:.0f} %" for value in kept) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", metavar="DIR", help="converted checkpoints")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="choose", help="half of the pairs")
    parser.add_argument("--most", type=int, default=5, help="pairs of each task, evenly spaced")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair")
    parser.add_argument("--tasks", nargs="*", choices=("infrared", "medical"), default=["infrared"])
    parser.add_argument("--weightings", nargs="*", choices=WEIGHTINGS, default=list(WEIGHTINGS), metavar="LABEL")
    options = parser.parse_args()
    keep_programs()
    halves = load_half(options.data, options.half, options.size)
    for task in options.tasks:
        pairs = spaced(halves[task], options.most)
        print(f"\n{len(pairs)} {task} pairs of half {options.half!r}, central {options.size} pixels: ", end="")
        print(", ".join(pair.name for pair in pairs), flush=True)
        print_cells("without them", task, peers(pairs, task))
        backbones = {b.name: b for b in (load_backbone(None, folder) for folder in options.checkpoints)}
        print_facts({name: facts(backbone, pairs) for name, backbone in backbones.items()})
        for name, backbone in backbones.items():
            print_shares(name, print_cells(name, task, study(backbone, pairs, task, options.weightings)))


if __name__ == "__main__":
    main()
