"""What a fused image is trained for: the measures that fusion is judged by, as smooth functions.

Images are ``(H, W)`` and sources ``(M, H, W)`` in [0, 1]. Each measure is what :mod:`ttd_jax.metrics` computes, but for
small constants that keep its derivative finite, and for borders; higher is better.
"""

from collections.abc import Callable, Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.ops.filters import box_kernel, gaussian_kernel, sobel
from ttd_jax.ops.statistics import PairMoments, halve, pearson, ssim_terms

Image = Float[Array, "H W"]
Stack = Float[Array, "M H W"]
Scalar = Float[Array, ""]

_MULTISCALE = (0.0448, 0.2856, 0.3001)


def visual_information(fused: Image, sources: Stack, target: Image) -> Scalar:
    """VIF in the pixel domain, summed over the sources (``VIF/vifp_sum``)."""
    del target
    fused, sources = 255 * fused - 128, 255 * sources - 128
    seen, there = jnp.zeros(len(sources)), jnp.zeros(len(sources))
    for scale, size in enumerate((17, 9, 5, 3)):
        window = gaussian_kernel(size, size / 5)
        if scale:
            fused, sources = local(fused, window)[::2, ::2], local(sources, window)[:, ::2, ::2]
        variance, covariance, var_fused = _moments(fused, sources, window)
        gain = jax.nn.relu(covariance) / (variance + 1e-2)
        rest = jax.nn.relu(var_fused - gain * covariance) + 1e-2
        seen += jnp.sum(jnp.log1p(gain**2 * variance / (rest + 2)), axis=(-2, -1))
        there += jnp.sum(jnp.log1p(variance / 2), axis=(-2, -1))
    return jnp.sum(seen / (there + 1e-3))


