"""Does a lower bound mean a better image? Weights of both signs from the same losses, beside measures of the result.

``python -m studies.bound [--checkpoint DIR] [--data DATA]``

After the paper's section 5.1: for each kind of component the weights are made once with negative and once with positive
correlation to the loss. Printed are the summed covariance of weights and losses, how much the bound (Eq. 10) and the
error that it bounds (Eq. 4, left) change against static fusion, and how much VIF, Qabf, SCD and SSIM do; then in how
many pairs the sign with the lower bound gives the better image. Without ``--data`` the pairs are made from photographs
and scenes (``studies.weights.own_pairs``).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from studies.pairs import Pair, load_pairs, spaced
from studies.robustness import METRICS, measure
from studies.weights import own_pairs
from ttd_jax import Fuser, LossWeighting, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.weighting import PAPER

MEASURES = ("VIF", "Qabf", "SCD", "SSIM")
SIGNS = ("negative", "positive")

WEIGHTINGS = {
    "recipe": LossWeighting(),
    "alone": replace(PAPER, scale=50.0, component="alone"),
    "scaled": replace(PAPER, scale=50.0, component="scaled"),
    "black": replace(PAPER, scale=50.0, component="black"),
    "fused": replace(PAPER, scale=50.0, component="fused"),
}
"""The network's own recipe, and the paper's form with every kind of component, squared errors times 50."""

Row = tuple[np.ndarray, ...]
"""Of one weighting and sign: covariances, bounds and errors less the static ones (pairs,), measures (pairs, 4)."""


def bound_study(backbone: Backbone, pairs: list[Pair]) -> dict[tuple[str, str], Row]:
    """Every weighting with both signs, over all pairs."""
    columns = [list(METRICS).index(name) for name in MEASURES]

    def judge(fuser: Fuser, pair: Pair, explain: bool):
        result = fuser(list(pair.sources), explain=explain)
        scores = np.asarray(measure(jnp.asarray(result.image), jnp.asarray(pair.sources)))[columns]
        return result.report.get("theory"), scores

    static = [judge(Fuser(backbone, weighting="static"), pair, False)[1] for pair in pairs]
    found = {}
    for name, weighting in WEIGHTINGS.items():
        for sign in SIGNS:
            fuser = Fuser(backbone, weighting=replace(weighting, correlation=sign))
            judged = [judge(fuser, pair, True) for pair in pairs]
            terms = [theory for theory, _ in judged]
            found[name, sign] = (
                np.array([theory["covariance"] for theory in terms]),
                np.array([theory["dynamic"]["covariance"] / theory["dynamic"]["constant"] for theory in terms]),
                np.array([theory["dynamic"]["error"] / theory["static"]["error"] - 1 for theory in terms]),
                np.array([scores for _, scores in judged]) - static,
            )
    return found


def print_study(found: dict[tuple[str, str], Row]) -> None:
    print("| component | sign | sum of Cov | bound | error | " + " | ".join(MEASURES) + " |\n" + "|---" * 9 + "|")
    for (name, sign), (covariance, bound, error, gains) in found.items():
        changes = " | ".join(f"{gain:+.3f}" for gain in gains.mean(axis=0))
        print(f"| {name} | {sign} | {covariance.mean():+.1e} | {bound.mean():+.2%} | {error.mean():+.1%} | {changes} |")
    print("\nIn how many pairs the sign with the lower bound is the better one:\n")
    print("| component | pairs | " + " | ".join(MEASURES) + " |\n" + "|---" * 6 + "|")
    for name in WEIGHTINGS:
        (_, low, _, negative), (_, high, _, positive) = (found[name, sign] for sign in SIGNS)
        better = ((negative > positive) == (low < high)[:, np.newaxis]).sum(axis=0)
        print(f"| {name} | {len(low)} | " + " | ".join(map(str, better)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", help="checkpoint to judge (default: the one in the package)")
    parser.add_argument("--data", type=Path, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair of --data")
    parser.add_argument("--most", type=int, default=4, help="pairs of each task, evenly spaced")
    parser.add_argument("--tasks", nargs="*", help="some of the tasks (default: all)")
    options = parser.parse_args()
    pairs = load_pairs(options.data, options.size) if options.data else own_pairs()
    chosen = [pair for task in options.tasks or pairs for pair in spaced(pairs[task], options.most)]
    print_study(bound_study(load_backbone(None, options.checkpoint), chosen))


if __name__ == "__main__":
    main()
