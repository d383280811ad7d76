"""Structural similarity of the fused image to its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image too small for a window gives NaN.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, undefined, unknown_variant
from ttd_jax.ops.filters import (
    Kernel,
    box_kernel,
    gaussian_kernel,
    local_covariance,
    local_mean,
    local_variance,
    pixel_mean,
)

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


class Local(NamedTuple):
    """An image with its mean and variance in every window."""

    image: Float[Array, "H W"]
    mean: Float[Array, "h w"]
    variance: Float[Array, "h w"]


def local_statistics(image: Float[Array, "H W"], kernel: Kernel) -> Local:
    """The image with its mean and variance in every window."""
    return Local(image, local_mean(image, kernel), local_variance(image, kernel))


def ssim_terms(
    x: Local, y: Local, kernel: Kernel, data_range: float, unbias: float = 1.0
) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Luminance and contrast-structure terms of SSIM for every window; their product is the SSIM map."""
    covariance = local_covariance(x.image, y.image, kernel)
    return _terms(x.mean, y.mean, x.variance, y.variance, covariance, data_range, unbias)


@jax.jit
def _terms(
    mean_x: Array,
    mean_y: Array,
    variance_x: Array,
    variance_y: Array,
    covariance: Array,
    data_range: float,
    unbias: float,
) -> tuple[Array, Array]:
    c1, c2 = jnp.square(0.01 * data_range), jnp.square(0.03 * data_range)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * unbias * covariance + c2) / (unbias * (variance_x + variance_y) + c2)
    return luminance, structure


@jax.jit
def _mean_product(luminance: Array, structure: Array) -> Score:
    return pixel_mean(luminance * structure)


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
    images = [levels(fused), *levels(sources)]
    if form.border != "valid":
        images = [jnp.pad(image, len(form.kernel) // 2, mode=form.border) for image in images]
    if min(images[0].shape) < len(form.kernel):
        return undefined()
    target, *others = [local_statistics(image, form.kernel) for image in images]
    values = [
        _mean_product(*ssim_terms(target, other, form.kernel, form.data_range, form.unbias))
        for other in others
    ]
    return _combine(values, form.combine)


def _combine(values: list[Score], how: str) -> Score:
    total = jnp.sum(jnp.stack(values))
    return total if how == "sum" else total / len(values)


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
    images = [levels(fused), *levels(sources)]
    coarsest = len(MS_SSIM_WEIGHTS) - 1
    if min(images[0].shape) < len(GAUSSIAN_11) * 2**coarsest:
        return undefined()
    values = [jnp.ones((), images[0].dtype) for _ in images[1:]]
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale:
            images = [halve(image) for image in images]
        target, *others = [local_statistics(image, GAUSSIAN_11) for image in images]
        for m, other in enumerate(others):
            luminance, structure = ssim_terms(target, other, GAUSSIAN_11, 255)
            mean = _mean_product(luminance, structure) if scale == coarsest else pixel_mean(structure)
            values[m] = values[m] * jnp.maximum(mean, 0) ** weight
    return _combine(values, "mean" if variant == "wang" else "sum")


@jax.jit
def halve(image: Float[Array, "*B H W"]) -> Float[Array, "*B h w"]:
    """Half the size: the mean of every 2×2 pixels, the last row or column repeated where the size is odd."""
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        margin = [(0, 0)] * (image.ndim - 2) + [(0, height % 2), (0, width % 2)]
        image = jnp.pad(image, margin, mode="edge")
    tiles = image.reshape(*image.shape[:-2], math.ceil(height / 2), 2, math.ceil(width / 2), 2)
    return (tiles[..., 0, :, 0] + tiles[..., 0, :, 1] + tiles[..., 1, :, 0] + tiles[..., 1, :, 1]) / 4
