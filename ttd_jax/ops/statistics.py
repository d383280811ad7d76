r"""Similarity of two images: what metrics, training and losses have in common.

Planes are ``(..., H, W)`` of any floating dtype; leading axes are carried along.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.ops.filters import centered, pixel_mean


class PairMoments(NamedTuple):
    """Moments of two images x and y in every window.

    Example:
        >>> PairMoments(*jnp.ones((5, 4, 6))).covariance.shape
        (4, 6)
    """

    mean_x: Float[Array, "..."]
    mean_y: Float[Array, "..."]
    variance_x: Float[Array, "..."]
    variance_y: Float[Array, "..."]
    covariance: Float[Array, "..."]


def ssim_terms(
    moments: PairMoments, *, data_range: float, unbias: float = 1.0
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""Luminance and contrast-structure terms of SSIM for every window; their product is the SSIM map.

    :math:`\frac{2\mu_x\mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}` and
    :math:`\frac{2\sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}` with :math:`C_1 = (0.01 L)^2` and
    :math:`C_2 = (0.03 L)^2` (Wang, Bovik, Sheikh and Simoncelli 2004, Eq. 6, 13 and the line after it).

    Args:
        moments: Of the two images.
        data_range: L, the range the constants are made for.
        unbias: N / (N - 1) where variances and covariance are to be those of a sample of N.

    Example:
        >>> both = jnp.ones((2, 2))
        >>> luminance, structure = ssim_terms(PairMoments(both, both, both, both, -both), data_range=255)
        >>> luminance[0, 0].item(), round(structure[0, 0].item(), 3)
        (1.0, 0.934)
    """
    x, y, variance_x, variance_y, covariance = moments
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * x * y + c1) / (x * x + y * y + c1)
    return luminance, (2 * unbias * covariance + c2) / (unbias * (variance_x + variance_y) + c2)


def pearson(x: Float[Array, "*B H W"], y: Float[Array, "*B H W"], *, floor: float = 0.0) -> Float[Array, "*B"]:
    r"""Pearson's correlation over the pixels, in [-1, 1]; NaN where an image has one level.

    :math:`r = \frac{\overline{(x - \bar x)(y - \bar y)}}{\sqrt{\overline{(x - \bar x)^2}\;\overline{(y - \bar y)^2}
    + \epsilon}}`

    Args:
        x: One image.
        y: The other.
        floor: :math:`\epsilon`; above 0, images of one level give 0 with a finite gradient.

    Example:
        >>> ramp = jnp.arange(12.0).reshape(3, 4)
        >>> round(pearson(ramp, 5 - 2 * ramp).item(), 3)
        -1.0
    """
    x, y = centered(x), centered(y)
    return pixel_mean(x * y) / jnp.sqrt(pixel_mean(x * x) * pixel_mean(y * y) + floor)


def halve(image: Float[Array, "*B H W"]) -> Float[Array, "*B h w"]:
    """The image at half the size, rounded up: means of 2×2 pixels, the last ones repeated where a side is odd.

    Example:
        >>> halve(jnp.arange(6.0).reshape(2, 3)).tolist()
        [[2.0, 3.5]]
    """
    height, width = image.shape[-2:]
    image = jnp.pad(image, [(0, 0)] * (image.ndim - 2) + [(0, height % 2), (0, width % 2)], mode="edge")
    tiles = image.reshape(*image.shape[:-2], -(-height // 2), 2, -(-width // 2), 2)
    return (tiles[..., 0, :, 0] + tiles[..., 0, :, 1] + tiles[..., 1, :, 0] + tiles[..., 1, :, 1]) / 4
