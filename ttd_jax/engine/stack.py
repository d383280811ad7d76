"""Checked sources as one array that a network takes, and back to the order, shape and pixel type of what was given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.fusion import Fused
from ttd_jax.engine.color import RAW_RULE, choose_color_rule, program_rule
from ttd_jax.errors import InputError
from ttd_jax.inputs import Sources, check_sources
from ttd_jax.io.metadata import Metadata
from ttd_jax.ops.pixels import aligned, in_unit, whole_of
from ttd_jax.options import Color

_LARGE = 2**22  # numbers


class Restored(NamedTuple):
    """A fusion as NumPy arrays, sources in the order in which they were given; a batch has one more leading axis.

    Attributes:
        image: In the shape of the sources, floats in [0, 1].
        weights: As in :class:`~ttd_jax.core.fusion.Fused`, and likewise the others.
        losses: Likewise.
        components: Likewise.
        bands: Likewise; every array has the sources first.
        found: Likewise.
    """

    image: np.ndarray
    weights: np.ndarray | None
    losses: np.ndarray | None
    components: np.ndarray | None
    bands: PyTree
    found: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Stack:
    """Sources as a network takes them, which know how to undo it; a batch has one more leading axis, N.

    Attributes:
        pixels: (M, H, W, C) or (N, M, H, W, C) float32 in [0, 1], in the network's order, the reference first; large
            ones of 8 bits are uint8.
        order: For each place in the stack, which of the given sources stands there.
        colored: Which places have colour.
        rule: The rule for colour, as it is reported.
        program: The rule by which it is computed.
        color: The option that this came from.
        like: The sources as they were given, whose shape, type and names the result takes on.
    """

    pixels: np.ndarray
    order: tuple[int, ...]
    colored: tuple[bool, ...]
    rule: str
    program: str
    color: Color
    like: Sources

    @property
    def batch(self) -> bool:
        """Whether it holds many sets."""
        return self.pixels.ndim == 5

    @property
    def given(self) -> np.ndarray:
        """The pixels as floats, in the order in which the sources were given."""
        return self._in_given_order(in_unit(self.pixels))

    def restore(self, fused: Fused) -> "Restored":
        """What was fused, in the order and the shape of the sources; waits for the computation."""
        there: Any = jax.tree.map(np.asarray, fused)
        image = there.image
        if self.rule == "gray":
            if self.program == "luma":  # equal channels
                image = image[..., 0]
            if self.like.shape[2:] == (3,) and self.color != "gray":
                image = np.repeat(image[..., np.newaxis], 3, axis=-1)
            elif self.like.shape[2:] == (1,):
                image = image[..., np.newaxis]
        by_source = there.weights, there.losses, there.components, there.bands
        weights, losses, components, bands = jax.tree.map(self._in_given_order, by_source)
        return Restored(image, weights, losses, components, bands, there.found)

    def _in_given_order(self, array: np.ndarray) -> np.ndarray:
        if self.order == tuple(range(len(self.order))):
            return array
        return np.take(array, np.argsort(self.order), axis=int(self.batch))


def stack_sources(sources: Sources, backbone: Backbone, color: Color) -> Stack:
    """The stack of one set.

    Raises:
        InputError: The backbone takes other sources: another number, other roles, fewer channels.
    """
    order = _order(backbone, sources)
    colored = tuple(sources.colored[i] for i in order)
    return _stack(_pixels([sources.pixels[i] for i in order], backbone), order, colored, sources, backbone, color)


def stack_batch(stacks: np.ndarray, backbone: Backbone, color: Color) -> Stack:
    """The stack of N sets of one kind; one rule for colour holds for all.

    Raises:
        InputError: It is no array of N sets, or has pixels that are not, or sources that the backbone does not take.
    """
    if stacks.ndim not in (4, 5) or (stacks.ndim == 5 and stacks.shape[-1] not in (1, 3, 6)) or not stacks.size:
        raise InputError(f"a batch is (N, M, H, W), (N, M, H, W, 1) or (N, M, H, W, 3); got {stacks.shape}")
    sets = [check_sources(list(one)) for one in stacks]
    _check_count(backbone, sets[0])
    order = tuple(range(stacks.shape[1]))
    colored = tuple(any(one.colored[m] for one in sets) for m in order)
    pixels = np.stack([_pixels(one.images, backbone) for one in sets])
    remarks = tuple(sorted({remark for one in sets for remark in one.remarks}))
    like = replace(sets[0], remarks=remarks, metadata=Metadata())
    return _stack(pixels, order, colored, like, backbone, color)


def stack_types(shape: Sequence[int]) -> tuple[np.dtype, ...]:
    """The types that a stack (M, H, W, C) can have: float32, and uint8 where that saves much memory."""
    types: tuple[type, ...] = (np.float32, np.uint8) if math.prod(shape) >= _LARGE else (np.float32,)
    return tuple(np.dtype(one) for one in types)


def check_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """M, H, W and C of sources of this shape, (M, H, W) or (M, H, W, C).

    Raises:
        InputError: It is no such shape.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,), (6,)) or min(shape) < 1 or shape[0] < 2:
        raise InputError(f"a shape to compile for is (M, H, W) or (M, H, W, 3) with M of 2 or more; got {shape}")
    count, height, width, *channels = shape
    return count, height, width, channels[0] if channels else 1


