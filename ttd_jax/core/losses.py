"""Per-pixel reconstruction losses: how badly a component explains its source.

Both arguments are ``(..., H, W, C)`` in the same space; the loss is averaged over channels, one value a pixel.
A component with more channels than its source (a 3-channel network on a grey source) is compared with the
source repeated.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.errors import InputError
from ttd_jax.ops.filters import gaussian_kernel, local_moments, sobel
from ttd_jax.ops.statistics import PairMoments, ssim_terms

_WINDOW = gaussian_kernel(11, 1.5)


def squared_error(component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]) -> Float[Array, "*B H W"]:
    r"""Squared difference, averaged over channels: :math:`\ell = \frac1C \sum_c (u_c - x_c)^2`."""
    return jnp.mean(jnp.square(component - source), axis=-1)


def absolute_error(component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]) -> Float[Array, "*B H W"]:
    r"""Absolute difference, averaged over channels: :math:`\ell = \frac1C \sum_c |u_c - x_c|`."""
    return jnp.mean(jnp.abs(component - source), axis=-1)


RECONSTRUCTION_LOSSES: dict[str, Callable[..., Array]] = {"mse": squared_error, "l1": absolute_error}
"""Loss by the name that :class:`~ttd_jax.core.weighting.LossWeighting` takes."""


def reconstruction_loss(loss: str | Callable[..., Any]) -> Callable[[Array, Array], Float[Array, "M H W"]]:
    """The loss of every source of a stack: a named one, or a function of the user's from one component and source.

    Raises:
        InputError: Once it is called: the function returned no map of the image.
    """
    if isinstance(loss, str):
        return RECONSTRUCTION_LOSSES[loss]
    return partial(_own_losses, loss)


def _own_losses(
    loss: Callable[..., Any], components: Float[Array, "M H W C"], sources: Float[Array, "M H W #C"]
) -> Float[Array, "M H W"]:
    maps = [loss(u, jnp.broadcast_to(x, u.shape)) for u, x in zip(components, sources, strict=True)]
    for one in maps:
        shape, dtype = jnp.shape(one), jnp.result_type(one)
        if shape != components.shape[1:3] or not jnp.issubdtype(dtype, jnp.floating):
            name = getattr(loss, "__name__", repr(loss))
            raise InputError(
                f"a loss returns one real number a pixel, (H, W) = {components.shape[1:3]}, for component and source; "
                f"{name} returned {dtype} of shape {shape}: take the mean over the channels only"
            )
    return jnp.stack(maps)


def structural_dissimilarity(
    component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]
) -> Float[Array, "*B H W"]:
    r"""One minus SSIM (Wang et al. 2004) around every pixel, averaged over channels.

    Gaussian window of 11 pixels with σ = 1.5 and a data range of 1; images are mirrored at the border, so that every
    pixel counts alike in the sum over the image.
    """
    u, x = (_mirrored(_planes(image), len(_WINDOW) // 2) for image in jnp.broadcast_arrays(component, source))
    means, variances, (covariance,) = local_moments([u, x], _WINDOW, pairs=((0, 1),))
    moments = PairMoments(means[0], means[1], variances[0], variances[1], covariance)
    luminance, structure = ssim_terms(moments, data_range=1)
    return jnp.mean(1 - luminance * structure, axis=-3)


def gradient_difference(
    component: Float[Array, "*B H W C"], source: Float[Array, "*B H W #C"]
) -> Float[Array, "*B H W"]:
    """Absolute difference of the image gradients (Sobel, per pixel step), both directions added, channels averaged."""
    right, down = sobel(_planes(component - source), "symmetric")
    return jnp.mean(jnp.abs(right) + jnp.abs(down), axis=-3) / 8


def _planes(image: Float[Array, "*B H W C"]) -> Float[Array, "*B C H W"]:
    return jnp.moveaxis(image, -1, -3)


def _mirrored(planes: Float[Array, "*B C H W"], radius: int) -> Float[Array, "*B C H2 W2"]:
    return jnp.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(radius, radius)] * 2, mode="symmetric")


FUSION_LOSSES: dict[str, Callable[..., Array]] = {
    **RECONSTRUCTION_LOSSES,
    "ssim": structural_dissimilarity,
    "gradient": gradient_difference,
}
"""Losses whose sum over the image :class:`~ttd_jax.core.weighting.GradientWeighting` differentiates, by name."""

LOSS_REACH = {"mse": 0, "l1": 0, "ssim": len(_WINDOW) // 2, "gradient": 1}
"""How many pixels around its own each of these looks at."""
