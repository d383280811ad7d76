"""Sixteen cells: does fusion with test-time weights beat the static rule, and official IFCNN?

Four tasks by four measures that sharpening alone does not raise: VIF (vifp, summed over the sources), Qabf (Xydeas),
SCD and SSIM (L = 255, summed) for infrared and medical pairs; VIF, Qabf, and PSNR and SSIM against the truth for
focus; MEF-SSIM, VIF, Qabf and SCD for exposure. SD, AG and SF, which sharpening does raise, stand beside them.

``python -m studies.cells --data DATA [--checkpoint DIR] [--ifcnn DIR]`` where the last folder holds the converted
checkpoints ``max``, ``mean`` and ``sum``.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from studies.pairs import Pair, load_pairs
from ttd_jax import Fuser, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.metrics import (
    average_gradient,
    edge_preservation,
    multi_exposure_structural_similarity,
    peak_signal_to_noise_ratio,
    spatial_frequency,
    standard_deviation,
    structural_similarity,
    sum_of_correlations_of_differences,
    visual_information_fidelity,
)

Method = Callable[[np.ndarray], np.ndarray]
"""From two grey sources (2, H, W) uint8 to the fused image (H, W) uint8."""

MEASURES = {
    "VIF": partial(visual_information_fidelity, variant="vifp_sum"),
    "Qabf": partial(edge_preservation, variant="xydeas"),
    "SCD": partial(sum_of_correlations_of_differences, variant="sum"),
    "SSIM": partial(structural_similarity, variant="eval255"),
    "MEF-SSIM": partial(multi_exposure_structural_similarity, variant="multiscale"),
    "SD": lambda fused, sources: standard_deviation(fused),
    "AG": lambda fused, sources: average_gradient(fused),
    "SF": lambda fused, sources: spatial_frequency(fused),
}

CELLS = {
    "infrared": ("VIF", "Qabf", "SCD", "SSIM"),
    "medical": ("VIF", "Qabf", "SCD", "SSIM"),
    "focus": ("VIF", "Qabf", "PSNR", "SSIM truth"),
    "exposure": ("MEF-SSIM", "VIF", "Qabf", "SCD"),
}

Scores = dict[tuple[str, str], float]
"""Mean score by task and measure."""


def score_pairs(method: Method, pairs: dict[str, list[Pair]]) -> Scores:
    """Mean scores of a method over all pairs."""
    found: dict[tuple[str, str], list[float]] = {}
    for task, members in pairs.items():
        for pair in members:
            for cell, value in score(task, pair, method(pair.sources)).items():
                found.setdefault(cell, []).append(value)
    return {cell: float(np.mean(values)) for cell, values in found.items()}


def score(task: str, pair: Pair, fused: np.ndarray) -> Scores:
    """Scores of one fused image; those of pairs with a known truth count for focus."""
    if pair.truth is not None:
        return {("focus", "PSNR"): _psnr(fused, pair.truth), ("focus", "SSIM truth"): _ssim(fused, pair.truth)}
    names = tuple(n for n in (*CELLS[task], "SD", "AG", "SF") if n in MEASURES)
    values = _measure(jnp.asarray(fused), jnp.asarray(pair.sources), names)
    return {(task, name): float(value) for name, value in zip(names, values, strict=True)}


@partial(jax.jit, static_argnames="names")
def _measure(fused, sources, names):
    return [MEASURES[name](fused, sources) for name in names]


def _psnr(fused: np.ndarray, truth: np.ndarray) -> float:
    return float(peak_signal_to_noise_ratio(jnp.asarray(fused), jnp.asarray(truth[np.newaxis]), variant="standard"))


def _ssim(fused: np.ndarray, truth: np.ndarray) -> float:
    from skimage.metrics import structural_similarity as ssim

    return float(ssim(fused, truth, data_range=255))


def fused_by(backbone: Backbone, **options) -> Method:
    """Plain ``fuse``, with no hint of the task."""
    fuser = Fuser(backbone, **options)
    return lambda sources: fuser(list(sources)).image


def fused_by_control(backbone: Backbone, detail: bool) -> Method:
    """The backbone with weights that no network made."""
    model = backbone.model

    @jax.jit
    def fuse(variables, sources, weights):
        features = model.encode(variables, sources[..., jnp.newaxis])
        latent = model.merge(features, weights[..., jnp.newaxis])
        return jnp.mean(model.render(variables, latent, sources[..., jnp.newaxis]), axis=-1)

    def method(sources: np.ndarray) -> np.ndarray:
        pixels = sources.astype(np.float32) / 255
        fused = fuse(backbone.variables, jnp.asarray(pixels), jnp.asarray(control_weights(pixels, detail)))
        return np.rint(255 * np.clip(np.asarray(fused), 0, 1)).astype(np.uint8)

    return method


def control_weights(sources: np.ndarray, detail: bool) -> np.ndarray:
    """Weights (2, H, W) that prefer the brighter source a little, and with ``detail`` the one that has more of it.

    w = sigmoid(0.5 (a - b) [+ 0.2 log(h(a) / h(b))]) with h(x) = G16(|x - G1(x)|) + 0.004.
    """
    a, b = sources
    preference = 0.5 * (a - b)
    if detail:
        preference = preference + 0.2 * np.log(_detail(a) / _detail(b))
    weight = 1 / (1 + np.exp(-preference))
    return np.stack([weight, 1 - weight])


def _detail(image: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(np.abs(image - ndimage.gaussian_filter(image, 1)), 16) + 0.004


def cells_won(scores: Scores, against: Scores, ties: bool = False) -> int:
    """In how many of the sixteen cells one method is better (or, with ``ties``, at least as good)."""
    pairs = [(scores[task, name], against[task, name]) for task, names in CELLS.items() for name in names]
    return sum(a >= b if ties else a > b for a, b in pairs)


def best_rule(scores: dict[str, Scores]) -> Scores:
    """Of several methods, for each task the one that is best in most of its cells, ties going to the first."""
    chosen: Scores = {}
    for task, names in CELLS.items():
        best = {name: max(each[task, name] for each in scores.values()) for name in names}
        winner = max(scores, key=lambda rule: sum(scores[rule][task, name] == best[name] for name in names))
        chosen |= {cell: value for cell, value in scores[winner].items() if cell[0] == task}
    return chosen


def print_table(rows: dict[str, Scores]) -> None:
    """Markdown, a table per task."""
    for task, names in CELLS.items():
        columns = (*names, "SD", "AG", "SF")
        print(f"\n| {task} | " + " | ".join(columns) + " |\n|---" * 1 + "|---" * len(columns) + "|")
        for label, scores in rows.items():
            print(f"| {label} | " + " | ".join(f"{scores.get((task, n), float('nan')):.4f}" for n in columns) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--checkpoint", help="checkpoint to judge (default: the one in the package)")
    parser.add_argument("--ifcnn", type=Path, help="folder of the converted IFCNN checkpoints max, mean and sum")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair")
    parser.add_argument("--every", type=int, default=1, help="take every n-th medical pair")
    options = parser.parse_args()
    pairs = load_pairs(options.data, options.size, options.every)
    print(", ".join(f"{len(members)} {task}" for task, members in pairs.items()), "pairs")
    backbone = load_backbone(None, options.checkpoint)
    rows = {
        "TTD": score_pairs(fused_by(backbone), pairs),
        "static": score_pairs(fused_by(backbone, weighting="static"), pairs),
        "control: brightness": score_pairs(fused_by_control(backbone, detail=False), pairs),
        "control: brightness, detail": score_pairs(fused_by_control(backbone, detail=True), pairs),
    }
    if options.ifcnn:
        rules = {}
        for rule in ("max", "mean", "sum"):
            ifcnn = load_backbone("ifcnn", options.ifcnn / rule)
            rules[rule] = score_pairs(fused_by(ifcnn, weighting="static"), pairs)
        rows |= {f"IFCNN {rule}, static": scores for rule, scores in rules.items()}
    print_table(rows)
    print(f"\nGoal A, TTD better than static: {cells_won(rows['TTD'], rows['static'])} of 16 cells")
    for label in list(rows)[2:4]:
        print(f"{label}, better than static: {cells_won(rows[label], rows['static'])} of 16")
        print(f"TTD better than {label}: {cells_won(rows['TTD'], rows[label])} of 16")
    if options.ifcnn:
        best = {cell: max(each[cell] for each in rules.values()) for cell in rows["TTD"]}
        print(
            f"Goal B, at least IFCNN's best rule of each task: {cells_won(rows['TTD'], best_rule(rules), True)} of 16"
        )
        print(f"at least IFCNN's best rule of each cell: {cells_won(rows['TTD'], best, True)} of 16")


if __name__ == "__main__":
    main()
