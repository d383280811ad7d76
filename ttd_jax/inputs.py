"""From what a caller passes as sources to checked float arrays: the edge where every mistake is caught."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ttd_jax.align.frames import align as register
from ttd_jax.align.frames import gray
from ttd_jax.align.orientation import suspected_shift
from ttd_jax.errors import InputError
from ttd_jax.io.images import Picture, picture_from_pillow, read_image
from ttd_jax.io.metadata import Metadata
from ttd_jax.ops.pixels import DEPTH_ORDER, as_image, from_float, in_unit, side_by_side, to_float
from ttd_jax.ops.ranges import Range, check_depths, from_unit, to_unit
from ttd_jax.options import Align, Frame, check_choice

Source: TypeAlias = ArrayLike | Image.Image | os.PathLike[str]
"""One source: an array of any library, a Pillow image, or the path of an image."""

REFERENCES = ("visible", "mri", "reference")
"""Roles that make a source the reference, whose metadata, residual and chroma come first."""

KNOWN_ROLES = (*REFERENCES, "infrared", "pet", "spect", "under", "normal", "over", "near", "far", "depth", "rgb")
"""Roles whose misspellings are noticed; any other name will do too."""


_MANY = 2**22  # numbers that are not copied twice


@dataclass(frozen=True)
class Sources:
    """Checked sources, in the order given.

    Attributes:
        pixels: (H, W, 1), (H, W, 3) or (H, W, 6) each, uint8 as it was given or else float32 in [0, 1]; six are an
            image and its linearised twin.
        roles: A name for each.
        reference: Index of the reference.
        dtype: Deepest pixel type among them, uint8 where that is bool.
        metadata: EXIF and ICC profile of the reference.
        colored: For each, whether it has three channels that are not all equal.
        shape: Shape of a result that keeps its sources' channels: (H, W, 3) if any has three, (H, W, 1) if all have
            one, else (H, W).
        remarks: Sentences on what was done to the pixels or looks suspicious.
        alignment: Model, frame and transforms, as plain data, where the sources were aligned.
        range: The values of the reference that became 0 and 1, where they were told.
    """

    pixels: tuple[np.ndarray, ...]
    roles: tuple[str, ...]
    reference: int
    dtype: np.dtype
    metadata: Metadata
    colored: tuple[bool, ...]
    shape: tuple[int, ...]
    remarks: tuple[str, ...] = field(default=())
    alignment: Mapping[str, Any] | None = None
    range: Range | None = None

    @property
    def images(self) -> tuple[np.ndarray, ...]:
        """Every source as float32 in [0, 1]; made when it is asked for."""
        return tuple(in_unit(pixels) for pixels in self.pixels)

    def restore(self, image: np.ndarray, *, dtype: Any, keep_range: bool) -> np.ndarray:
        """A fused image in [0, 1] as pixels of a type, or of the deepest source's; in the reference's range if told.

        Raises:
            InputError: A pixel is not finite, or the type cannot hold the range.
        """
        dtype = dtype or self.dtype
        if keep_range and self.range is not None:
            return from_unit(from_float(image, "float32"), self.range, np.dtype(dtype))
        return from_float(image, dtype)


def check_sources(
    sources: Mapping[str, Source] | Sequence[Source] | np.ndarray,
    *,
    range: Range | Mapping[str, Range] | None = None,
    align: Align | None = None,
    frame: Frame = "crop",
    suspect: bool = True,
    workers: int = 1,
) -> Sources:
    """Reads and checks sources.

    Args:
        sources: Arrays or paths, at least two, as a sequence, a mapping from role to source, or one array
            (M, H, W, C).
        range: The values that become 0 and 1, of all sources or by role, where these are not the pixel type's.
        align: The transforms by which sources are registered on the reference; None to take them as they are, and
            remark on those that seem to lie beside it.
        frame: What is shown of aligned sources: the common part, or the whole reference.
        suspect: Whether to look for sources that lie beside the reference.
        workers: Threads that read files. With several, a warning filter that a caller sets meanwhile may be lost.

    Raises:
        InputError: Fewer than two sources, different sizes, a 16-bit source of 14 bits or less beside another depth,
            a side under 2 pixels, an array that is not (H, W), (H, W, 1), (H, W, 3), these with alpha, or (H, W, 6), a
            pixel type or range that has no scale, a masked array, a misspelt role, or a file that cannot be read.
    """
    roles, given = _named(sources)
    if len(given) < 2:
        raise InputError(f"fusion takes two sources or more; got {len(given)}")
    ranges = _by_role(range, roles)
    read = _in_threads(
        _read, [(role, source, role in ranges) for role, source in zip(roles, given, strict=True)], workers
    )
    arrays = [one.pixels for one in read]
    remarks = [remark for one in read for remark in one.remarks]
    for role, one in zip(roles, read, strict=True):
        if role not in ranges and (told := one.range) is not None:
            ranges[role] = told.low, told.high
            remarks.append(f"{role} goes from {told.low:g} to {told.high:g}, as {told.told_by} in the file says")
    _check_sizes(roles, arrays)
    unsaid = {role: pixels for role, pixels in zip(roles, arrays, strict=True) if role not in ranges}
    remarks += check_depths([*unsaid], [*unsaid.values()], len({pixels.dtype for pixels in arrays}) > 1)
    images = []
    for role, pixels in zip(roles, arrays, strict=True):
        pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
        if role in ranges:
            scaled, clipped = to_unit(pixels, ranges[role], role)
            images.append(scaled)
            remarks += clipped
            continue
        images.append(pixels if pixels.dtype == np.uint8 else to_float(pixels))
        spread = float(np.ptp(images[-1])) / (255 if images[-1].dtype == np.uint8 else 1)
        if spread < 0.05 and pixels.dtype != bool:
            remarks.append(f"{role} uses {spread:.1%} of the pixel range: stretch it first if that is not meant")
    reference = next((i for wanted in REFERENCES for i, role in enumerate(roles) if role == wanted), 0)
    remarks += _equal_ones(roles, images)
    deepest = max((_known_type(pixels.dtype) for pixels in arrays), key=DEPTH_ORDER.index)
    checked = Sources(
        pixels=side_by_side(images) if images[0].size * len(images) >= _MANY else tuple(images),
        roles=tuple(roles),
        reference=reference,
        dtype=np.dtype("uint8") if deepest == np.bool_ else deepest,
        metadata=read[reference].metadata,
        colored=tuple(_is_colored(image) for image in images),
        shape=_common_shape(arrays),
        remarks=tuple(remarks),
        range=ranges.get(roles[reference]),
    )
    if align is not None:
        return _align(checked, align, frame)
    return _remark_on_shifts(checked) if suspect else checked


def _remark_on_shifts(sources: Sources) -> Sources:
    """The sources, with a remark on every one that seems to lie beside the reference."""
    names, found, beside = sources.roles, gray(in_unit(sources.pixels[sources.reference])), []
    for index, pixels in enumerate(sources.pixels):
        if index != sources.reference and (shift := suspected_shift(found, gray(in_unit(pixels)))):
            x, y = (f"{number:+.0f}" for number in shift)
            beside.append(
                f"{names[index]} seems to lie {x} pixels to the right and {y} down of {names[sources.reference]}: "
                "--align (align='auto') registers it first"
            )
    return replace(sources, remarks=(*sources.remarks, *beside)) if beside else sources


def _in_threads(function: Callable[..., Picture], calls: Sequence[tuple[Any, ...]], workers: int) -> list[Picture]:
    """Results of calls in their order; the first error in this order is raised."""
    if workers < 2:
        return [function(*arguments) for arguments in calls]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(function, *arguments) for arguments in calls]]


def _align(sources: Sources, model: Align, frame: Frame) -> Sources:
    """The sources, registered on the reference and cut to one frame."""
    check_choice("align", model, Align)
    check_choice("align_frame", frame, Frame)
    if any(image.shape[-1] == 6 for image in sources.pixels):
        raise InputError("photographs with linearised twins are taken as they are: leave align out")
    aligned = register(sources.images, sources.roles, reference=sources.reference, model=model, frame=frame)
    top, left, height, width = aligned.frame
    rows, columns = sources.pixels[0].shape[:2]
    moved = f"aligned ({model}); "
    moved += (
        f"cut from {columns} x {rows} to the {width} x {height} pixels in common"
        if frame == "crop"
        else f"the frame of {sources.roles[sources.reference]} was kept, which fills what others lack"
    )
    facts = {
        "model": model,
        "frame": [top, left, height, width],
        "transforms": {r: e.transform.tolist() for r, e in zip(sources.roles, aligned.estimates, strict=True)},
        "disagreement": {r: round(e.disagreement, 3) for r, e in zip(sources.roles, aligned.estimates, strict=True)},
    }
    shape = (height, width, *sources.shape[2:])
    remarks = (*sources.remarks, moved)
    return replace(sources, pixels=aligned.images, shape=shape, remarks=remarks, alignment=facts)


def _spelled(role: str) -> str:
    """The role, if it is not nearly a known one."""
    close = difflib.get_close_matches(role.lower(), KNOWN_ROLES, 1, 0.8) if role.isalpha() else []
    if close and role not in KNOWN_ROLES:
        raise InputError(f"unknown role {role}: did you mean {close[0]}? Give another name if not")
    return role


def _by_role(range: Range | Mapping[str, Range] | None, roles: Sequence[str]) -> dict[str, Range]:
    if range is None:
        return {}
    by_role = range if isinstance(range, Mapping) else dict.fromkeys(roles, range)
    if unknown := by_role.keys() - set(roles):
        raise InputError(f"ranges are of the sources {', '.join(roles)}; got one of {', '.join(sorted(unknown))}")
    return dict(by_role)


def _known_type(dtype: np.dtype) -> np.dtype:
    return dtype if dtype in DEPTH_ORDER else np.dtype("uint16")  # numbers that have been given a range


def _equal_ones(roles: Sequence[str], images: Sequence[np.ndarray]) -> list[str]:
    """A remark on every source that equals one before it."""
    found = []
    for index, image in enumerate(images):
        before = zip(roles[:index], images, strict=False)
        twin = next((r for r, i in before if _are_equal(i, image)), None)
        if twin is not None and np.ptp(image) > 0:
            found.append(f"{twin} and {roles[index]} are equal in every pixel: is one of them the wrong file?")
    return found


def _are_equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(in_unit(one[rows]), in_unit(other[rows])) for rows in (slice(1), slice(None))
    )


def _named(sources: Any) -> tuple[list[str], list[Any]]:
    if isinstance(sources, Mapping):
        return [_spelled(str(role)) for role in sources], list(sources.values())
    if isinstance(sources, (str, os.PathLike)) or not hasattr(sources, "__iter__"):
        raise InputError(f"sources are a list of two or more images, or a mapping from role to image; got {sources!r}")
    shape = getattr(sources, "shape", None)
    if shape is not None and len(shape) != 4:
        raise InputError(f"sources are a list of two or more images; got one array of shape {tuple(shape)}")
    given = list(sources)
    names = [Path(s).name if isinstance(s, (str, os.PathLike)) else f"source {i + 1}" for i, s in enumerate(given)]
    return [n if names.count(n) == 1 else f"{n} ({i + 1})" for i, n in enumerate(names)], given


def _read(role: str, source: Any, any_scale: bool) -> Picture:
    """A source, its pixels as ``as_image`` has them."""
    if isinstance(source, (str, os.PathLike)):
        picture = read_image(source)
    elif isinstance(source, Image.Image):
        picture = picture_from_pillow(source, role)
    else:
        pixels, remarks = as_image(source, role, any_scale=any_scale)
        return Picture(pixels, Metadata(), remarks)
    pixels, remarks = as_image(picture.pixels, role, any_scale=any_scale or picture.range is not None)
    return replace(picture, pixels=pixels, remarks=(*picture.remarks, *remarks))


def _check_sizes(roles: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    if len({pixels.shape[:2] for pixels in arrays}) > 1:
        sizes = ", ".join(f"{role} {p.shape[1]} x {p.shape[0]}" for role, p in zip(roles, arrays, strict=True))
        raise InputError(
            f"sources have one size; got {sizes} (width x height): register them first, or crop or resize them to match"
        )


def _common_shape(arrays: Sequence[np.ndarray]) -> tuple[int, ...]:
    size = arrays[0].shape[:2]
    if any(a.ndim == 3 and a.shape[-1] >= 3 for a in arrays):
        return (*size, 3)
    return (*size, 1) if all(a.shape[2:] == (1,) for a in arrays) else size


def _is_colored(image: np.ndarray) -> bool:
    return image.shape[-1] == 3 and not (
        np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])
    )
