"""What each part of the training is worth: runs on pairs with one part changed, judged by the sixteen cells.

``python -m studies.ablation --data DATA [--steps 200] [--output DIR] [VARIANT ...]``

For every variant: in how many cells it beats the energy-weighted pyramid, and static fusion of the same checkpoint.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from studies.cells import print_table
from studies.methods import fused_by
from studies.pairs import load_pairs
from studies.scoring import score_pairs, won
from ttd_jax import load_backbone
from ttd_jax.training.plans import PLANS, Plan
from ttd_jax.training.trainer import train

GENERAL = replace(PLANS["general"], pairs=1.0)

VARIANTS: dict[str, Plan] = {
    "the plan": GENERAL,
    "no loss in the score": replace(GENERAL, loss=False),
    "no saliency in the score": replace(GENERAL, saliency=False),
    "no damaged sources": replace(GENERAL, damaged=0.0),
    "components not trained": replace(GENERAL, component=0.0),
    "brightness not trained": replace(GENERAL, brightness={}),
}
"""One change each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"among {', '.join(VARIANTS)}; default: all")
    parser.add_argument("--data", type=Path, required=True, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output", type=Path, help="where to keep the runs (default: nowhere)")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair")
    parser.add_argument("--every", type=int, default=6, help="take every n-th medical pair")
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"variants are {', '.join(VARIANTS)}; got {', '.join(sorted(unknown))}")
    pairs = load_pairs(options.data, options.size, options.every)
    rows = {"pyramid": score_pairs(fused_by(load_backbone("pyramid")), pairs)}
    print(f"{options.steps} steps each")
    print("| variant | better than the pyramid | better than its static fusion |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.variants or VARIANTS:
            folder = (options.output or Path(temporary)) / name.replace(" ", "-")
            folder.parent.mkdir(parents=True, exist_ok=True)
            backbone = load_backbone(None, train(replace(VARIANTS[name], steps=options.steps), folder))
            rows[name] = score_pairs(fused_by(backbone), pairs)
            static = score_pairs(fused_by(backbone, weighting="static"), pairs)
            counts = won(rows[name], rows["pyramid"]), won(rows[name], static)
            print(f"| {name} | " + " | ".join(f"{n} of {cells}" for n, cells in counts) + " |", flush=True)
    print_table(rows)


if __name__ == "__main__":
    main()
