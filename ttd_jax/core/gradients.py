"""Gradients of a fusion loss with respect to the sources' features, channel by channel (TTD, section 5.3).

``sources`` is ``(M, H, W, C)`` in [0, 1]. A *feature map* is a leaf of the features with the axes (M, h, w, K); a
network may have several, and other leaves beside them. Channels are counted over all feature maps side by side, in
the order of ``jax.tree.leaves``. Of a network that decodes by adding up bands, each band is a channel, finest first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ttd_jax.core.bands import BandFeatures
from ttd_jax.core.dominability import component_stacks, in_space, merge_component
from ttd_jax.core.losses import FUSION_LOSSES
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.scoring import Scoring
from ttd_jax.errors import InputError
from ttd_jax.ops.filters import gaussian_kernel, local_mean

_FINE, _AROUND = gaussian_kernel(7, 1.0), gaussian_kernel(25, 4.0)

DETAIL_REACH = len(_FINE) // 2 + len(_AROUND) // 2
"""How many pixels around its own :func:`local_detail` looks at."""

_DETAIL_FLOOR = 0.004  # one level of 8 bits: less detail than that is noise


def component_gradients(
    model: FusionModel,
    variables: Variables,
    sources: Float[Array, "M H W C"],
    features: PyTree,
    weighting: Scoring,
) -> tuple[Float[Array, "M H W K"], Float[Array, "M H W F"]]:
    r"""Components, and the size of the loss's derivative with respect to every channel of their sources' features.

    :math:`G^{(m)} = |\partial L(D(f_m), x_m) / \partial f_m|`, one backward pass through the decoder a source.

    Args:
        model: The fusion network.
        variables: Its parameters.
        sources: Sources in [0, 1].
        features: What ``model.encode`` made of them.
        weighting: What is decoded (``component``), compared (``loss``, ``space``), with no option at None.

    Returns:
        Components in image space, not clipped; and for each source a map a channel, of the size of the image. Maps
        larger than the image are cut, as networks extend it at the bottom and on the right; smaller ones are enlarged
        bilinearly.

    Raises:
        InputError: The network has no feature maps of single sources, or the loss is not one number.
    """
    count, *size = sources.shape[:3]
    kind, loss = weighting.component, total_loss(weighting.loss)
    stack_of = component_stacks(model, variables, sources, features, kind)

    def measure(m: Array) -> tuple[Array, Array]:
        maps, rebuild = _feature_maps(stack_of(m), count)

        def decoded(maps: list[Array]) -> tuple[Array, Array]:
            component = model.decode(variables, merge_component(model, rebuild(maps), m, count, kind))
            return loss(*in_space(model, component, sources[m], weighting.space)), component

        slopes, component = jax.grad(decoded, has_aux=True)(maps)
        own = [jnp.sum(slope, axis=0) if kind == "scaled" else slope[m] for slope in slopes]
        return component, jnp.concatenate([_fit(jnp.abs(slope), size) for slope in own], axis=-1)

    return jax.lax.map(measure, jnp.arange(count))


def total_loss(loss: str | Callable[..., Any]) -> Callable[[Array, Array], Float[Array, ""]]:
    """The scalar that is differentiated: a named loss summed over the image, or the user's own function.

    Raises:
        InputError: When called: that function returned anything but one real number.
    """

    def total(component: Float[Array, "H W K"], source: Float[Array, "H W C"]) -> Float[Array, ""]:
        if isinstance(loss, str):
            return jnp.sum(FUSION_LOSSES[loss](component, source))
        value = jnp.asarray(loss(component, jnp.broadcast_to(source, component.shape)))
        if value.shape or not jnp.issubdtype(value.dtype, jnp.floating):
            name = getattr(loss, "__name__", repr(loss))
            raise InputError(
                f"a loss returns one real number for component and source; {name} returned {value.dtype.name} of "
                f"shape {value.shape}: end it in jnp.mean or jnp.sum"
            )
        return value

    return total


def count_channels(model: FusionModel, variables: Variables, shape: tuple[int, ...]) -> int:
    """How many channels there are to choose from, for sources of a shape (M, H, W, C); computes nothing."""
    sources = jax.ShapeDtypeStruct(shape, jnp.float32)
    maps = jax.eval_shape(lambda v, s: _feature_maps(model.encode(v, s), shape[0])[0], variables, sources)
    return sum(one.shape[-1] for one in maps)


def _feature_maps(features: PyTree, count: int) -> tuple[list[Array], Callable[[list[Array]], PyTree]]:
    """The feature maps, and a function from such maps to all features."""
    if isinstance(features, BandFeatures):
        bands = [band[..., jnp.newaxis] for band in features.bands]
        return bands, lambda maps: features._replace(bands=tuple(one[..., 0] for one in maps))
    leaves, tree = jax.tree.flatten(features)
    found = [i for i, leaf in enumerate(leaves) if leaf.ndim == 4 and leaf.shape[0] == count]
    if not found:
        raise InputError(
            f"gradients need features (M, H, W, C), a map for each of the {count} sources; this network has "
            f"{', '.join(str(leaf.shape) for leaf in leaves)}: use weighting='loss'"
        )

    def rebuild(maps: list[Array]) -> PyTree:
        return jax.tree.unflatten(tree, (dict(enumerate(leaves)) | dict(zip(found, maps, strict=True))).values())

    return [leaves[i] for i in found], rebuild


def _fit(maps: Float[Array, "h w K"], size: list[Any]) -> Float[Array, "H W K"]:
    """Maps of another size than the image in its size."""
    height, width = size
    if maps.shape[0] >= height and maps.shape[1] >= width:
        return maps[:height, :width]
    return jax.image.resize(maps, (height, width, maps.shape[-1]), "linear")


class ChannelSums(NamedTuple):
    """What is known of every channel, summed over pixels and sources, so that parts of an image add up.

    Attributes:
        values: How many gradients of a channel were summed.
        size: The gradients themselves.
        agreement: Product of a channel's preference for a source and that of the local detail.
        spread: Square of a channel's preference.
        detail: Square of the detail's preference.
    """

    values: Float[Array, ""]
    size: Float[Array, " F"]
    agreement: Float[Array, " F"]
    spread: Float[Array, " F"]
    detail: Float[Array, ""]


def channel_sums(
    magnitudes: Float[Array, "M H W F"], sources: Float[Array, "M H W C"], rows: Bool[Array, " H"], *, score: bool
) -> ChannelSums:
    r"""The sums over some rows.

    A channel's preference for source m is :math:`1 - g_m / \bar g`, with the mean :math:`\bar g` over the sources at
    that pixel: it is above 0 where the source would get more weight, whatever the units of the channel.

    Args:
        magnitudes: What :func:`component_gradients` gave.
        sources: Sources in [0, 1].
        rows: Which rows count.
        score: Whether channels will be compared; else all but the sizes stay 0.
    """
    count, _, width, channels = magnitudes.shape
    inside = rows[:, jnp.newaxis].astype(magnitudes.dtype)
    values = count * width * jnp.sum(inside)
    sizes = _pixel_sums(magnitudes, inside)
    if not score:
        nothing = jnp.zeros(channels, magnitudes.dtype)
        return ChannelSums(values, sizes, nothing, nothing, jnp.zeros((), magnitudes.dtype))
    mean = jnp.mean(magnitudes, axis=0)
    preference = jnp.where(mean > 0, 1 - magnitudes / jnp.where(mean > 0, mean, 1), 0)
    detail = jnp.log(local_detail(sources))
    detail = (detail - jnp.mean(detail, axis=0)).astype(magnitudes.dtype)
    return ChannelSums(
        values,
        sizes,
        _pixel_sums(preference, inside * detail),
        _pixel_sums(preference**2, inside),
        jnp.sum(inside * detail**2),
    )


def channel_mix(channel: Any, sums: ChannelSums) -> tuple[Float[Array, " F"], Int[Array, ""] | None]:
    """What each channel's gradient is multiplied by before they are added up, and the channel if ``"auto"`` chose it.

    Each chosen channel is divided by its mean and by the number of chosen ones. A channel whose gradient is zero
    everywhere counts as chosen and adds nothing. An index beyond the last channel gives NaN.
    """
    channels = len(sums.size)
    mean = sums.size / sums.values
    inverse = jnp.where(mean == 0, 0, 1 / jnp.where(mean == 0, 1, mean))
    word = channel if isinstance(channel, str) else None
    if word == "mean":
        return inverse / channels, None
    index = jnp.argmax(channel_scores(sums)) if word == "auto" else jnp.atleast_1d(jnp.asarray(channel))
    chosen = jnp.mean(jnp.atleast_2d(jax.nn.one_hot(index, channels, dtype=mean.dtype)), axis=0)
    known = jnp.all((index >= 0) & (index < channels))
    return jnp.where(known, chosen * inverse, jnp.nan), index if word == "auto" else None


def channel_scores(sums: ChannelSums) -> Float[Array, " F"]:
    r"""The number by which ``"auto"`` compares channels: :math:`\cos(p, d) - \sqrt{\overline{p^2}}`.

    Agreement, the cosine over all pixels and sources between a channel's preferences p and those of the local detail,
    d = log h less its mean over the sources, speaks for a channel; the spread of its preferences speaks against it.
    A channel without any gradient scores lowest.
    """
    agreement = sums.agreement / jnp.sqrt(jnp.maximum(sums.spread * sums.detail, 1e-30))
    return jnp.where(sums.size == 0, -jnp.inf, agreement - jnp.sqrt(sums.spread / sums.values))


def local_detail(sources: Float[Array, "M H W C"]) -> Float[Array, "M H W"]:
    """How much fine structure a source has around each pixel: what a Gaussian (σ = 1) takes away, averaged (σ = 4)."""
    grey = jnp.mean(sources, axis=-1)
    return _smooth(jnp.abs(grey - _smooth(grey, _FINE)), _AROUND) + _DETAIL_FLOOR


def _smooth(planes: Float[Array, "M H W"], kernel: tuple[float, ...]) -> Float[Array, "M H W"]:
    radius = len(kernel) // 2
    return local_mean(jnp.pad(planes, ((0, 0), (radius, radius), (radius, radius)), mode="edge"), kernel)


def _pixel_sums(maps: Float[Array, "M H W F"], by: Float[Array, "..."]) -> Float[Array, " F"]:
    """Sums of maps times ``by``, as a product of matrices: XLA on CPU takes far longer for a reduction."""
    factors = jnp.broadcast_to(by, maps.shape[:3]).reshape(-1)
    return jnp.matmul(factors, maps.reshape(-1, maps.shape[-1]), precision=jax.lax.Precision.HIGHEST)
