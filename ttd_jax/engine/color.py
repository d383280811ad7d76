"""What becomes of colour: which rule holds for a stack of sources, and how chroma is merged."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ttd_jax.errors import InputError
from ttd_jax.options import Color, choices

COLOR_RULES = {
    "gray": "grey: luma (BT.601) of every source, grey result",
    "luma": "luma fused; chroma (BT.601, full range) of the colour sources merged by the same weights",
    "rgb": "RGB fused as it is",
}
"""What each rule of ``color`` does."""

RAW_RULE = "raw"
"""The rule of a backbone whose sources are not only pictures: they go in and the result comes out as they are."""

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
    chroma: Float[Array, "M H W 2"],
    weights: Float[Array, "M H W"] | None,
    bands: PyTree,
    colored: Bool[Array, " M"],
) -> Float[Array, "H W 2"]:
    """Chroma of the sources that have colour, averaged by their weights; evenly where a grey source has it all.

    Args:
        chroma: Signed chroma of every source.
        weights: Fusion weights; None for a rule that has none.
        bands: What was merged by in place of the weights, if not by them; chroma goes by the weights all the same.
        colored: Which sources have colour; where none has, there is no chroma.
    """
    del bands
    weights = jnp.ones(chroma.shape[:3]) if weights is None else weights + _LEAST_WEIGHT
    weights = (weights * colored[:, jnp.newaxis, jnp.newaxis])[..., jnp.newaxis]
    total = jnp.sum(weights, axis=0)
    return jnp.sum(weights * chroma, axis=0) / jnp.where(total == 0, 1, total)
