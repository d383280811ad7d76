"""What each part of the training is worth: the checkpoint's plan with one part changed, judged as the checkpoint is.

``python -m studies.ablation --output DIR [--radiance FILE] [--steps N] [--data DATA] [VARIANT ...]``

A row a variant, after the pyramid's and that of the checkpoint in the package: in how many cells it beats the
energy-weighted pyramid and static fusion of itself, clean and with a damaged source (``studies.cells``), and focus
pairs in dB, clean and with noise. Runs are kept in DIR: one that was interrupted goes on, one that is through is only
judged.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from studies.damage import COUNTED
from studies.measures import Scores
from studies.pairs import HALVES
from studies.scoring import DATA, peer_scores, won
from ttd_jax.training.plans import PLANS, Plan
from ttd_jax.training.trainer import train

GENERAL = PLANS["general"]

VARIANTS: dict[str, Plan] = {
    "one band": replace(GENERAL, bands=1),
    "no saliency in the score": replace(GENERAL, saliency=False),
    "no loss in the score": replace(GENERAL, loss=False),
    "no damaged sources": replace(GENERAL, damaged=0.0),
    "weights not in the loop": replace(GENERAL, loop=False),
    "components not trained": replace(GENERAL, component=0.0),
    "brightness not trained": replace(GENERAL, brightness={}),
}
"""One change each."""

COLUMNS = ("pyramid, 16", "static, 16", "damaged: pyramid, 48", "damaged: static, 48", "focus, dB", "with noise, dB")


def checkpoint_of(plan: Plan, folder: Path) -> Path:
    """The checkpoint of a run in ``folder``, trained or trained further where it is not through."""
    checkpoint = folder / "checkpoint"
    return checkpoint if checkpoint.is_dir() else train(plan, folder, resume=(folder / "state").is_dir())


def scores_of(name: str, settled: Mapping[str, object]) -> Scores:
    """All cells of a method by its name, clean ones and those with a damaged source."""
    robust = {cell: value for cell, value in peer_scores(name, robust=True, **settled).items() if cell[0] in COUNTED}
    return peer_scores(name, **settled) | robust


def row(scores: Scores, static: Scores, pyramid: Scores) -> list[str]:
    """What stands under ``COLUMNS``."""
    clean, damaged = ({cell: v for cell, v in scores.items() if len(cell) == length} for length in (2, 3))
    counts = [str(won(part, against)[0]) for part in (clean, damaged) for against in (pyramid, static)]
    return [*counts, *(f"{scores[cell]:.1f}" for cell in (("focus", "PSNR"), ("noise", "focus", "PSNR")))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"among {', '.join(VARIANTS)}; default: all")
    parser.add_argument("--output", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--radiance", default="", help="radiance maps, as the checkpoint in the package had them")
    parser.add_argument("--steps", type=int, default=GENERAL.steps, help="of each run (default: the checkpoint's)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="report", help="half of the pairs")
    parser.add_argument("--limit", type=int, default=6, help="pairs of each task")
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"variants are {', '.join(VARIANTS)}; got {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    settled = dict(half=options.half, limit=options.limit, data=options.data)
    pyramid = scores_of("pyramid", settled)
    print(
        f"{options.steps} steps each\n\n| better than | "
        + " | ".join(COLUMNS)
        + " |"
        + "\n|---"
        + "|---" * len(COLUMNS)
        + "|"
    )
    for name in ("the checkpoint", *(options.variants or VARIANTS)):
        method = "fuse"
        if name in VARIANTS:
            plan = replace(VARIANTS[name], steps=options.steps, radiance=options.radiance)
            method = f"fuse checkpoint={checkpoint_of(plan, options.output / name.replace(' ', '-'))}"
        scores, static = scores_of(method, settled), scores_of(f"{method} weighting=static", settled)
        print(f"| {name} | " + " | ".join(row(scores, static, pyramid)) + " |", flush=True)


if __name__ == "__main__":
    main()
