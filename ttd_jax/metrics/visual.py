"""Visual information fidelity: how much of what can be seen in the sources can be seen in the fused image.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Both sides must be at least 41 pixels, else the value is NaN.
"""

import operator
from functools import partial, reduce
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, separate, undefined
from ttd_jax.metrics.record import Metric, by_variant, check_variant
from ttd_jax.metrics.structural import with_first
from ttd_jax.ops.filters import Kernel, Moments, gaussian_kernel, local_mean, local_moments, pixel_sum

_KERNELS = tuple(gaussian_kernel(size, size / 5) for size in (17, 9, 5, 3))
_SMALLEST = 41  # pixels to a side that leave one window at the coarsest scale
_NOISE = 2.0  # variance of the visual noise
_FLAT = 1e-10  # a variance below this is none
_HAN_NOISE = 0.005 * 255 * 255
_HAN_WEIGHTS = tuple(weight / 2.15 for weight in (1, 0, 0.15, 1))


_VIF = Literal["vifp_mean", "vifp_sum", "han2013", "vifp_sum_saturated"]


def visual_information_fidelity(fused: Gray, sources: GrayStack, *, variant: _VIF = "vifp_mean") -> Score:
    r"""Visual information fidelity in the pixel domain (VIF) over the sources: higher is better.

    Each source passes through a channel :math:`F = g S + v` with gain g and noise variance :math:`\sigma_v^2`
    estimated in Gaussian windows of 17, 9, 5 and 3 pixels, one for each of four scales; with visual noise
    :math:`\sigma_n^2 = 2`,
    :math:`\mathrm{VIF} = \frac{\sum \log(1 + g^2 \sigma_S^2 / (\sigma_v^2 + \sigma_n^2))}{\sum \log(1 +
    \sigma_S^2 / \sigma_n^2)}` (Sheikh and Bovik 2006, in the authors' pixel-domain form). 1 for identical
    images; contrast enhancement goes above 1.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"vifp_mean"``, averaged over sources; ``"vifp_sum"``, summed; ``"han2013"``, the metric
            VIFF of Han et al. 2013: the source of smaller gain in each window, noise 0.005 * 255², one ratio
            per scale, weighted by (1, 0, 0.15, 1) / 2.15; ``"vifp_sum_saturated"``, ``"vifp_sum"`` with every
            product of two images at the finest scale cut at 255, as MATLAB does to images left as uint8 (the
            published TNO table).

    Example:
        >>> import numpy as np
        >>> image = np.zeros((40, 50), np.uint8)  # a side below 41 pixels
        >>> visual_information_fidelity(image, image[np.newaxis]).item()
        nan
    """
    check_variant("VIF", variant, get_args(_VIF))
    images = separate(fused, sources)
    if min(images[0].shape) < _SMALLEST:
        return undefined()
    pairs = with_first(len(images) - 1)
    scales = []
    for scale, kernel in enumerate(_KERNELS):
        images = [_shrink(image, kernel) for image in images] if scale else images
        saturate = variant == "vifp_sum_saturated" and not scale
        scales.append((_saturated_moments if saturate else local_moments)(images, kernel, pairs=pairs))
    if variant == "han2013":
        return _han(scales)
    sums = [
        [_sums(of.variances[0], of.variances[m + 1], of.covariances[m]) for of in scales] for m in range(len(pairs))
    ]
    return _fidelity(sums, "mean" if variant == "vifp_mean" else "sum")


@partial(jax.jit, static_argnames="kernel")
def _shrink(image: Float[Array, "H W"], kernel: Kernel) -> Float[Array, "h w"]:
    return local_mean(image, kernel)[::2, ::2]


@partial(jax.jit, static_argnames=("kernel", "pairs"))
def _saturated_moments(images: list[Array], kernel: Kernel, *, pairs: tuple[tuple[int, int], ...]) -> Moments:
    means = [local_mean(image, kernel) for image in images]

    def covariance(m: int, n: int) -> Array:
        return local_mean(jnp.minimum(images[m] * images[n], 255), kernel) - means[m] * means[n]

    return Moments(means, [covariance(m, m) for m in range(len(images))], [covariance(m, n) for m, n in pairs])


def _information(
    fused: Array, source: Array, both: Array, noise: float
) -> tuple[Float[Array, "h w"], Float[Array, "h w"], Float[Array, "h w"]]:
    """Gain, information that reaches the fused image, information of the source, for every window."""
    source, fused = jnp.maximum(source, 0), jnp.maximum(fused, 0)
    # What a window without variance counts for; the authors' replacements, in their order.
    gain = both / (source + _FLAT)
    channel = fused - gain * both
    gain = jnp.where(source < _FLAT, 0, gain)
    channel = jnp.where(source < _FLAT, fused, channel)
    source = jnp.where(source < _FLAT, 0, source)
    gain = jnp.where(fused < _FLAT, 0, gain)
    channel = jnp.where(fused < _FLAT, 0, channel)
    channel = jnp.where(gain < 0, fused, channel)
    gain = jnp.maximum(gain, 0)
    channel = jnp.maximum(channel, _FLAT)
    carried = jnp.log10(1 + gain * gain * source / (channel + noise))
    return gain, carried, jnp.log10(1 + source / noise)


@jax.jit
def _sums(fused: Array, source: Array, both: Array) -> tuple[Score, Score]:
    """What reaches the fused image and what the source offers, over all windows of a scale."""
    _, carried, total = _information(fused, source, both, _NOISE)
    return pixel_sum(carried), pixel_sum(total)


@partial(jax.jit, static_argnames="how")
def _fidelity(sums: list[list[tuple[Score, Score]]], how: str) -> Score:
    ratios = []
    for of_source in sums:
        carried, total = (reduce(operator.add, column) for column in zip(*of_source, strict=True))
        ratios.append(carried / total)
    return jnp.sum(jnp.stack(ratios)) if how == "sum" else jnp.mean(jnp.stack(ratios))


@jax.jit
def _han(scales: list[Moments]) -> Score:
    tiny = 1e-7
    value = jnp.zeros(())
    for weight, moments in zip(_HAN_WEIGHTS, scales, strict=True):
        fused, *sources = moments.variances
        (gain, carried, total), *others = [
            _information(fused, source, both, _HAN_NOISE)
            for source, both in zip(sources, moments.covariances, strict=True)
        ]
        for other_gain, other_carried, other_total in others:
            # The source with the smaller gain; the later one where they are equal.
            keep = gain < other_gain
            gain = jnp.where(keep, gain, other_gain)
            carried = jnp.where(keep, carried, other_carried)
            total = jnp.where(keep, total, other_total)
        value = value + weight * pixel_sum(carried + tiny) / pixel_sum(total + tiny)
    return value


ROWS = (
    Metric(
        name="VIF",
        full_name="visual information fidelity",
        function=visual_information_fidelity,
        needs_sources=True,
        direction="higher",
        variants={
            "vifp_mean": "pixel domain, mean over sources",
            "vifp_sum": "pixel domain, sum over sources",
            "han2013": "VIFF: source of smaller gain per window, weighted scales",
            "vifp_sum_saturated": "vifp_sum with products cut at 255",
        },
        conventions=by_variant(
            vifp_mean="standard", vifp_sum="cddfuse tang", han2013="mefb", vifp_sum_saturated="tang-published"
        ),
        source="Sheikh and Bovik, IEEE Trans. Image Process. 15, 2006; Han et al., Inf. Fusion 14, 2013",
    ),
)
