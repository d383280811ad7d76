"""What a client asks of one fusion: options as texts, checked before anything is computed."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from ttd_jax.errors import InputError, shown
from ttd_jax.options import Align, Color, Frame, Precision, WeightingName, check_choice, choices

Answer: TypeAlias = Literal["image", "archive"]
FileFormat: TypeAlias = Literal["auto", "png", "tif", "jpg", "webp"]

NONE = "none"
"""What a form says for no alignment."""

MEANINGS = {
    "backbone": "a network that this service has (`/health` lists them)",
    "weighting": "where weights come from: losses, gradients, or the network's own rule",
    "recipe": "a named recipe of the network",
    "color": "auto keeps colour if any source has it",
    "precision": "of the products in the network",
    "align": "registers the sources on the first one, or visible, or mri; auto turns, scales and shifts",
    "align_frame": "crop shows what aligned sources have in common, keep the whole reference",
    "range": "the values that become black and white, such as 0 4095 for 12 bits in 16",
    "format": "auto is TIFF if the first source is one, else PNG; both keep 16 bits",
    "quality": "1 to 100, of JPEG and WebP",
    "answer": "the fused image, or a zip archive of it, its weights and its report",
}
"""What each option is, in one line."""


@dataclass(frozen=True)
class Wanted:
    """The options of one fusion; the same names and meanings as of :func:`ttd_jax.fuse`, but for the last three.

    Attributes:
        backbone: Name of a network of the service; None for its default.
        weighting: Where weights come from.
        recipe: Named recipe; None for the network's default.
        color: Rule for colour.
        precision: Of the products in the network.
        align: How sources are registered first; None for not at all.
        align_frame: What is shown of aligned sources.
        range: The values that become 0 and 1.
        format: Of the image.
        quality: Of JPEG and WebP.
        answer: The image alone, or an archive.
    """

    backbone: str | None = None
    weighting: WeightingName = "loss"
    recipe: str | None = None
    color: Color = "auto"
    precision: Precision = "float32"
    align: Align | None = None
    align_frame: Frame = "crop"
    range: tuple[float, float] | None = None
    format: FileFormat = "auto"
    quality: int | None = None
    answer: Answer = "image"

    @property
    def program(self) -> tuple[Any, ...]:
        """What a fuser depends on."""
        return self.backbone, self.weighting, self.recipe, self.color, self.precision


_CHOICES: dict[str, Any] = {
    "weighting": WeightingName,
    "color": Color,
    "precision": Precision,
    "align": Align,
    "align_frame": Frame,
    "format": FileFormat,
    "answer": Answer,
}
NAMES = tuple(field.name for field in fields(Wanted))
"""The options, in order."""


def read_wanted(texts: Mapping[str, str]) -> Wanted:
    """Options from a form; an empty text is the default.

    Args:
        texts: By name.

    Raises:
        InputError: A name or a value is none of those there are.

    Example:
        >>> read_wanted({"weighting": "static", "range": "0, 4095", "align": ""}).range
        (0.0, 4095.0)
    """
    found: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in NAMES:
            raise InputError(f"options are {', '.join(NAMES)}, and sources are files; got {shown(name)!r}")
        if not text or (name == "align" and text == NONE):
            continue
        if name in _CHOICES:
            check_choice(name, shown(text), _CHOICES[name])
        found[name] = _READERS.get(name, str)(text)
    return Wanted(**found)


def schema() -> dict[str, Any]:
    """The options as properties of an OpenAPI schema."""
    properties: dict[str, Any] = {}
    for field in fields(Wanted):
        one: dict[str, Any] = {"type": "integer" if field.name == "quality" else "string"}
        if field.name in _CHOICES:
            one["enum"] = [*choices(_CHOICES[field.name])]
        if field.default is not None:
            one["default"] = field.default
        properties[field.name] = one | {"description": MEANINGS[field.name]}
    return properties


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, re.split(r"[,\s]+", text.strip()))
        if math.isfinite(low) and math.isfinite(high):
            return low, high
    except ValueError:
        pass
    raise InputError(f"range takes two numbers, such as 0 4095; got {shown(text)!r}")


def _quality(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise InputError(f"a quality is from 1 to 100; got {shown(text)!r}")
    return int(text)


_READERS: dict[str, Any] = {"range": _range, "quality": _quality}
