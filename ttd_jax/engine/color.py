"""What becomes of colour: which rule holds for a stack of sources, and how chroma is merged."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ttd_jax.errors import InputError
from ttd_jax.ops.color import brightest, split_luma
from ttd_jax.ops.pyramid import spread
from ttd_jax.ops.sources import highest, lowest, total
from ttd_jax.options import Color, choices

COLOR_RULES = {
    "gray": "grey: luma (BT.601) of every source, grey result",
    "luma": "luma fused; chroma (BT.601, full range) of the colour sources merged by the same weights",
    "rgb": "RGB fused as it is",
}
"""What each rule of ``color`` does."""

RAW_RULE = "raw"
"""The rule of a backbone whose sources are not only pictures: they go in and the result comes out as they are."""

_NEAR, _LEAST_NEAR = 0.15, 1e-3  # of luma: a source that is so much brighter or darker tells less of the colour

_LEAST_TRUST = 0.05  # in the colour of a clipped pixel: where one channel is, the others tell of the hue

_DARK, _BRIGHT = 4 / 255, 24 / 255  # from black and from white: colours nearer than that are trusted less and less

_MOST = 4.0  # times stronger at most: colour of a dark pixel is rounded and noisy

_FAINT = 0.005  # keeps the strength of a black or white pixel's colour above 0

_LEAST_WEIGHT = 1e-9  # keeps the colour sources' weights from summing to 0, and changes no other sum in float32


def check_color(color: Color, channels: int) -> None:
    """Refuses a rule that there is not, or that a network of so many channels cannot follow.

    Raises:
        InputError: ``color`` is unknown, or RGB is asked of a backbone of one channel.
    """
    if color not in choices(Color):
        raise InputError(f"color is one of {', '.join(choices(Color))}; got {color!r}")
    if color == "rgb" and channels == 1:
        raise InputError("this backbone takes one channel: use color='luma', which keeps the colour, or 'gray'")


def choose_color_rule(color: Color, colored: Sequence[bool], channels: int, *, wide: bool = True) -> str:
    """The rule that ``color`` means for these sources and a backbone of 1 or 3 channels.

    What is asked for binds. ``"auto"``: grey if no source has colour, RGB if all have and the backbone takes it, else
    luma. Where every source has one channel, there is nothing but grey.

    Args:
        color: The option.
        colored: Which sources have colour.
        channels: How many channels the backbone takes.
        wide: Whether a source has three channels, equal ones or not.

    Raises:
        InputError: ``color`` is unknown, or RGB is asked of a backbone of one channel.
    """
    check_color(color, channels)
    if not wide:
        return "gray"
    if color != "auto":
        return color
    if not any(colored):
        return "gray"
    return "rgb" if all(colored) and channels == 3 else "luma"


def program_rule(rule: str, color: Color, *, wide: bool) -> str:
    """The rule by which a stack is computed: for ``"auto"`` and three equal channels the one for colour.

    Where no source has colour, that gives the same luma and no chroma. So a black frame among colour frames needs no
    program of its own.
    """
    return "luma" if (rule, color, wide) == ("gray", "auto", True) else rule


def merge_chroma(
    stack: Float[Array, "M H W C"],
    colored: Bool[Array, " M"],
    *,
    shares: Float[Array, "M H W"] | None = None,
    strengths: Float[Array, "M H W"] | float = 1.0,
) -> Float[Array, "H W 2"]:
    """Chroma of the sources that have colour, averaged by their shares; evenly where a grey source has it all.

    Chroma is linear in RGB, so the average is taken of that: no source's chroma needs memory of its own.

    Args:
        stack: The sources; of one channel there is no chroma.
        colored: Which sources have colour; where none has, there is no chroma.
        shares: Fusion weights, or what :func:`color_by_band` gives; None for a rule that has none.
        strengths: What each source's chroma is multiplied by.
    """
    if stack.shape[-1] == 1:
        return jnp.zeros((*stack.shape[1:3], 2), stack.dtype)
    shares = jnp.ones(stack.shape[:3]) if shares is None else shares + _LEAST_WEIGHT
    shares = shares * colored[:, jnp.newaxis, jnp.newaxis].astype(stack.dtype)
    whole = total(shares)
    shares = strengths * shares / jnp.where(whole == 0, 1, whole)
    return split_luma(total(shares[..., jnp.newaxis] * stack))[1]


def color_by_band(
    weights: Float[Array, "M H W"],
    stack: Float[Array, "M H W 3"],
    lumas: Float[Array, "M H W"],
    fused: Float[Array, "H W"],
    colored: Bool[Array, " M"],
) -> tuple[Float[Array, "M H W"], Float[Array, "M H W"]]:
    r"""How much each source tells of the colour where luma was merged by band, and how strong it makes it.

    Bands of chroma from different sources would add up to colours that are in none of them. So each source says what
    its colour would be at the fused luma, and these are averaged.

    How strong a colour is depends on how bright it is: in the brackets of cameras about as
    :math:`Y \sqrt{1 - Y}`, since their curve is steepest in between; from its top at 2/3 on it is left there, or bright
    yellow would turn white. So a dark frame's chroma is carried to the fused luma by the ratio of the two,
    but no further than a source with colour is dark or bright: a warm object in an infrared image makes nobody's colour
    stronger. A source tells less the farther it is from the fused luma, and little where it is clipped or nearly so,
    since its colour is wrong there.

    Args:
        weights: Fusion weights that sum up the bands.
        stack: The sources.
        lumas: Their luma.
        fused: The fused luma.
        colored: Which sources have colour.

    Returns:
        Shares, which do not sum to 1, and what each source's chroma is multiplied by.
    """
    has = colored[:, jnp.newaxis, jnp.newaxis]
    fused = jnp.clip(fused, lowest(jnp.where(has, lumas, 1)), highest(jnp.where(has, lumas, 0)))
    strengths = jnp.minimum(_strength(fused) / _strength(lumas), _MOST)
    top = brightest(stack)
    right = jnp.clip(jnp.minimum(top / _DARK, (1 - top) / _BRIGHT), 0, 1)
    near = jnp.exp(-jnp.square((lumas - fused) / _NEAR) / 2)
    return spread(weights * (right + _LEAST_TRUST) * (near + _LEAST_NEAR)), strengths


def _strength(luma: Float[Array, "*B H W"]) -> Float[Array, "*B H W"]:
    luma = jnp.minimum(luma, 2 / 3)
    return luma * jnp.sqrt(1 - luma) + _FAINT
