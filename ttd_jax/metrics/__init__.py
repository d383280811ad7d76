"""Quality metrics for image fusion."""

from ttd_jax.metrics.contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from ttd_jax.metrics.correlation import correlation_coefficient, sum_of_correlations_of_differences
from ttd_jax.metrics.edges import edge_preservation, fusion_artifacts, fusion_loss
from ttd_jax.metrics.error import mean_squared_error, peak_signal_to_noise_ratio, root_mean_squared_error
from ttd_jax.metrics.exposure import multi_exposure_structural_similarity
from ttd_jax.metrics.information import entropy
from ttd_jax.metrics.structural import multiscale_structural_similarity, structural_similarity
from ttd_jax.metrics.visual import visual_information_fidelity

__all__ = [
    "average_gradient",
    "correlation_coefficient",
    "edge_intensity",
    "edge_preservation",
    "entropy",
    "fusion_artifacts",
    "fusion_loss",
    "mean_squared_error",
    "multi_exposure_structural_similarity",
    "multiscale_structural_similarity",
    "peak_signal_to_noise_ratio",
    "root_mean_squared_error",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "visual_information_fidelity",
]
