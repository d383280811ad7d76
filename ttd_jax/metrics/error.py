"""Distances between the fused image and its sources in grey levels.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see
:mod:`ttd_jax.metrics.levels` for dtypes. A fused image cannot be near to sources that differ: these numbers
favour the plain average. With a single source, a ground truth, the standard variants are the usual
full-reference MSE, RMSE and PSNR.
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, GrayStack, Score, levels
from ttd_jax.metrics.record import Metric, by_variant, check_variant, unknown_variant
from ttd_jax.ops.filters import pixel_mean


def _squared_errors(fused: Gray, sources: GrayStack) -> Float[Array, " M"]:
    return pixel_mean(jnp.square(levels(fused) - levels(sources)))


_MSE = Literal["eval", "lt"]


@partial(jax.jit, static_argnames="variant")
def mean_squared_error(fused: Gray, sources: GrayStack, *, variant: _MSE = "eval") -> Score:
    r"""Squared difference from the sources (MSE), averaged over pixels and sources: lower is better.

    :math:`\frac1M \sum_m e_m` with :math:`e_m = \frac{1}{HW}\sum (F - S_m)^2`.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"eval"`` on levels 0 to 255; ``"lt"`` on [0, 1].

    Example:
        >>> import numpy as np
        >>> image = np.full((2, 2), 100, np.uint8)
        >>> mean_squared_error(image, np.stack([image, image + 10])).item()
        50.0
    """
    check_variant("MSE", variant, get_args(_MSE))
    value = jnp.mean(_squared_errors(fused, sources))
    return value if variant == "eval" else value / 255**2


_RMSE = Literal["standard", "joint", "vifb"]


@partial(jax.jit, static_argnames="variant")
def root_mean_squared_error(fused: Gray, sources: GrayStack, *, variant: _RMSE = "standard") -> Score:
    r"""Root of the mean squared difference from each source (RMSE), in grey levels: lower is better.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"standard"``, :math:`\frac1M \sum_m \sqrt{e_m}`; ``"joint"``, the root of the mean of the
            :math:`e_m`; ``"vifb"``, ``"standard"`` divided by :math:`\sqrt{HW}`, so that it shrinks with the
            image.

    Example:
        >>> import numpy as np
        >>> image = np.full((2, 2), 100, np.uint8)
        >>> root_mean_squared_error(image, np.stack([image, image + 10])).item()
        5.0
    """
    errors = _squared_errors(fused, sources)
    match variant:
        case "standard":
            return jnp.mean(jnp.sqrt(errors))
        case "joint":
            return jnp.sqrt(jnp.mean(errors))
        case "vifb":
            return jnp.mean(jnp.sqrt(errors)) / jnp.sqrt(jnp.size(fused))
    raise unknown_variant("RMSE", variant, get_args(_RMSE))


_PSNR = Literal["standard", "eval", "lt", "vifb"]


@partial(jax.jit, static_argnames="variant")
def peak_signal_to_noise_ratio(fused: Gray, sources: GrayStack, *, variant: _PSNR = "standard") -> Score:
    r"""Peak level against the error (PSNR), in dB: higher is better, infinite where all images are equal.

    :math:`10 \log_{10}(255^2 / e)` with the mean squared error e over all sources.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variant: ``"standard"``; ``"eval"``, with the fused image's own maximum as peak; ``"lt"``, with peak
            255 over errors on [0, 1], which adds 48.13 dB; ``"vifb"``, with e the RMSE of the variant
            ``"vifb"``.

    Example:
        >>> import numpy as np
        >>> image = np.full((2, 2), 100, np.uint8)
        >>> round(peak_signal_to_noise_ratio(image, image[np.newaxis] + 51).item(), 2)  # 20 log10(255 / 51)
        13.98
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
            raise unknown_variant("PSNR", variant, get_args(_PSNR))
    return 10 * jnp.log10(peak**2 / error)


ROWS = (
    Metric(
        name="PSNR",
        full_name="peak signal-to-noise ratio",
        function=peak_signal_to_noise_ratio,
        needs_sources=True,
        direction="higher",
        variants={
            "standard": "dB, peak 255, mean squared error over sources",
            "eval": "peak is the fused image's maximum",
            "lt": "peak 255 over errors on [0, 1], + 48.13 dB",
            "vifb": "of RMSE/vifb instead of the squared error",
        },
        conventions=by_variant(standard="standard", eval="cddfuse", lt="tang tang-published zoo", vifb="vifb mefb"),
        source="Jagalingam and Hegde, Aquat. Procedia 4, 2015",
    ),
    Metric(
        name="RMSE",
        full_name="root mean squared error",
        function=root_mean_squared_error,
        needs_sources=True,
        direction="lower",
        variants={
            "standard": "grey levels, mean over sources",
            "joint": "root of the mean over sources",
            "vifb": "standard / sqrt(HW)",
        },
        conventions=by_variant(standard="standard", vifb="vifb"),
        source="Jagalingam and Hegde, Aquat. Procedia 4, 2015",
    ),
    Metric(
        name="MSE",
        full_name="mean squared error",
        function=mean_squared_error,
        needs_sources=True,
        direction="lower",
        variants={"eval": "on 0 to 255, mean over sources", "lt": "on [0, 1], mean over sources"},
        conventions=by_variant(eval="standard cddfuse", lt="tang tang-published zoo"),
        source="the mean of squared differences",
    ),
)
