"""Structural similarity of the fused image to its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image too small for a window gives NaN.
"""

import operator
from functools import partial, reduce
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.ops.filters import Kernel, box_kernel, gaussian_kernel, local_moments, pixel_mean
from ttd_jax.ops.statistics import PairMoments, halve, ssim_terms

GAUSSIAN_11 = gaussian_kernel(11, 1.5)
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponent of each scale, finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""


class _Form(NamedTuple):
    """What toolkits do differently in SSIM."""

    kernel: Kernel
    data_range: float  # L, the range the constants are made for; the images are on 0 to 255 throughout
    combine: str
    border: str = "valid"
    unbias: float = 1.0  # N / (N - 1) where the covariance is that of a sample


_FORMS = {
    "wang": _Form(GAUSSIAN_11, 255, "mean"),
    "vifb": _Form(GAUSSIAN_11, 255, "sum"),
    "eval": _Form(box_kernel(7), 2, "sum", unbias=49 / 48),
    "eval255": _Form(box_kernel(7), 255, "sum", unbias=49 / 48),
    "lt": _Form(GAUSSIAN_11, 1, "mean", border="edge"),
    "matlab255": _Form(GAUSSIAN_11, 255, "mean", border="edge"),
    "zoo": _Form(GAUSSIAN_11, 1, "sum"),
}


shrink = jax.jit(halve)  # a step of its own, so that every metric shares what is compiled


