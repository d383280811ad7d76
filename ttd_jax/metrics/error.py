"""Distances between the fused image and its sources in grey levels.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. A fused image cannot be near to sources that differ: these numbers
favour the plain average. With a single source, a ground truth, the standard variants are the usual
full-reference MSE, RMSE and PSNR.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels, unknown_variant
from ttd_jax.ops.filters import pixel_mean


def _squared_errors(fused: Gray, sources: GrayStack) -> Float[Array, " M"]:
    return pixel_mean(jnp.square(levels(fused) - levels(sources)))


@partial(jax.jit, static_argnames="variant")
def mean_squared_error(fused: Gray, sources: GrayStack, *, variant: str = "eval") -> Score:
    r"""Squared difference from the sources (MSE), averaged over pixels and sources: lower is better.

    :math:`\frac1M \sum_m e_m` with :math:`e_m = \frac{1}{HW}\sum (F - S_m)^2`.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"eval"`` on levels 0 to 255; ``"lt"`` on [0, 1].
    """
    if variant not in ("eval", "lt"):
        raise unknown_variant("MSE", variant, ["eval", "lt"])
    value = jnp.mean(_squared_errors(fused, sources))
    return value if variant == "eval" else value / 255**2


@partial(jax.jit, static_argnames="variant")
def root_mean_squared_error(fused: Gray, sources: GrayStack, *, variant: str = "standard") -> Score:
    r"""Root of the mean squared difference from each source (RMSE), in grey levels: lower is better.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"standard"``, :math:`\frac1M \sum_m \sqrt{e_m}`; ``"joint"``, the root of the mean of the
            :math:`e_m`; ``"vifb"``, ``"standard"`` divided by :math:`\sqrt{HW}`, so that it shrinks with the
            image.
    """
    errors = _squared_errors(fused, sources)
    match variant:
        case "standard":
            return jnp.mean(jnp.sqrt(errors))
        case "joint":
            return jnp.sqrt(jnp.mean(errors))
        case "vifb":
            return jnp.mean(jnp.sqrt(errors)) / jnp.sqrt(jnp.size(fused))
    raise unknown_variant("RMSE", variant, ["standard", "joint", "vifb"])


@partial(jax.jit, static_argnames="variant")
def peak_signal_to_noise_ratio(fused: Gray, sources: GrayStack, *, variant: str = "standard") -> Score:
    r"""Peak level against the error (PSNR), in dB: higher is better, infinite where all images are equal.

    :math:`10 \log_{10}(255^2 / e)` with the mean squared error e over all sources.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"standard"``; ``"eval"``, with the fused image's own maximum as peak; ``"lt"``, with peak
            255 over errors on [0, 1], which adds 48.13 dB; ``"vifb"``, with e the RMSE of the variant
            ``"vifb"``.
    """
    error = jnp.mean(_squared_errors(fused, sources))
    peak: float | Array = 255.0
    match variant:
        case "standard":
            pass
        case "eval":
            peak = jnp.max(levels(fused))
        case "lt":
            error = error / 255**2
        case "vifb":
            error = root_mean_squared_error(fused, sources, variant="vifb")
        case _:
            raise unknown_variant("PSNR", variant, ["standard", "eval", "lt", "vifb"])
    return 10 * jnp.log10(peak**2 / error)