def edge_preservation(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Preservation of the sources' edges in strength and orientation (``Qabf/xydeas``)."""
    del target
    (right, down), (rights, downs) = sobel(255 * fused, border="edge"), sobel(255 * sources, border="edge")
    strength, strengths = (jnp.sqrt(x**2 + y**2 + 1) for x, y in ((right, down), (rights, downs)))
    kept = jnp.minimum(strength, strengths) / jnp.maximum(strength, strengths)
    along, across = jnp.abs(right * rights + down * downs) + 1, jnp.abs(right * downs - down * rights)
    aligned = 1 - jnp.arctan2(across, along) / (jnp.pi / 2)
    quality = 0.9994 / (1 + jnp.exp(-15 * (kept - 0.5))) * 0.9879 / (1 + jnp.exp(-22 * (aligned - 0.8)))
    return jnp.sum(quality * strengths) / jnp.sum(strengths)


def correlations_of_differences(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Sum of the correlations of differences (``SCD/sum``); of M sources, less the mean of the other ones."""
    del target
    others = (jnp.sum(sources, axis=0) - sources) / (len(sources) - 1)
    return jnp.sum(pearson(fused - others, sources, floor=1e-9))


def similarity_to_sources(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Structural similarity in 7x7 windows, summed over the sources (``SSIM/eval255``)."""
    del target
    return jnp.sum(_similarity(fused, sources))


def similarity_to_truth(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Structural similarity to the target."""
    del sources
    return _similarity(fused, target[jnp.newaxis])[0]


def closeness_to_truth(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Peak signal-to-noise ratio in dB, at most 55."""
    del sources
    return -10 * jnp.log10(jnp.mean(jnp.square(fused - target)) + 3e-6)


def best_structure(fused: Image, sources: Stack, target: Image) -> Scalar:
    """Similarity to the best structure that the sources offer, at three scales (close to ``MEF-SSIM/multiscale``)."""
    del target
    value = jnp.float32(1)
    for scale, weight in enumerate(_MULTISCALE):
        if scale:
            fused, sources = halve(fused), halve(sources)
        value *= jax.nn.relu(_structure(fused, sources)) ** (weight / sum(_MULTISCALE))
    return value


def _structure(fused: Image, sources: Stack) -> Scalar:
    window = box_kernel(11)
    fused, sources = fused - 0.5, sources - 0.5
    mean_fused, means = local(fused, window), local(sources, window)
    among = local(sources[:, jnp.newaxis] * sources, window) - means[:, jnp.newaxis] * means
    with_fused = local(sources * fused, window) - means * mean_fused
    variance = jax.nn.relu(jnp.einsum("mmhw->mhw", among))
    share = (variance + 1e-6) ** 1.5
    share /= jnp.sum(share, axis=0)
    strongest = jnp.max(variance, axis=0)
    direction = jax.nn.relu(jnp.einsum("mhw,nhw,mnhw->hw", share, share, among))
    wanted = jnp.sqrt((strongest + 1e-6) / (direction + 1e-6)) * jnp.sum(share * with_fused, axis=0)
    spread = local(fused**2, window) - mean_fused**2
    return jnp.mean((2 * wanted + 0.03**2) / (strongest + spread + 0.03**2))


Measure = Callable[[Image, Stack, Image], Scalar]

MEASURES: dict[str, tuple[tuple[Measure, float], ...]] = {
    "focus": (
        (visual_information, 0.05),
        (edge_preservation, 0.02),
        (closeness_to_truth, 1.0),
        (similarity_to_truth, 0.004),
    ),
    "exposure": (
        (best_structure, 0.01),
        (visual_information, 0.05),
        (edge_preservation, 0.02),
        (correlations_of_differences, 0.1),
    ),
    **dict.fromkeys(
        ("infrared", "medical"),
        (
            (visual_information, 0.05),
            (edge_preservation, 0.02),
            (correlations_of_differences, 0.1),
            (similarity_to_sources, 0.03),
        ),
    ),
}
"""The measures of every task, each with the step that counts as one: about what separates good methods."""


def measure(task: str, fused: Image, sources: Stack, target: Image) -> Float[Array, " 4"]:
    """All measures of one fused image, in steps.

    Args:
        task: A key of :data:`MEASURES`.
        fused: The image.
        sources: What it should have been made of: the sources before one was damaged.
        target: What a perfect fusion would give.
    """
    return jnp.stack([function(fused, sources, target) / step for function, step in MEASURES[task]])


def local(images: Float[Array, "*B H W"], window: Sequence[float]) -> Float[Array, "*B h w"]:
    """Weighted means of every window that lies inside, as two products with band matrices.

    On crops of training this is faster than sums of shifted images, and above all so is its compiled derivative.
    """
    height, width = images.shape[-2:]
    window = tuple(window)
    rows, columns = (jnp.asarray(_window_matrix(n, window)) for n in (height, width))
    return jnp.matmul(jnp.matmul(rows, images, precision="highest"), columns.T, precision="highest")


@cache
def _window_matrix(size: int, window: tuple[float, ...]) -> np.ndarray:
    matrix = np.zeros((size - len(window) + 1, size), np.float32)
    for row in range(len(matrix)):
        matrix[row, row : row + len(window)] = window
    return matrix


def _moments(fused: Image, sources: Stack, window: Sequence[float]) -> tuple[Array, Array, Array]:
    """Variances of the sources, their covariances with the fused image, and its variance."""
    mean_fused, means = local(fused, window), local(sources, window)
    variance = jax.nn.relu(local(sources**2, window) - means**2)
    return variance, local(sources * fused, window) - means * mean_fused, local(fused**2, window) - mean_fused**2


def _similarity(fused: Image, images: Stack) -> Float[Array, " M"]:
    window = box_kernel(7)
    fused, images = fused - 0.5, images - 0.5  # moments about the middle of the range keep their precision
    variance, covariance, var_fused = _moments(fused, images, window)
    mean_fused, means = local(fused, window) + 0.5, local(images, window) + 0.5
    moments = PairMoments(mean_fused, means, var_fused, variance, covariance)
    luminance, structure = ssim_terms(moments, data_range=1.0, unbias=49 / 48)
    return jnp.mean(luminance * structure, axis=(-2, -1))
