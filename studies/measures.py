"""The sixteen cells: four tasks by four measures that sharpening alone does not raise.

VIF (vifp, summed over the sources), Qabf (Xydeas), SCD and SSIM (L = 255, summed) for infrared and medical pairs; VIF,
Qabf, and PSNR and SSIM against the truth for focus; MEF-SSIM, VIF, Qabf and SCD for exposure. SD, AG and SF, which
sharpening does raise, stand beside them. More is better in all of them.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np

from studies.pairs import Pair
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

SHARPNESS = ("SD", "AG", "SF")
"""Printed beside the cells."""

Scores = dict[tuple[str, ...], float]
"""Mean score by (task, measure); of robust cells by (damage, task, measure)."""


def score(task: str, pair: Pair, fused: np.ndarray) -> Scores:
    """Scores of one fused image; those of pairs with a known truth count for focus."""
    if pair.truth is not None:
        return {("focus", "PSNR"): _psnr(fused, pair.truth), ("focus", "SSIM truth"): _ssim(fused, pair.truth)}
    names = [name for name in (*CELLS[task], *SHARPNESS) if name in MEASURES]
    images = jnp.asarray(fused), jnp.asarray(pair.sources)
    values = [MEASURES[name](*images) for name in names]  # not under one jit, which takes minutes to compile
    return {(task, name): float(value) for name, value in zip(names, values, strict=True)}


def _psnr(fused: np.ndarray, truth: np.ndarray) -> float:
    return float(peak_signal_to_noise_ratio(jnp.asarray(fused), jnp.asarray(truth[np.newaxis]), variant="standard"))


def _ssim(fused: np.ndarray, truth: np.ndarray) -> float:
    from skimage.metrics import structural_similarity as ssim

    return float(ssim(fused, truth, data_range=255))
