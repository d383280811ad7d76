"""The compiled body of ``fuse``: colour around the core, for one stack of sources.

A stack is ``(M, H, W, 1)`` or ``(M, H, W, 3)`` float32 in [0, 1], the reference first; grey sources among colour
ones have three equal channels.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float

from ttd_jax.core.fusion import Fused, fuse_static, ttd
from ttd_jax.core.gradients import DETAIL_REACH, channel_mix, channel_sums, component_gradients
from ttd_jax.core.losses import LOSS_REACH
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.strips import fuse_in_strips, sum_in_strips
from ttd_jax.core.weighting import GradientWeighting, LossWeighting, smoothing_radius
from ttd_jax.errors import InputError
from ttd_jax.ops.color import join_luma, luma, split_luma

COLOR_RULES = {
    "gray": "grey: luma (BT.601) of every source, grey result",
    "luma": "luma fused; chroma (BT.601, full range) of the colour sources merged by the same weights",
    "rgb": "RGB fused as it is",
}
"""What each rule of ``color`` does."""

RAW_RULE = "raw"
"""The rule of a backbone whose sources are not only pictures: they go in and the result comes out as they are."""

_STRIP_PIXELS = 2**19  # source pixels at a time; a 64-channel feature map of these has 128 MiB

_LEAST_WEIGHT = 1e-9  # keeps the colour sources' weights from summing to 0, and changes no other sum in float32


def choose_color_rule(color: str, colored: tuple[bool, ...], channels: int) -> str:
    """The rule that ``color`` means for these sources and a backbone of 1 or 3 channels.

    ``"auto"``: grey if no source has colour, RGB if all have and the backbone takes it, else luma.

    Raises:
        InputError: ``color`` is unknown, or RGB is asked of a backbone of one channel.
    """
    if color not in ("auto", *COLOR_RULES):
        raise InputError(f"color is one of auto, {', '.join(COLOR_RULES)}; got {color!r}")
    if color == "rgb" and channels == 1:
        raise InputError("this backbone takes one channel: use color='luma', which keeps the colour, or 'gray'")
    if not any(colored) or color == "gray":
        return "gray"
    if color == "auto":
        return "rgb" if all(colored) and channels == 3 else "luma"
    return color


@partial(jax.jit, static_argnames=("model", "rule"))
def fuse_pixels(
    model: FusionModel,
    variables: Variables,
    weighting: LossWeighting | GradientWeighting | None,
    stack: Float[Array, "M H W C"],
    colored: Bool[Array, " M"],
    *,
    rule: str,
) -> Fused:
    """Fuses one stack.

    Args:
        model: The fusion network; static.
        variables: Its parameters.
        weighting: Complete loss or gradient weighting, or None for static fusion.
        stack: Sources, the reference first.
        colored: Which sources have colour; their chroma is merged by the rule "luma".
        rule: A key of ``COLOR_RULES``, or ``RAW_RULE``.

    Returns:
        The image in [0, 1], ``(H, W)`` or ``(H, W, 3)``, and components of one or three channels likewise.
    """
    if rule in ("rgb", RAW_RULE):
        fused = _fuse(model, variables, weighting, stack)
        image = jnp.clip(fused.image, 0, 1)
        return fused._replace(image=image[..., 0] if image.shape[-1] == 1 else image)
    sources, chroma = split_luma(stack) if stack.shape[-1] == 3 else (stack, jnp.zeros((*stack.shape[:3], 2)))
    fused = _fuse(model, variables, weighting, sources)
    image = jnp.clip(_one_channel(fused.image), 0, 1)
    if rule == "luma":
        image = join_luma(image, _merge_chroma(chroma, fused.weights, colored))
    else:
        image = image[..., 0]
    components = fused.components
    return fused._replace(image=image, components=None if components is None else _one_channel(components)[..., 0])


@partial(jax.jit, static_argnames=("model", "rule", "mesh"))
def fuse_pixels_batch(
    model, variables, weighting, stacks: Float[Array, "N M H W C"], colored, *, rule, mesh: Mesh | None = None
) -> Fused:
    """``fuse_pixels`` of every stack in turn, in bounded memory; results have a leading axis N.

    With a mesh each of its devices takes an equal share of the stacks.
    """

    def in_turn(variables, weighting, stacks, colored):
        return jax.lax.map(lambda stack: fuse_pixels(model, variables, weighting, stack, colored, rule=rule), stacks)

    if mesh is not None:
        whole, shares = PartitionSpec(), PartitionSpec(*mesh.axis_names)
        specs = (whole, whole, shares, whole)
        in_turn = jax.shard_map(in_turn, mesh=mesh, in_specs=specs, out_specs=shares, check_vma=False)
    return in_turn(variables, weighting, stacks, colored)


def _fuse(
    model: FusionModel, variables: Variables, weighting: LossWeighting | GradientWeighting | None, sources: Array
) -> Fused:
    def whole(part: Array, mix: Array | None = None) -> Fused:
        return fuse_static(model, variables, part) if weighting is None else ttd(model, variables, part, weighting, mix)

    count, height, width, _ = sources.shape
    halo = reach(model, weighting)
    if halo is None or is_symbolic_dim(height) or is_symbolic_dim(width):  # strips have a size that is known
        return whole(sources)
    larger = 2 if isinstance(weighting, GradientWeighting) else 1  # strips of gradients are computed twice
    rows = max(larger * _STRIP_PIXELS // (count * width), 1)
    if height <= rows + 2 * halo:
        return whole(sources)
    if not isinstance(weighting, GradientWeighting):
        return fuse_in_strips(whole, sources, halo, rows)
    auto = weighting.channel == "auto"

    def sums(part: Array, inside: Array):
        features = model.encode(variables, part)
        _, magnitudes = component_gradients(model, variables, part, features, weighting)
        return channel_sums(magnitudes, part, inside, auto)

    # The mean of a channel, and which channel is best, are facts about the whole image: found first, in strips too.
    mix, channel = channel_mix(weighting, sum_in_strips(sums, sources, max(halo, DETAIL_REACH if auto else 0), rows))
    return fuse_in_strips(partial(whole, mix=mix), sources, halo, rows)._replace(channel=channel)


def reach(model: FusionModel, weighting: LossWeighting | GradientWeighting | None) -> int | None:
    """How many pixels away a source can still change the result; None if from anywhere.

    Weights by gradients depend on facts about the whole image besides, such as the mean of a channel.
    """
    loss = weighting.loss if isinstance(weighting, GradientWeighting) else None
    if model.halo is None or callable(loss):
        return None
    encode, decode = model.halo
    if weighting is None:
        return encode + decode
    reach = encode + 2 * decode + smoothing_radius(float(weighting.smoothing or 0))  # a decoded image makes weights
    return reach if loss is None else reach + decode + 2 * LOSS_REACH[loss]  # and a derivative goes back through it


def _one_channel(image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W 1"]:
    return luma(image) if image.shape[-1] == 3 else image


def _merge_chroma(
    chroma: Float[Array, "M H W 2"], weights: Float[Array, "M H W"] | None, colored: Bool[Array, " M"]
) -> Float[Array, "H W 2"]:
    """Chroma of the sources that have colour, averaged by their weights; evenly where a grey source has it all."""
    weights = jnp.ones(chroma.shape[:3]) if weights is None else weights + _LEAST_WEIGHT
    weights = (weights * colored[:, jnp.newaxis, jnp.newaxis])[..., jnp.newaxis]
    return jnp.sum(weights * chroma, axis=0) / jnp.sum(weights, axis=0)
