"""Exposure fusion: brackets without a network (Mertens, Kautz and Van Reeth, Pacific Graphics 2007).

A pixel counts by how much contrast there is around it and by how well it is exposed; the bands of the sources are
blended under a Gaussian pyramid of these weights, down to one or two pixels. In the terms of
:mod:`ttd_jax.core.bands` they are a prior, and neither loss nor energy enters the score. Unlike in the paper it is luma
that is fused, so saturation does not count, and chroma is merged as for every other network.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones import pyramid
from ttd_jax.core.bands import BandFeatures
from ttd_jax.core.model import Variables
from ttd_jax.ops.pyramid import gaussian_pyramid, laplacian_pyramid
from ttd_jax.ops.sources import total

_SPREAD = 0.2  # of the Gaussian around the middle of the range that says how well a pixel is exposed
_FLAT = 1e-6  # where no source has any contrast, how well they are exposed decides
_LEAST = 1e-12


@dataclass(frozen=True)
class Mertens(pyramid.Pyramid):
    """Bands of the sources as they are, and how well each is exposed as their prior; the static rule is the mean.

    Attributes:
        contrast: Exponent of the contrast, the magnitude of the Laplacian.
        exposure: Exponent of how well a pixel is exposed, a Gaussian around the middle of the range.
    """

    contrast: float
    exposure: float

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> BandFeatures:
        """The bands of every source, and the logarithms of its weights in them."""
        del variables
        images, levels = sources[..., 0], min(sources.shape[1:3]).bit_length() - 1
        quality = _quality(images, self.contrast, self.exposure)
        bands, weights = laplacian_pyramid(images, levels), gaussian_pyramid(quality / total(quality), levels)
        prior = tuple(jnp.log(level + _LEAST) for level in weights)
        return BandFeatures(bands, bands, prior, (jnp.ones((1, 1)),) * len(bands))


def _quality(images: Float[Array, "M H W"], contrast: float, exposure: float) -> Float[Array, "M H W"]:
    around = jnp.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    beside = around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
    exposed = jnp.exp(-jnp.square(images - 0.5) / (2 * _SPREAD**2))
    return (jnp.abs(beside - 4 * images) + _FLAT) ** contrast * exposed**exposure + _LEAST


def build(*, contrast: float = 1.0, exposure: float = 3.0) -> Mertens:
    """Exposure fusion with these exponents.

    Args:
        contrast: Of the contrast.
        exposure: Of how well a pixel is exposed; 3, as the paper multiplies what three equal channels give.
    """
    return Mertens(contrast, exposure)


WEIGHTING = replace(pyramid.WEIGHTING, saliency=0.0)
"""The prior alone."""

SPEC = replace(
    pyramid.SPEC,
    name="mertens",
    title="exposure fusion (after Mertens, Kautz and Van Reeth, Pacific Graphics 2007)",
    build=build,
    presets={"exposure": {"contrast": 1.0, "exposure": 3.0}},
    recipes={**pyramid.SPEC.recipes, "default": WEIGHTING},
)
