"""The compiled body of ``fuse``: colour around the core, for one stack of sources.

A stack is ``(M, H, W, 1)`` or ``(M, H, W, 3)``, float32 in [0, 1] or uint8, the reference first; grey sources among
colour ones have three equal channels.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, UInt8

from ttd_jax.core.fusion import Fused, fuse
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighting
from ttd_jax.core.strips import fuse_in_strips, sum_in_strips
from ttd_jax.engine.color import RAW_RULE, color_by_band, merge_chroma
from ttd_jax.ops.color import join_luma, luma
from ttd_jax.ops.pyramid import SPREAD_REACH
from ttd_jax.ops.strips import by_rows, in_whole, is_large

_STRIP_PIXELS = 2**19  # source pixels at a time; a 64-channel feature map of these has 128 MiB


def fuse_pixels(
    model: FusionModel,
    variables: Variables,
    weighting: Weighting,
    stack: Float[Array, "M H W C"] | UInt8[Array, "M H W C"],
    colored: Bool[Array, " M"],
    *,
    rule: str,
    image_only: bool = False,
) -> Fused:
    """Fuses one stack.

    Args:
        model: The fusion network.
        variables: Its parameters.
        weighting: A complete weighting.
        stack: Sources, the reference first, in [0, 1] or of 8 bits.
        colored: Which sources have colour; their chroma is merged by the rule "luma".
        rule: A key of ``COLOR_RULES``, or ``RAW_RULE``.
        image_only: Leave everything else out, so that it is not computed; but for losses that the weighting checks.

    Returns:
        The image in [0, 1], ``(H, W)`` or ``(H, W, 3)``, and components of one or three channels likewise.
    """
    fused = _fuse_pixels(model, variables, weighting, stack, colored, rule)
    if not image_only:
        return fused
    return fused._replace(
        weights=None, components=None, bands=None, losses=fused.losses if weighting.checks_losses else None
    )


def _fuse_pixels(
    model: FusionModel, variables: Variables, weighting: Weighting, stack: Array, colored: Array, rule: str
) -> Fused:
    if rule in ("rgb", RAW_RULE):
        fused = fuse_sources(model, variables, weighting, in_unit(stack))
        image = jnp.clip(fused.image, 0, 1)
        return fused._replace(image=image[..., 0] if image.shape[-1] == 1 else image)
    fused = fuse_sources(model, variables, weighting, _one_channel(in_unit(stack)))
    image = jnp.clip(_one_channel(fused.image), 0, 1)
    image = _colored(stack, image, fused, colored) if rule == "luma" else image[..., 0]
    components = fused.components
    return fused._replace(image=image, components=None if components is None else _one_channel(components)[..., 0])


def _colored(stack: Array, image: Float[Array, "H W 1"], fused: Fused, colored: Array) -> Float[Array, "H W 3"]:
    """The fused luma with the chroma of the sources, large images some rows at a time."""
    by_band = fused.bands is not None

    def joined(stack: Array, image: Array, *maps: Array) -> Array:
        stack, shares = in_unit(stack), maps[0] if maps else None
        strengths: Array | float = 1.0
        if shares is not None and by_band:
            lumas, fused_luma = _one_channel(stack)[..., 0], image[0, ..., 0]
            shares, strengths = color_by_band(shares, stack, lumas, fused_luma, colored)
        return join_luma(image, merge_chroma(stack, colored, shares=shares, strengths=strengths)[jnp.newaxis])

    arrays = stack, image[jnp.newaxis], *([] if fused.weights is None else [fused.weights])
    if not is_large(stack):
        return joined(*arrays)[0]
    reach, unit = (SPREAD_REACH, 4) if by_band else (0, 1)
    return by_rows(joined, *arrays, reach=reach, axis=1, unit=unit)[0]


def in_unit(stack: Array) -> Array:
    """Pixels in [0, 1], of 8 bits or floats that are so already."""
    return stack.astype(jnp.float32) / 255 if stack.dtype == jnp.uint8 else stack


def fuse_pixels_batch(
    model: FusionModel,
    variables: Variables,
    weighting: Weighting,
    stacks: Float[Array, "N M H W C"],
    colored: Any,
    *,
    rule: str,
    image_only: bool = False,
    mesh: Mesh | None = None,
) -> Fused:
    """``fuse_pixels`` of every stack in turn, in bounded memory; results have a leading axis N.

    With a mesh each of its devices takes an equal share of the stacks.

    Args:
        model: The fusion network.
        variables: Its parameters.
        weighting: Complete options.
        stacks: N sets of sources.
        colored: Which sources have colour.
        rule: The rule for colour.
        image_only: Leave everything else out.
        mesh: The devices; None for one.
    """

    def in_turn(variables: Variables, weighting: Weighting, stacks: Array, colored: Any) -> Fused:
        one = partial(fuse_pixels, model, variables, weighting, rule=rule, image_only=image_only)
        return jax.lax.map(lambda stack: one(stack, colored), stacks)

    if mesh is not None:
        whole, shares = PartitionSpec(), PartitionSpec(*mesh.axis_names)
        specs = (whole, whole, shares, whole)
        in_turn = jax.shard_map(in_turn, mesh=mesh, in_specs=specs, out_specs=shares, check_vma=False)
    return in_turn(variables, weighting, stacks, colored)


def fuse_sources(
    model: FusionModel, variables: Variables, weighting: Weighting, sources: Float[Array, "M H W C"]
) -> Fused:
    """What :func:`ttd_jax.core.fusion.fuse` gives, in strips of rows where the image is large and the reach known.

    Args:
        model: The fusion network.
        variables: Its parameters.
        weighting: Complete options.
        sources: Sources in [0, 1], in the network's channels.
    """
    whole = partial(fuse, model, variables, weighting=weighting)
    count, height, width, _ = sources.shape
    halo = weighting.reach(model)
    unknown = is_symbolic_dim(height) or is_symbolic_dim(width)  # strips have a size that is known
    if halo is None or unknown or in_whole():
        return whole(sources)
    larger = 2 if weighting.surveys else 1  # strips that are surveyed are computed twice
    rows = max(larger * _STRIP_PIXELS // (count * width), 1)
    if height <= rows + 2 * halo:
        return whole(sources)
    if not weighting.surveys:
        return fuse_in_strips(whole, sources, halo, rows)

    def sums(part: Array, inside: Array) -> Any:
        return weighting.survey(model, variables, part, model.encode(variables, part), inside)

    surveyed = sum_in_strips(sums, sources, halo, rows)  # facts about the whole image are found first, in strips too
    return fuse_in_strips(partial(whole, surveyed=surveyed), sources, halo, rows)


def _one_channel(image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W 1"]:
    return luma(image) if image.shape[-1] == 3 else image