def settle_rules(backbone: Backbone, color: Color, colored: Sequence[bool], *, channels: int) -> tuple[str, str]:
    """The rule for colour that holds for sources of so many channels, and the one by which they are computed.

    Args:
        backbone: Says how many channels it takes.
        color: What was asked for.
        colored: Which sources have colour.
        channels: Of the stack.

    Raises:
        InputError: The backbone cannot follow the rule that was asked for.
    """
    if backbone.spec.raw:
        if color != "auto":
            raise InputError(f"{backbone.name} takes its sources as they are: leave color at 'auto'; got {color!r}")
        return RAW_RULE, RAW_RULE
    wide = channels == 3
    rule = choose_color_rule(color, colored, backbone.spec.channels, wide=wide)
    return rule, program_rule(rule, color, wide=wide)


def _stack(
    pixels: np.ndarray, order: Sequence[int], colored: tuple[bool, ...], like: Sources, backbone: Backbone, color: Color
) -> Stack:
    rule, program = settle_rules(backbone, color, colored, channels=pixels.shape[-1])
    return Stack(pixels, tuple(order), colored, rule, program, color, like)


def _order(backbone: Backbone, sources: Sources) -> tuple[int, ...]:
    """Indices of the sources in the model's order: its roles, or the reference first."""
    _check_count(backbone, sources)
    roles = backbone.spec.roles
    if not roles:
        return tuple(sorted(range(len(sources.pixels)), key=lambda i: i != sources.reference))
    if set(sources.roles) != set(roles):
        wanted = " ".join(f"{role}=PATH" for role in roles)
        raise InputError(
            f"{backbone.name} takes the roles {' and '.join(roles)}; got {', '.join(sources.roles)}: "
            f"name them ({wanted}, or a mapping in Python)"
        )
    return tuple(sources.roles.index(role) for role in roles)


def _check_count(backbone: Backbone, sources: Sources) -> None:
    count, most = len(sources.pixels), backbone.spec.max_sources
    if most and count > most:
        raise InputError(f"{backbone.name} takes {most} sources; got {count}")


def _pixels(images: Sequence[np.ndarray], backbone: Backbone) -> np.ndarray:
    """(M, H, W, C) with C = 3 if any image has three channels; uint8 if all images are, and large."""
    channels = max(image.shape[-1] for image in images)
    if channels > max(3, backbone.spec.channels):
        raise InputError(f"{backbone.name} takes grey or colour images; got one of {channels} channels")
    shape = len(images), *images[0].shape[:2], channels
    dtype = stack_types(shape)[-1] if all(image.dtype == np.uint8 for image in images) else np.dtype(np.float32)
    whole = whole_of(images)
    if whole is not None and whole.shape == shape and whole.dtype == dtype:
        return whole
    stack = aligned(shape, dtype)
    for place, image in zip(stack, images, strict=True):
        place[...] = image if dtype == np.uint8 else in_unit(image)
    return stack
