"""Structural similarity of the fused image to its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image too small for a window gives NaN.
"""

import math
import operator
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined, unknown_variant
from ttd_jax.ops.filters import Kernel, box_kernel, gaussian_kernel, local_moments, pixel_mean

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


def with_first(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of the first image, the fused one, with each of the ``count`` sources after it."""
    return tuple((0, m + 1) for m in range(count))


class SsimMoments(NamedTuple):
    """Local moments of the fused image x and one source y."""

    mean_x: Float[Array, "h w"]
    mean_y: Float[Array, "h w"]
    variance_x: Float[Array, "h w"]
    variance_y: Float[Array, "h w"]
    covariance: Float[Array, "h w"]


def by_source(images: list[Float[Array, "H W"]], kernel: Kernel) -> list[SsimMoments]:
    """Local moments of the first image, the fused one, with each of the others."""
    means, variances, covariances = local_moments(images, kernel, with_first(len(images) - 1))
    return [
        SsimMoments(means[0], means[m], variances[0], variances[m], covariances[m - 1]) for m in range(1, len(images))
    ]


def ssim_terms(
    moments: SsimMoments, data_range: float, unbias: float = 1.0
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Luminance and contrast-structure terms of SSIM for every window; their product is the SSIM map."""
    x, y, variance_x, variance_y, covariance = moments
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * x * y + c1) / (x * x + y * y + c1)
    return luminance, (2 * unbias * covariance + c2) / (unbias * (variance_x + variance_y) + c2)


@partial(jax.jit, static_argnames=("data_range", "unbias"))
def _mean_ssim(moments: SsimMoments, data_range: float, unbias: float) -> Score:
    luminance, structure = ssim_terms(moments, data_range, unbias)
    return pixel_mean(luminance * structure)


@jax.jit
def _mean_structure(moments: SsimMoments) -> Score:
    return pixel_mean(ssim_terms(moments, 255)[1])


def structural_similarity(fused: Gray, sources: GrayStack, *, variant: str = "wang") -> Score:
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
    """
    if variant not in _FORMS:
        raise unknown_variant("SSIM", variant, _FORMS)
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


def multiscale_structural_similarity(fused: Gray, sources: GrayStack, *, variant: str = "wang") -> Score:
    r"""MS-SSIM of the fused image with each source, averaged or summed: higher is better.

    :math:`l_5^{w_5} \prod_{j=1}^{5} (cs_j)^{w_j}` over five scales, each half the size of the one before (the
    mean of 2×2 pixels), with the 11×11 Gaussian of SSIM and L = 255 (Wang, Simoncelli and Bovik 2003, Eq. 7).
    A scale whose mean structure term is negative counts as 0. NaN where a side is below 176 pixels.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"wang"``, the mean over sources; ``"sum"``, their sum.
    """
    if variant not in ("wang", "sum"):
        raise unknown_variant("MS-SSIM", variant, ["wang", "sum"])
    images = separate(fused, sources)
    coarsest = len(MS_SSIM_WEIGHTS) - 1
    if min(images[0].shape) < len(GAUSSIAN_11) * 2**coarsest:
        return undefined()
    scales = []
    for scale in range(coarsest + 1):
        images = [halve(image) for image in images] if scale else images
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


@jax.jit
def halve(image: Float[Array, "H W"]) -> Float[Array, "h w"]:
    """The image at half the size: means of 2×2 pixels, the last ones repeated where a side is odd."""
    height, width = image.shape
    image = jnp.pad(image, [(0, height % 2), (0, width % 2)], mode="edge")
    tiles = image.reshape(math.ceil(height / 2), 2, math.ceil(width / 2), 2)
    return (tiles[:, 0, :, 0] + tiles[:, 0, :, 1] + tiles[:, 1, :, 0] + tiles[:, 1, :, 1]) / 4