def with_first(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of the first image, the fused one, with each of the ``count`` sources after it.

    Example:
        >>> with_first(2)
        ((0, 1), (0, 2))
    """
    return tuple((0, m + 1) for m in range(count))


def by_source(images: list[Float[Array, "H W"]], kernel: Kernel) -> list[PairMoments]:
    """Local moments of the first image, the fused one, with each of the others.

    Example:
        >>> image = jnp.ones((4, 4))
        >>> [moments.mean_y.shape for moments in by_source([image, image, image], box_kernel(3))]
        [(2, 2), (2, 2)]
    """
    means, variances, covariances = local_moments(images, kernel, pairs=with_first(len(images) - 1))
    return [
        PairMoments(means[0], means[m], variances[0], variances[m], covariances[m - 1]) for m in range(1, len(images))
    ]


@partial(jax.jit, static_argnames=("data_range", "unbias"))
def _mean_ssim(moments: PairMoments, data_range: float, unbias: float) -> Score:
    luminance, structure = ssim_terms(moments, data_range=data_range, unbias=unbias)
    return pixel_mean(luminance * structure)


@jax.jit
def _mean_structure(moments: PairMoments) -> Score:
    return pixel_mean(ssim_terms(moments, data_range=255)[1])


_SSIM = Literal["wang", "vifb", "eval", "eval255", "lt", "matlab255", "zoo"]


def structural_similarity(fused: Gray, sources: GrayStack, *, variant: _SSIM = "wang") -> Score:
    r"""SSIM of the fused image with each source, averaged or summed: higher is better.

    :math:`\frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}
    {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}`
    with :math:`C_1 = (0.01 L)^2` and :math:`C_2 = (0.03 L)^2`, averaged over windows (Wang et al.
    2004, Eq. 13). For identical images 1, or M where sources are summed.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: Window, border, L and combination of the sources:

            - ``"wang"``: 11×11 Gaussian (1.5) inside the image, L = 255, mean;
            - ``"vifb"``: the same, sum;
            - ``"eval255"``: 7×7 box with sample covariance inside the image, L = 255, sum;
            - ``"eval"``: that with L = 2 on the same images, so that C1 and C2 all but vanish;
            - ``"matlab255"``: 11×11 Gaussian, border pixels repeated, L = 255, mean;
            - ``"lt"``: that with L = 1;
            - ``"zoo"``: 11×11 Gaussian inside the image, L = 1, sum.

    Example:
        >>> import numpy as np
        >>> image = np.arange(144, dtype=np.uint8).reshape(12, 12)
        >>> round(structural_similarity(image, np.stack([image, image])).item(), 3)
        1.0
    """
    check_variant("SSIM", variant, _FORMS)
    form = _FORMS[variant]
    images = separate(fused, sources)
    if form.border != "valid":
        images = [jnp.pad(image, len(form.kernel) // 2, mode=form.border) for image in images]
    if min(images[0].shape) < len(form.kernel):
        return undefined()
    values = [_mean_ssim(moments, form.data_range, form.unbias) for moments in by_source(images, form.kernel)]
    return _combined(values, form.combine)


@partial(jax.jit, static_argnames="how")
def _combined(values: list[Score], how: str) -> Score:
    return jnp.sum(jnp.stack(values)) if how == "sum" else jnp.mean(jnp.stack(values))


_MS_SSIM = Literal["wang", "sum"]


def multiscale_structural_similarity(fused: Gray, sources: GrayStack, *, variant: _MS_SSIM = "wang") -> Score:
    r"""MS-SSIM of the fused image with each source, averaged or summed: higher is better.

    :math:`l_5^{w_5} \prod_{j=1}^{5} (cs_j)^{w_j}` over five scales, each half the size of the one before (the
    mean of 2×2 pixels), with the 11×11 Gaussian of SSIM and L = 255 (Wang, Simoncelli and Bovik 2003, Eq. 7).
    A scale whose mean structure term is negative counts as 0. NaN where a side is below 176 pixels.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"wang"``, the mean over sources; ``"sum"``, their sum.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((175, 200), np.uint8)  # a side below 176 pixels
        >>> multiscale_structural_similarity(image, image[np.newaxis]).item()
        nan
    """
    check_variant("MS-SSIM", variant, get_args(_MS_SSIM))
    images = separate(fused, sources)
    coarsest = len(MS_SSIM_WEIGHTS) - 1
    if min(images[0].shape) < len(GAUSSIAN_11) * 2**coarsest:
        return undefined()
    scales = []
    for scale in range(coarsest + 1):
        images = [shrink(image) for image in images] if scale else images
        pairs = by_source(images, GAUSSIAN_11)
        scales.append([_mean_ssim(p, 255, 1.0) if scale == coarsest else _mean_structure(p) for p in pairs])
    return _combined(_products(scales), "mean" if variant == "wang" else "sum")


@jax.jit
def _products(scales: list[list[Score]]) -> list[Score]:
    powers = [
        [jnp.maximum(value, 0) ** weight for value in values]
        for values, weight in zip(scales, MS_SSIM_WEIGHTS, strict=True)
    ]
    return [reduce(operator.mul, of_source) for of_source in zip(*powers, strict=True)]


ROWS = (
    Metric(
        name="SSIM",
        full_name="structural similarity",
        function=structural_similarity,
        needs_sources=True,
        direction="higher",
        variants={
            "wang": "11x11 Gaussian, L = 255, mean over sources",
            "vifb": "11x11 Gaussian, L = 255, sum over sources",
            "eval": "7x7 box, L = 2 on 0 to 255, sum over sources",
            "eval255": "7x7 box, L = 255, sum over sources",
            "lt": "11x11 Gaussian, border repeated, L = 1 on 0 to 255, mean over sources",
            "matlab255": "11x11 Gaussian, border repeated, L = 255, mean over sources",
            "zoo": "11x11 Gaussian, L = 1 on 0 to 255, sum over sources",
        },
        conventions=by_variant(wang="standard", eval255="ttd", eval="cddfuse", vifb="vifb", lt="tang", zoo="zoo"),
        source="Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13, 2004",
    ),
    Metric(
        name="MS-SSIM",
        full_name="multi-scale structural similarity",
        function=multiscale_structural_similarity,
        needs_sources=True,
        direction="higher",
        variants={"wang": "five scales, mean over sources", "sum": "five scales, sum over sources"},
        conventions=by_variant(wang="standard"),
        source="Wang, Simoncelli and Bovik, Asilomar Conf. Signals Syst. Comput. 2003",
    ),
)
