"""Every metric with its facts, and which variant of it each convention means.

A *variant* is one definition of a metric; a *convention* is a toolkit or paper, which is one variant for each
metric that it has. ``docs/metrics.md`` says where they differ and by how much.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array

from ttd_jax.metrics.contrast import average_gradient, edge_intensity, spatial_frequency, standard_deviation
from ttd_jax.metrics.correlation import correlation_coefficient, sum_of_correlations_of_differences
from ttd_jax.metrics.edges import edge_preservation, fusion_artifacts, fusion_loss
from ttd_jax.metrics.error import mean_squared_error, peak_signal_to_noise_ratio, root_mean_squared_error
from ttd_jax.metrics.exposure import multi_exposure_structural_similarity
from ttd_jax.metrics.feature_information import feature_mutual_information
from ttd_jax.metrics.information import (
    cross_entropy,
    entropy,
    mutual_information,
    normalized_mutual_information,
)
from ttd_jax.metrics.perception import chen_blum, chen_varshney
from ttd_jax.metrics.structural import multiscale_structural_similarity, structural_similarity
from ttd_jax.metrics.visual import visual_information_fidelity
from ttd_jax.metrics.weighted_structural import piella


@dataclass(frozen=True)
class Metric:
    """The facts about a metric.

    Attributes:
        name: Its abbreviation in the literature, the key in :data:`METRICS`.
        full_name: Its name in words.
        function: The function that computes it.
        needs_sources: Whether it compares the fused image with its sources, or looks at the fused image
            alone.
        direction: Whether a ``"higher"`` or a ``"lower"`` value is better.
        variants: What each variant is, in a few words.
        conventions: The variant that each convention means; a convention without the metric is not listed.
        source: Where it is defined.
        per_channel: Whether ``channel="rgb"`` averages it over the channels; if not, it is taken on grey.
    """

    name: str
    full_name: str
    function: Callable[..., Array]
    needs_sources: bool
    direction: Literal["higher", "lower"]
    variants: Mapping[str, str]
    conventions: Mapping[str, str]
    source: str
    per_channel: bool = True

    @property
    def arrow(self) -> str:
        """The direction as a sign for tables: ↑ or ↓."""
        return "↑" if self.direction == "higher" else "↓"


CONVENTIONS: dict[str, str] = {
    "standard": "textbook definitions; several sources are averaged where the definition leaves it open",
    "ttd": "the Test-Time Dynamic fusion paper, as far as its tables could be reproduced",
    "cddfuse": "Evaluator.py of Zhaozixiang1228/MMIF-CDDFuse",
    "vifb": "the VIFB benchmark, xingchenzhang/VIFB",
    "mefb": "the MEFB benchmark, xingchenzhang/MEFB",
    "tang": "Linfeng-Tang/Evaluation-for-Image-Fusion",
    "tang-published": "the TNO values published with that toolkit, which its code no longer gives",
    "zoo": "RollingPlain/IVIF_ZOO, the metrics that could be confirmed by running it",
}
"""What each convention stands for."""


def _conventions(**groups: str) -> dict[str, str]:
    """Conventions by variant, names separated by spaces, turned into variant by convention."""
    listed = {name: variant for variant, names in groups.items() for name in names.split()}
    return {name: listed[name] for name in CONVENTIONS if name in listed}


# fmt: off
_METRICS = [
    Metric(
        "EN", "entropy", entropy, False, "higher",
        {"shannon": "in bits", "zoo": "log2(p + 1e-7)"},
        _conventions(shannon="standard ttd cddfuse vifb mefb tang tang-published", zoo="zoo"),
        "Roberts, van Aardt and Ahmed, J. Appl. Remote Sens. 2, 2008",
    ),
    Metric(
        "CE", "cross entropy", cross_entropy, True, "lower",
        {
            "tju_rms": "bits, root mean square over sources",
            "mean": "bits, mean over sources",
            "vifb": "divergence over shared bins, mean over sources",
            "zoo": "binary, of logistic levels",
        },
        _conventions(tju_rms="standard ttd", vifb="vifb mefb", zoo="zoo"),
        "Bulanon, Burks and Alchanatis, Biosyst. Eng. 103, 2009",
    ),
    Metric(
        "SD", "standard deviation", standard_deviation, False, "higher",
        {"population": "divided by N", "sample": "divided by N - 1", "saturated": "in 8-bit arithmetic"},
        _conventions(population="standard ttd cddfuse vifb mefb tang zoo", saturated="tang-published"),
        "the standard deviation of the grey levels",
    ),
    Metric(
        "AG", "average gradient", average_gradient, False, "higher",
        {"mean": "mean over pixels", "vifb": "sum divided by (H - 1)(W - 1)"},
        _conventions(mean="standard ttd cddfuse zoo", vifb="vifb mefb tang tang-published"),
        "Cui, Feng, Xu, Li and Chen, Opt. Commun. 341, 2015",
    ),
    Metric(
        "EI", "edge intensity", edge_intensity, False, "higher",
        {
            "vifb": "full Sobel, border repeated",
            "skimage": "Sobel / 4",
            "skimage_old": "Sobel / 4, frame zeroed",
            "zoo": "full Sobel, zeros outside",
        },
        _conventions(vifb="standard vifb mefb", skimage="ttd", zoo="zoo"),
        "Rajalingam and Priya, Int. J. Eng. Sci. Invent. 2, 2018",
    ),
    Metric(
        "SF", "spatial frequency", spatial_frequency, False, "higher",
        {"mean": "mean over differences", "vifb": "sums divided by HW", "unit": "mean, on [0, 1]"},
        _conventions(
            mean="standard ttd cddfuse tang zoo", vifb="vifb mefb", unit="tang-published"
        ),
        "Eskicioglu and Fisher, IEEE Trans. Commun. 43, 1995",
    ),
    Metric(
        "SCD", "sum of the correlations of differences", sum_of_correlations_of_differences, True, "higher",
        {"sum": "sum over sources"},
        _conventions(sum="standard ttd cddfuse tang tang-published zoo"),
        "Aslantas and Bendes, AEU Int. J. Electron. Commun. 69, 2015",
    ),
    Metric(
        "CC", "correlation coefficient", correlation_coefficient, True, "higher",
        {"mean": "mean over sources"},
        _conventions(mean="standard cddfuse tang tang-published zoo"),
        "Pearson's correlation",
    ),
    Metric(
        "MI", "mutual information", mutual_information, True, "higher",
        {
            "bits": "bits, sum over sources",
            "eval": "nats, sum over sources",
            "vifb": "nats, stretched images, sum over sources",
            "lt": "bits, levels 254 and 255 merged in the joint histogram",
        },
        _conventions(bits="standard zoo", eval="cddfuse", vifb="vifb", lt="tang tang-published"),
        "Qu, Zhang and Yan, Electron. Lett. 38, 2002",
    ),
    Metric(
        "NMI", "normalized mutual information", normalized_mutual_information, True, "higher",
        {
            "zoo": "by the entropies of the sources",
            "raw": "by both entropies, sum over sources",
            "hossny": "by both entropies, stretched images, sum over sources",
        },
        _conventions(zoo="standard zoo", hossny="mefb"),
        "Hossny, Nahavandi and Creighton, Electron. Lett. 44, 2008",
    ),
    Metric(
        "PSNR", "peak signal-to-noise ratio", peak_signal_to_noise_ratio, True, "higher",
        {
            "standard": "dB, peak 255, mean squared error over sources",
            "eval": "peak is the fused image's maximum",
            "lt": "peak 255 over errors on [0, 1], + 48.13 dB",
            "vifb": "of RMSE/vifb instead of the squared error",
        },
        _conventions(standard="standard", eval="cddfuse", lt="tang tang-published zoo", vifb="vifb mefb"),
        "Jagalingam and Hegde, Aquat. Procedia 4, 2015",
    ),
    Metric(
        "RMSE", "root mean squared error", root_mean_squared_error, True, "lower",
        {
            "standard": "grey levels, mean over sources",
            "joint": "root of the mean over sources",
            "vifb": "standard / sqrt(HW)",
        },
        _conventions(standard="standard", vifb="vifb"),
        "Jagalingam and Hegde, Aquat. Procedia 4, 2015",
    ),
    Metric(
        "MSE", "mean squared error", mean_squared_error, True, "lower",
        {"eval": "on 0 to 255, mean over sources", "lt": "on [0, 1], mean over sources"},
        _conventions(eval="standard cddfuse", lt="tang tang-published zoo"),
        "the mean of squared differences",
    ),
    Metric(
        "SSIM", "structural similarity", structural_similarity, True, "higher",
        {
            "wang": "11x11 Gaussian, L = 255, mean over sources",
            "vifb": "11x11 Gaussian, L = 255, sum over sources",
            "eval": "7x7 box, L = 2 on 0 to 255, sum over sources",
            "eval255": "7x7 box, L = 255, sum over sources",
            "lt": "11x11 Gaussian, border repeated, L = 1 on 0 to 255, mean over sources",
            "matlab255": "11x11 Gaussian, border repeated, L = 255, mean over sources",
            "zoo": "11x11 Gaussian, L = 1 on 0 to 255, sum over sources",
        },
        _conventions(wang="standard", eval255="ttd", eval="cddfuse", vifb="vifb", lt="tang", zoo="zoo"),
        "Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13, 2004",
    ),
    Metric(
        "MS-SSIM", "multi-scale structural similarity", multiscale_structural_similarity, True, "higher",
        {"wang": "five scales, mean over sources", "sum": "five scales, sum over sources"},
        _conventions(wang="standard"),
        "Wang, Simoncelli and Bovik, Asilomar Conf. Signals Syst. Comput. 2003",
    ),
    Metric(
        "VIF", "visual information fidelity", visual_information_fidelity, True, "higher",
        {
            "vifp_mean": "pixel domain, mean over sources",
            "vifp_sum": "pixel domain, sum over sources",
            "han2013": "VIFF: source of smaller gain per window, weighted scales",
            "vifp_sum_saturated": "vifp_sum with products cut at 255",
        },
        _conventions(
            vifp_mean="standard", vifp_sum="cddfuse tang", han2013="mefb", vifp_sum_saturated="tang-published"
        ),
        "Sheikh and Bovik, IEEE Trans. Image Process. 15, 2006; Han et al., Inf. Fusion 14, 2013",
    ),
    Metric(
        "Qabf", "edge preservation", edge_preservation, True, "higher",
        {
            "xydeas": "product of sigmoids, weighted by edge strength",
            "vifb": "xydeas on levels times 255",
            "petrovic": "root of the product, weighted by strength^1.5",
            "zl": "other constants, mean of the ratio per pixel",
        },
        _conventions(xydeas="standard cddfuse tang zoo", vifb="vifb mefb"),
        "Xydeas and Petrovic, Electron. Lett. 36, 2000",
    ),
    Metric(
        "Nabf", "fusion artifacts", fusion_artifacts, True, "lower",
        {
            "kumar": "weighted by each source's edge strength",
            "petrovic": "weighted by the sum of strengths",
            "zoo": "kumar, weak edges not counted",
        },
        _conventions(kumar="standard tang", zoo="zoo"),
        "Shreyamsha Kumar, Signal Image Video Process. 7, 2013",
    ),
    Metric(
        "Labf", "fusion loss", fusion_loss, True, "lower",
        {"kumar": "1 - Qabf/petrovic - Nabf/kumar"},
        _conventions(kumar="standard"),
        "Petrovic and Xydeas, ICCV 2005",
    ),
    Metric(
        "Qcb", "Chen-Blum contrast preservation", chen_blum, True, "higher",
        {"vifb": "on stretched images", "mefb": "divided by 255 before the stretch"},
        _conventions(vifb="standard vifb", mefb="mefb"),
        "Chen and Blum, Image Vis. Comput. 27, 2009",
    ),
    Metric(
        "Qcv", "Chen-Varshney visible difference", chen_varshney, True, "lower",
        {"vifb": "16x16 blocks, saliency to the fifth power"},
        _conventions(vifb="standard vifb mefb"),
        "Chen and Varshney, Inf. Fusion 8, 2007",
    ),
    Metric(
        "Qw", "Piella's weighted fusion quality", piella, True, "higher",
        {
            "Qw": "SSIM weighted by local variance",
            "Q": "windows alike",
            "Qe": "Qw times Qw of gradients",
            "Qe_mefb": "Qw of gradients",
        },
        _conventions(Qw="standard", Qe_mefb="mefb"),
        "Piella and Heijmans, ICIP 2003",
    ),
    Metric(
        "FMI", "feature mutual information", feature_mutual_information, True, "higher",
        {
            "none": "grey levels",
            "gradient": "differences along rows",
            "edge": "Sobel edges",
            "dct": "cosine transform",
            "wavelet": "discrete Meyer transform",
        },
        _conventions(none="standard", edge="mefb tang"),
        "Haghighat and Razian, AICT 2014",
    ),
    Metric(
        "MEF-SSIM", "multi-exposure structural similarity", multi_exposure_structural_similarity, True,
        "higher", {"multiscale": "three scales", "single": "finest scale"},
        _conventions(multiscale="standard mefb tang"),
        "Ma, Zeng and Wang, IEEE Trans. Image Process. 24, 2015",
        per_channel=False,
    ),
]
# fmt: on

METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
"""Every metric by its abbreviation."""
