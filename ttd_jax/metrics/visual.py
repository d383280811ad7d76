"""Visual information fidelity: how much of what can be seen in the sources can be seen in the fused image.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. Both sides must be at least 41 pixels, else the value is NaN.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant
from ttd_jax.ops.filters import Kernel, gaussian_kernel, local_covariance, local_mean

_KERNELS = tuple(gaussian_kernel(size, size / 5) for size in (17, 9, 5, 3))
_NOISE = 2.0  # variance of the visual noise
_FLAT = 1e-10  # a variance below this is none
_HAN_NOISE = 0.005 * 255 * 255
_HAN_WEIGHTS = np.array([1, 0, 0.15, 1]) / 2.15


class _Moments(NamedTuple):
    """Moments of one scale for all sources: variances ``(M, h, w)`` and ``(h, w)``, covariances ``(M, h, w)``."""

    source: Float[Array, "M h w"]
    fused: Float[Array, "h w"]
    both: Float[Array, "M h w"]


@partial(jax.jit, static_argnames="variant")
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
    image, sources = levels(fused), levels(sources)
    if min(image.shape) < 41:
        return jnp.full((), jnp.nan)
    if variant == "han2013":
        return _han(image, sources)
    carried = jnp.zeros(len(sources), image.dtype)
    total = jnp.zeros(len(sources), image.dtype)
    for moments in _scales(image, sources, saturate=variant == "vifp_sum_saturated"):
        _, with_loss, without = _information(moments, _NOISE)
        carried += jnp.sum(with_loss, axis=(-2, -1))
        total += jnp.sum(without, axis=(-2, -1))
    fidelity = carried / total
    return jnp.mean(fidelity) if variant == "vifp_mean" else jnp.sum(fidelity)


def _scales(fused: Float[Array, "H W"], sources: Float[Array, "M H W"], saturate: bool) -> Iterator[_Moments]:
    for scale, kernel in enumerate(_KERNELS):
        if scale:
            fused = local_mean(fused, kernel)[..., ::2, ::2]
            sources = local_mean(sources, kernel)[..., ::2, ::2]
        covariance = _saturated_covariance if saturate and not scale else local_covariance
        images = jnp.broadcast_to(fused, sources.shape)
        yield _Moments(
            covariance(sources, sources, kernel),
            covariance(fused, fused, kernel),
            covariance(images, sources, kernel),
        )


def _saturated_covariance(x: Array, y: Array, kernel: Kernel) -> Array:
    return local_mean(jnp.minimum(x * y, 255), kernel) - local_mean(x, kernel) * local_mean(y, kernel)


def _information(
    moments: _Moments, noise: float
) -> tuple[Float[Array, "M h w"], Float[Array, "M h w"], Float[Array, "M h w"]]:
    """Gain, information that reaches the fused image, information of the source, for every window."""
    source, fused = jnp.maximum(moments.source, 0), jnp.maximum(moments.fused, 0)
    gain = moments.both / (source + _FLAT)
    channel = fused - gain * moments.both
    gain = jnp.where(source < _FLAT, 0, gain)
    channel = jnp.where(source < _FLAT, fused, channel)
    source = jnp.where(source < _FLAT, 0, source)
    gain = jnp.where(fused < _FLAT, 0, gain)
    channel = jnp.where(fused < _FLAT, 0, channel)
    channel = jnp.where(gain < 0, fused, channel)
    gain = jnp.maximum(gain, 0)
    channel = jnp.maximum(channel, _FLAT)
    with_loss = jnp.log10(1 + gain * gain * source / (channel + noise))
    return gain, with_loss, jnp.log10(1 + source / noise)


def _han(fused: Float[Array, "H W"], sources: Float[Array, "M H W"]) -> Score:
    tiny = 1e-7
    value = jnp.zeros((), fused.dtype)
    for moments, weight in zip(_scales(fused, sources, saturate=False), _HAN_WEIGHTS, strict=True):
        gain, with_loss, without = _information(moments, _HAN_NOISE)
        # The source with the smallest gain; the later one where they are equal.
        chosen = len(sources) - 1 - jnp.argmin(gain[::-1], axis=0, keepdims=True)
        numerator = jnp.sum(jnp.take_along_axis(with_loss, chosen, axis=0) + tiny)
        denominator = jnp.sum(jnp.take_along_axis(without, chosen, axis=0) + tiny)
        value = value + float(weight) * numerator / denominator
    return value
