r"""Dominability by band: a component, a loss and weights in every band of a pyramid.

A component decoded from one source alone says what that source should look like. Where, band by band, it keeps its
energy and loses little, the source is dominant. Per source, band and place the score is

.. math:: d = p \log(\mathrm G * u^2 + \varepsilon) + s(\mathrm G * |u - x|^2)

with u and x the band of component and source, G a Gaussian of one pixel, p the ``saliency``, and s the score that a
loss alone would have (:func:`~ttd_jax.core.dominability.relative_dominability`; with ``form="log"`` it is
:math:`-q \log \ell`). One band and p = 0 is the paper's Eq. 6, up to G; p = 4 and q = 0 is the energy-weighted pyramid
(after Burt and Kolczynski 1993).

A pyramid by band is ``(M, h, w)`` planes, finest first and the coarsest level last; see :mod:`ttd_jax.ops.pyramid`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ttd_jax.core.dominability import (
    LOSS_FLOOR,
    in_space,
    reconstruction_losses,
    relative_dominability,
    smooth_losses,
    uni_source_components,
    weights_from_scores,
)
from ttd_jax.core.losses import reconstruction_loss
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighed
from ttd_jax.core.scoring import Scoring
from ttd_jax.errors import InputError
from ttd_jax.ops.pyramid import SMOOTH_REACH, collapse, depth, gaussian_pyramid, laplacian_pyramid, smooth
from ttd_jax.ops.sources import total as sum_of
from ttd_jax.ops.strips import by_rows, is_large

BandWeights: TypeAlias = tuple[Float[Array, "M _ _ 1"], ...]
"""Weights in every band, each of which sums to 1 over the sources."""

ENERGY_FLOOR = 1e-7
"""Energy below this, a twelfth of a level of 8 bits, does not count."""


class BandFeatures(NamedTuple):
    """Features of a network that decodes by adding up bands.

    Attributes:
        bands: The component of every source in every band, ``(M, h, w)``, finest first and the coarsest level last.
        seen: The source itself, likewise.
        prior: What the network adds to the score of every source, likewise.
        sharpness: What it multiplies the scores by, ``(h, w)`` in every band.
    """

    bands: tuple[Float[Array, "M _ _"], ...]
    seen: tuple[Float[Array, "M _ _"], ...]
    prior: tuple[Float[Array, "M _ _"], ...]
    sharpness: tuple[Float[Array, "_ _"], ...]


def weigh_by_band(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    features: PyTree,
    weighting: Scoring,
    *,
    bands: int | str,
    saliency: Float[Array, ""] | float,
) -> Weighed:
    """Weights by band, and one map a source that sums them up: their mean over the bands, each enlarged to full size.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        features: What ``model.encode`` made of them; ``BandFeatures`` hold components band by band already.
        weighting: What is decoded and compared, and the score of a loss.
        bands: How many, the coarsest level counted; ``"all"`` goes on until that has 16 pixels on its short side.
        saliency: The exponent p of explained energy.

    Raises:
        InputError: The network has made another number of bands.
    """
    if isinstance(features, BandFeatures):
        if bands not in ("all", len(features.bands)):
            made = f"this backbone makes {len(features.bands)} bands of an image of this size"
            raise InputError(f"{made}: use bands='all', or bands=1 for one map a source; got {bands!r}")
        by_component, seen = ([band[..., jnp.newaxis] for band in bands] for bands in (features.bands, features.seen))
        found = _weights(by_component, seen, weighting, saliency, features.prior, features.sharpness)
        if is_large(sources):  # apart: what nobody asks for is then not computed
            components, total = collapse(features.bands), collapse(found)
        else:
            both = collapse([jnp.concatenate([u, w]) for u, w in zip(features.bands, found, strict=True)])
            components, total = both[: len(sources)], both[len(sources) :]
        components = components[..., jnp.newaxis]
    else:
        levels = depth(*sources.shape[1:3]) if bands == "all" else int(bands) - 1
        components = uni_source_components(model, variables, sources, features, kind=weighting.component)
        by_component, seen = (
            _bands(images, levels) for images in in_space(model, components, sources, weighting.space)
        )
        found = _weights(by_component, seen, weighting, saliency, [0.0] * len(seen), [1.0] * len(seen))
        total = collapse(found)
    losses = reconstruction_losses(model, components, sources, weighting)
    return Weighed(components, losses, total / len(found), tuple(weights[..., jnp.newaxis] for weights in found))


def _weights(
    by_component: Sequence[Array],
    seen: Sequence[Array],
    weighting: Scoring,
    saliency: Array | float,
    prior: Sequence[Array | float],
    sharpness: Sequence[Array | float],
) -> list[Float[Array, "M _ _"]]:
    """The weights in every band, finest first."""
    distance, floor = reconstruction_loss(weighting.loss), LOSS_FLOOR**2 if weighting.loss == "mse" else LOSS_FLOOR
    found = []
    for k, (u, x) in enumerate(zip(by_component, seen, strict=True)):

        def weigh(u: Array, x: Array, prior: Any, sharpness: Any, coarsest: bool = k == len(seen) - 1) -> Array:
            loss, energy = smooth(jnp.stack([distance(u, x), jnp.mean(u * u, axis=-1)]))
            loss = smooth_losses(loss, weighting.smoothing or 0.0)
            score = relative_dominability(loss, scale=weighting.scale, form=weighting.form, floor=floor)
            if not coarsest:
                score = score + saliency * jnp.log(energy + ENERGY_FLOOR)
            return weights_from_scores(sharpness * score + prior, weighting)

        near = not (weighting.smoothing or callable(weighting.loss))  # what is looked at is near
        if near and is_large(x):
            maps = (jnp.broadcast_to(m, (n, *x.shape[1:3])) for m, n in ((prior[k], len(x)), (sharpness[k], 1)))
            found.append(by_rows(weigh, u, x, *maps, reach=SMOOTH_REACH, axis=1))
        else:
            found.append(weigh(u, x, prior[k], sharpness[k]))
    return found


def _bands(images: Float[Array, "M H W C"], levels: int) -> list[Float[Array, "M _ _ C"]]:
    planes = laplacian_pyramid(jnp.moveaxis(images, -1, 1), levels)
    return [jnp.moveaxis(plane, 1, -1) for plane in planes]


def merge_by_band(features: Float[Array, "M H W K"], weights: BandWeights) -> Float[Array, "H W K"]:
    """Weighted sum over the sources in every band of their features, the bands added up.

    With the same weight everywhere in every band this is the weighted mean.
    """
    planes = laplacian_pyramid(jnp.moveaxis(features, -1, 1), len(weights) - 1)
    merged = [sum_of(jnp.moveaxis(w, -1, 1) * plane) for w, plane in zip(weights, planes, strict=True)]
    return jnp.moveaxis(collapse(merged), 0, -1)


def merge_features(
    features: BandFeatures, weights: Float[Array, "M H W 1"] | BandWeights | None = None
) -> tuple[Float[Array, "_ _"], ...]:
    """The weighted sum of the components in every band, their mean without weights.

    A full-size map of weights is taken down a Gaussian pyramid.
    """
    bands = features.bands
    if weights is None:
        return tuple(jnp.mean(band, axis=0) for band in bands)
    by_band = weights if isinstance(weights, tuple) else weights_of_bands(weights, bands)
    return tuple(sum_of(w[..., 0] * band) for w, band in zip(by_band, bands, strict=True))


def weights_of_bands(weights: Float[Array, "M H W 1"], like: Sequence[Float[Array, "M _ _"]]) -> BandWeights:
    """Full-size weights as weights by band: the Gaussian pyramid of each source's map."""
    if weights.shape[1:3] == (1, 1):
        return (weights,) * len(like)
    return tuple(w[..., jnp.newaxis] for w in gaussian_pyramid(weights[..., 0], len(like) - 1))
