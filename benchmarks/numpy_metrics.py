"""The standard metrics once more, in plain NumPy and SciPy: what the JAX ones are tested and timed against.

Written from the definitions, in float64, the straightforward way: raw moments instead of centred ones, all 81
cells of a joint distribution, whole complex spectra. Every function takes the fused image ``(H, W)`` and the
sources ``(M, H, W)`` as uint8 and returns a float; those of the fused image alone ignore the sources.
"""

from benchmarks.numpy_pixels import (
    average_gradient,
    correlation_coefficient,
    cross_entropy,
    edge_intensity,
    entropy,
    mean_squared_error,
    mutual_information,
    normalized_mutual_information,
    peak_signal_to_noise_ratio,
    root_mean_squared_error,
    spatial_frequency,
    standard_deviation,
    sum_of_correlations_of_differences,
)
from benchmarks.numpy_structures import (
    chen_blum,
    chen_varshney,
    edge_preservation,
    feature_mutual_information,
    fusion_artifacts,
    fusion_loss,
    multi_exposure_structural_similarity,
    multiscale_structural_similarity,
    piella,
    structural_similarity,
    visual_information_fidelity,
)

NUMPY_METRICS = {
    "EN": entropy,
    "CE": cross_entropy,
    "SD": standard_deviation,
    "AG": average_gradient,
    "EI": edge_intensity,
    "SF": spatial_frequency,
    "SCD": sum_of_correlations_of_differences,
    "CC": correlation_coefficient,
    "MI": mutual_information,
    "NMI": normalized_mutual_information,
    "PSNR": peak_signal_to_noise_ratio,
    "RMSE": root_mean_squared_error,
    "MSE": mean_squared_error,
    "SSIM": structural_similarity,
    "MS-SSIM": multiscale_structural_similarity,
    "VIF": visual_information_fidelity,
    "Qabf": edge_preservation,
    "Nabf": fusion_artifacts,
    "Labf": fusion_loss,
    "Qcb": chen_blum,
    "Qcv": chen_varshney,
    "Qw": piella,
    "FMI": feature_mutual_information,
    "MEF-SSIM": multi_exposure_structural_similarity,
}
"""Function by the key of ``ttd_jax.metrics.METRICS``, each the convention "standard"."""
