"""Quality metrics of image fusion, each in the variants that papers and toolkits use.

:func:`evaluate` computes them for one fused image, ``ttd_jax.comparison`` for folders of them; ``METRICS``
lists them with their facts and ``CONVENTIONS`` the toolkits and papers whose definitions can be followed. Each
metric is also a function of grey images, ``fused`` ``(H, W)`` and ``sources`` ``(M, H, W)``: uint8, uint16 or
floats in [0, 1]. It compiles its own steps once for every size, works under ``jax.vmap`` and in float64 while
``jax_enable_x64`` is on. ``docs/metrics.md`` has the formulas, and says what each metric rewards.
"""

from ttd_jax.metrics.contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from ttd_jax.metrics.correlation import correlation_coefficient, sum_of_correlations_of_differences
from ttd_jax.metrics.edges import edge_preservation, fusion_artifacts, fusion_loss
from ttd_jax.metrics.error import mean_squared_error, peak_signal_to_noise_ratio, root_mean_squared_error
from ttd_jax.metrics.evaluation import evaluate, resolve_variants, score
from ttd_jax.metrics.exposure import multi_exposure_structural_similarity
from ttd_jax.metrics.feature_information import feature_mutual_information
from ttd_jax.metrics.information import (
    cross_entropy,
    entropy,
    mutual_information,
    normalized_mutual_information,
)
from ttd_jax.metrics.levels import separate
from ttd_jax.metrics.perception import chen_blum, chen_varshney
from ttd_jax.metrics.record import CONVENTIONS, Metric, by_variant, check_variant
from ttd_jax.metrics.structural import multiscale_structural_similarity, structural_similarity
from ttd_jax.metrics.table import METRICS, register
from ttd_jax.metrics.visual import visual_information_fidelity
from ttd_jax.metrics.weighted_structural import piella

__all__ = [
    "CONVENTIONS",
    "METRICS",
    "Metric",
    "average_gradient",
    "by_variant",
    "check_variant",
    "chen_blum",
    "chen_varshney",
    "correlation_coefficient",
    "cross_entropy",
    "edge_intensity",
    "edge_preservation",
    "entropy",
    "evaluate",
    "feature_mutual_information",
    "fusion_artifacts",
    "fusion_loss",
    "mean_squared_error",
    "multi_exposure_structural_similarity",
    "multiscale_structural_similarity",
    "mutual_information",
    "normalized_mutual_information",
    "peak_signal_to_noise_ratio",
    "piella",
    "register",
    "resolve_variants",
    "root_mean_squared_error",
    "score",
    "separate",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "visual_information_fidelity",
]
