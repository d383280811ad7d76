"""Visual information fidelity: how much of what can be seen in the sources can be seen in the fused image.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Both sides must be at least 41 pixels, else the value is NaN.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, undefined, unknown_variant
from ttd_jax.ops.filters import (
    Kernel,
    gaussian_kernel,
    local_covariance,
    local_mean,
    local_variance,
    pixel_sum,
)

_KERNELS = tuple(gaussian_kernel(size, size / 5) for size in (17, 9, 5, 3))
_SMALLEST = 41  # pixels to a side that leave one window at the coarsest scale
_NOISE = 2.0  # variance of the visual noise
_FLAT = 1e-10  # a variance below this is none
_HAN_NOISE = 0.005 * 255 * 255
_HAN_WEIGHTS = tuple(weight / 2.15 for weight in (1, 0, 0.15, 1))


class _Moments(NamedTuple):
    """Local moments at one scale: of the fused image, of each source, and of both."""

    fused: Float[Array, "h w"]
    sources: list[Float[Array, "h w"]]
    both: list[Float[Array, "h w"]]


def visual_information_fidelity(fused: Gray, sources: GrayStack, *, variant: str = "vifp_mean") -> Score:
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
    """
    if variant not in ("vifp_mean", "vifp_sum", "han2013", "vifp_sum_saturated"):
        raise unknown_variant("VIF", variant, ["vifp_mean", "vifp_sum", "han2013", "vifp_sum_saturated"])
    image, stack = levels(fused), list(levels(sources))
    if min(image.shape) < _SMALLEST:
        return undefined()
    scales = []
    for scale, kernel in enumerate(_KERNELS):
        if scale:
            image, *stack = [_shrink(part, kernel) for part in (image, *stack)]
        saturate = variant == "vifp_sum_saturated" and not scale
        scales.append(_moments(image, stack, kernel, saturate))
    if variant == "han2013":
        return _han(scales)
    fidelity = [
        _fidelity([(of.fused, of.sources[m], of.both[m]) for of in scales]) for m in range(len(stack))
    ]
    total = jnp.sum(jnp.stack(fidelity))
    return total / len(stack) if variant == "vifp_mean" else total


@partial(jax.jit, static_argnames="kernel")
def _shrink(image: Float[Array, "H W"], kernel: Kernel) -> Float[Array, "h w"]:
    return local_mean(image, kernel)[..., ::2, ::2]


def _moments(
    fused: Float[Array, "H W"], sources: list[Float[Array, "H W"]], kernel: Kernel, saturate: bool
) -> _Moments:
    if saturate:
        covariance = _saturated_covariance
        return _Moments(
            covariance(fused, fused, kernel),
            [covariance(source, source, kernel) for source in sources],
            [covariance(fused, source, kernel) for source in sources],
        )
    return _Moments(
        local_variance(fused, kernel),
        [local_variance(source, kernel) for source in sources],
        [local_covariance(fused, source, kernel) for source in sources],
    )


@partial(jax.jit, static_argnames="kernel")
def _saturated_covariance(x: Array, y: Array, kernel: Kernel) -> Array:
    return local_mean(jnp.minimum(x * y, 255), kernel) - local_mean(x, kernel) * local_mean(y, kernel)


def _information(
    fused: Array, source: Array, both: Array, noise: float
) -> tuple[Float[Array, "h w"], Float[Array, "h w"], Float[Array, "h w"]]:
    """Gain, information that reaches the fused image, information of the source, for every window."""
    source, fused = jnp.maximum(source, 0), jnp.maximum(fused, 0)
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
def _fidelity(scales: list[tuple[Array, Array, Array]]) -> Score:
    found = [_information(*moments, _NOISE) for moments in scales]
    carried = jnp.stack([pixel_sum(carried) for _, carried, _ in found])
    total = jnp.stack([pixel_sum(total) for _, _, total in found])
    return jnp.sum(carried) / jnp.sum(total)


@jax.jit
def _han(scales: list[_Moments]) -> Score:
    tiny = 1e-7
    value = jnp.zeros(())
    for weight, (fused, sources, both) in zip(_HAN_WEIGHTS, scales, strict=True):
        gain, carried, total = _information(fused, sources[0], both[0], _HAN_NOISE)
        for source, product in zip(sources[1:], both[1:], strict=True):
            other_gain, other_carried, other_total = _information(fused, source, product, _HAN_NOISE)
            # The source with the smaller gain; the later one where they are equal.
            keep = gain < other_gain
            gain = jnp.where(keep, gain, other_gain)
            carried = jnp.where(keep, carried, other_carried)
            total = jnp.where(keep, total, other_total)
        value = value + weight * pixel_sum(carried + tiny) / pixel_sum(total + tiny)
    return value
