"""What each part of the training is worth: short runs on pairs with one part changed, judged by the sixteen cells.

``python -m studies.ablation --data DATA --ifcnn DIR [--steps 200] [--output DIR] [VARIANT ...]``

For every variant: in how many cells TTD beats the static rule of the same checkpoint (goal A), in how many it is at
least as good as official IFCNN with the best rule of the task (goal B), and the same for static fusion.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from studies.cells import best_rule, print_table
from studies.methods import fused_by
from studies.pairs import load_pairs
from studies.scoring import score_pairs, won
from ttd_jax import load_backbone
from ttd_jax.training.recipes import RECIPES, Recipe
from ttd_jax.training.trainer import train

GENERAL = replace(RECIPES["general"], counts=(2,))


def without(term: str) -> Recipe:
    """The recipe without one term of the objective."""
    return replace(GENERAL, terms={task: terms._replace(**{term: 0.0}) for task, terms in GENERAL.terms.items()})


UNCALIBRATED = dict.fromkeys(GENERAL.calibration, 0.0)
VARIANTS: dict[str, Recipe] = {
    "the recipe": GENERAL,
    "no component training": replace(GENERAL, component=0.0, calibration=UNCALIBRATED),
    "components not calibrated": replace(GENERAL, calibration=UNCALIBRATED),
    "gradients stopped at the weights": replace(GENERAL, through_weights=False),
    "static weights too": replace(GENERAL, static=0.3),
    "weights not in the loop": replace(GENERAL, dynamic=False, static=1.0),
    "no corrupted sources": replace(GENERAL, corrupt=0.0),
    "no structure term": without("structure"),
    "no edge term": without("edges"),
    "no detail term": without("detail"),
    "no contrast term": without("contrast"),
}
"""One change each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"among {', '.join(VARIANTS)}; default: all")
    parser.add_argument("--data", type=Path, required=True, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--ifcnn", type=Path, required=True, help="folder of the converted checkpoints max, mean, sum")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output", type=Path, help="where to keep the runs (default: nowhere)")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair")
    parser.add_argument("--every", type=int, default=6, help="take every n-th medical pair")
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"variants are {', '.join(VARIANTS)}; got {', '.join(sorted(unknown))}")
    pairs = load_pairs(options.data, options.size, options.every)
    rules = {
        rule: score_pairs(fused_by(load_backbone("ifcnn", options.ifcnn / rule), weighting="static"), pairs)
        for rule in ("max", "mean", "sum")
    }
    best = best_rule(rules)
    rows = {"IFCNN, best rule of each task": best}
    print(f"{options.steps} steps each")
    print(
        "| variant | goal A: TTD beats static | goal B: TTD at least IFCNN | static at least IFCNN |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.variants or VARIANTS:
            folder = (options.output or Path(temporary)) / name.replace(" ", "-")
            folder.parent.mkdir(parents=True, exist_ok=True)
            backbone = load_backbone(None, train(replace(VARIANTS[name], steps=options.steps), folder))
            dynamic = score_pairs(fused_by(backbone), pairs)
            static = score_pairs(fused_by(backbone, weighting="static"), pairs)
            rows |= {f"{name}: TTD": dynamic, f"{name}: static": static}
            counts = won(dynamic, static), won(dynamic, best, ties=True), won(static, best, ties=True)
            print(f"| {name} | " + " | ".join(f"{n} of {cells}" for n, cells in counts) + " |", flush=True)
    print_table(rows)


if __name__ == "__main__":
    main()
