"""Structural similarity of the fused image to its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. An image too small for a window gives NaN.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant
from ttd_jax.ops.filters import Kernel, box_kernel, gaussian_kernel, local_covariance, local_mean

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


def combine_sources(values: Float[Array, " M"], how: str) -> Score:
    """One number of one per source: their ``"sum"`` or ``"mean"``."""
    return jnp.sum(values) if how == "sum" else jnp.mean(values)


def ssim_terms(
    x: Float[Array, "*B H W"],
    y: Float[Array, "*B H W"],
    kernel: Kernel,
    data_range: float,
    unbias: float = 1.0,
) -> tuple[Float[Array, "*B h w"], Float[Array, "*B h w"]]:
    """Luminance and contrast-structure terms of SSIM for every window; their product is the SSIM map."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = local_mean(x, kernel), local_mean(y, kernel)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    variances = local_covariance(x, x, kernel) + local_covariance(y, y, kernel)
    structure = (2 * unbias * local_covariance(x, y, kernel) + c2) / (unbias * variances + c2)
    return luminance, structure


@partial(jax.jit, static_argnames="variant")
def structural_similarity(fused: Gray, sources: GrayStack, *, variant: str = "wang") -> Score:
    r"""SSIM of the fused image with each source, averaged or summed: higher is better.

    :math:`\frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 +
    C_2)}` with :math:`C_1 = (0.01 L)^2` and :math:`C_2 = (0.03 L)^2`, averaged over windows (Wang et al.
    2004, Eq. 13). At most 1 where sources are averaged and M where they are summed, for identical images.

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
    sources = levels(sources)
    images = jnp.broadcast_to(levels(fused), sources.shape)
    if form.border != "valid":
        half = len(form.kernel) // 2
        margin = [(0, 0), (half, half), (half, half)]
        images, sources = (
            jnp.pad(images, margin, mode=form.border),
            jnp.pad(sources, margin, mode=form.border),
        )
    if min(images.shape[1:]) < len(form.kernel):
        return jnp.full((), jnp.nan)
    luminance, structure = ssim_terms(images, sources, form.kernel, form.data_range, form.unbias)
    return combine_sources(jnp.mean(luminance * structure, axis=(-2, -1)), form.combine)


@partial(jax.jit, static_argnames="variant")
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
    sources = levels(sources)
    images = jnp.broadcast_to(levels(fused), sources.shape)
    scales = len(MS_SSIM_WEIGHTS)
    if min(images.shape[1:]) < len(GAUSSIAN_11) * 2 ** (scales - 1):
        return jnp.full((), jnp.nan)
    value = jnp.ones(len(sources), images.dtype)
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale:
            images, sources = halve(images), halve(sources)
        luminance, structure = ssim_terms(images, sources, GAUSSIAN_11, 255)
        map_ = luminance * structure if scale == scales - 1 else structure
        value = value * jnp.maximum(jnp.mean(map_, axis=(-2, -1)), 0) ** weight
    return combine_sources(value, "mean" if variant == "wang" else "sum")


def halve(image: Float[Array, "*B H W"]) -> Float[Array, "*B h w"]:
    """Half the size: the mean of every 2×2 pixels, the last row or column mirrored where the size is odd."""
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        margin = [(0, 0)] * (image.ndim - 2) + [(0, height % 2), (0, width % 2)]
        image = jnp.pad(image, margin, mode="edge")
    tiles = image.reshape(*image.shape[:-2], math.ceil(height / 2), 2, math.ceil(width / 2), 2)
    return jnp.mean(tiles, axis=(-3, -1))
