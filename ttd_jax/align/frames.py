"""Sources moved onto the reference, and the frame that they have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from ttd_jax.align.estimate import Estimate, Transform, estimate, load_opencv
from ttd_jax.errors import InputError
from ttd_jax.options import Align, Frame

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_COMMON = 0.4  # of the frame


class Aligned(NamedTuple):
    """Registered images.

    Attributes:
        images: Each (H, W, C) float32, as large as the frame.
        estimates: How each lay; the reference's is the identity.
        frame: Top, left, height and width of what is shown, in the reference.
    """

    images: tuple[np.ndarray, ...]
    estimates: tuple[Estimate, ...]
    frame: tuple[int, int, int, int]


def align(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    reference: int = 0,
    model: Align = "auto",
    frame: Frame = "crop",
) -> Aligned:
    """Registers images on one of them.

    Args:
        images: (H, W, C) float32 in [0, 1] each, of one size.
        names: What errors call them.
        reference: Index of the one that stays.
        model: Which transforms are allowed.
        frame: ``"crop"`` to the common part, or ``"keep"`` the reference's frame: where a source has no pixels, the
            reference stands in for it.

    Raises:
        InputError: OpenCV is missing, an image is flat, a source cannot be aligned, or there is hardly a common part.
    """
    grays = [gray(image) for image in images]
    order = sorted(range(len(images)), key=lambda i: abs(i - reference))
    found: dict[int, Estimate] = {reference: Estimate(np.eye(3), 1.0, 0.0)}
    for index in order[1:]:
        neighbour = found.get(index + (1 if index < reference else -1))
        try:
            starts = (np.eye(3),) if neighbour is None else (np.eye(3), neighbour.transform)
            found[index] = estimate(grays[reference], grays[index], model=model, starts=starts)
        except InputError as error:
            if "pip install" in str(error):
                raise
            raise InputError(
                f"{names[index]} could not be aligned to {names[reference]}: {error}: check that they show one scene, "
                "or leave align out to fuse them as they are"
            ) from None
    estimates = tuple(found[index] for index in range(len(images)))
    placed = place([one.transform for one in estimates], images[reference].shape[:2], reference=reference, frame=frame)
    return Aligned(placed.move(images), estimates, placed.frame)


class Placed(NamedTuple):
    """Where sources lie, and what is shown of them.

    Attributes:
        transforms: From pixels of the reference to those of each source.
        frame: Top, left, height and width of what is shown, in the reference.
        reference: Index of the one that stays.
        covered: For each source which pixels of the reference's frame (H, W) it has; None where all that is shown is
            covered.
    """

    transforms: tuple[Transform, ...]
    frame: tuple[int, int, int, int]
    reference: int
    covered: tuple[np.ndarray, ...] | None

    def move(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Images (H, W, C) float32 in [0, 1] moved onto the reference and cut to the frame."""
        top, left, height, width = self.frame
        moved = []
        for index, (image, transform) in enumerate(zip(images, self.transforms, strict=True)):
            whole = image if index == self.reference else warp(image, transform)
            if self.covered is not None and index != self.reference:
                whole = np.where(self.covered[index][..., np.newaxis], whole, images[self.reference])
            moved.append(np.ascontiguousarray(whole[top : top + height, left : left + width]))
        return tuple(moved)


def place(
    transforms: Sequence[Transform],
    shape: tuple[int, ...],
    *,
    reference: int = 0,
    frame: Frame = "crop",
    even: bool = False,
) -> Placed:
    """What is shown of sources that lie so.

    Args:
        transforms: From pixels of the reference to those of each source.
        shape: Of the images.
        reference: Index of the one that stays.
        frame: As for :func:`align`.
        even: Cut to an even height and width, as videos have them.

    Raises:
        InputError: There is hardly a common part.

    Example:
        >>> shifted = np.array([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])
        >>> place([np.eye(3), shifted], (10, 20)).frame
        (0, 0, 10, 17)
    """
    height, width = shape[:2]
    top, left, bottom, right = common_frame(transforms, (height, width)) if frame == "crop" else (0, 0, height, width)
    if (bottom - top) * (right - left) < _LEAST_COMMON * height * width:
        raise InputError(
            f"the sources have {max(right - left, 0)} x {max(bottom - top, 0)} of {width} x {height} pixels in common: "
            "leave out the one that shows something else"
        )
    if even and frame == "crop":
        bottom, right = bottom - (bottom - top) % 2, right - (right - left) % 2
    covered = tuple(inside(one, (height, width)) for one in transforms) if frame == "keep" else None
    return Placed(tuple(transforms), (top, left, bottom - top, right - left), reference, covered)


def gray(image: Float32[np.ndarray, "H W C"]) -> Float32[np.ndarray, "H W"]:
    """Luma, or the one channel there is."""
    return image[..., :3] @ _LUMA if image.shape[-1] >= 3 else image[..., 0]


def warp(image: Float32[np.ndarray, "H W C"], transform: Transform) -> Float32[np.ndarray, "H W C"]:
    """The image seen from the reference, by cubic interpolation, in [0, 1]; beyond its edges it is mirrored."""
    cv2 = load_opencv()
    how, size = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, image.shape[1::-1]
    parts = np.split(image, range(3, image.shape[-1], 3), axis=-1)
    moved = [cv2.warpPerspective(part, transform, size, flags=how, borderMode=cv2.BORDER_REFLECT) for part in parts]
    return np.clip(np.dstack(moved), 0, 1).astype(np.float32)


def inside(transform: Transform, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of the reference's frame (H, W) a source covers."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return _depth(transform, x, y, shape) >= 0


def common_frame(transforms: Sequence[Transform], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a rectangle that all sources cover, found by moving the side that helps most.

    Example:
        >>> common_frame([np.array([[1.0, 0, 3.5], [0, 1, -2], [0, 0, 1]])], (10, 20))
        (2, 0, 10, 16)
    """
    top, left, bottom, right = 0, 0, *shape

    def uncovered(top: int, left: int, bottom: int, right: int) -> float:
        x, y = np.array([left, right - 1, left, right - 1]), np.array([top, top, bottom - 1, bottom - 1])
        return sum(float(-np.minimum(_depth(one, x, y, shape), 0).sum()) for one in transforms)

    while bottom > top and right > left and (missing := uncovered(top, left, bottom, right)) > 0:
        moves = [(top + 1, left, bottom, right), (top, left + 1, bottom, right)]
        moves += [(top, left, bottom - 1, right), (top, left, bottom, right - 1)]
        top, left, bottom, right = max(moves, key=lambda one: missing - uncovered(*one))
    return top, left, bottom, right


def _depth(transform: Transform, x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How far inside the source pixels of the reference come to lie, negative outside; a rounding error is inside."""
    points = transform @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    u, v = points[:2] / points[2]
    depth = np.minimum.reduce([u, shape[1] - 1 - u, v, shape[0] - 1 - v]) + 1e-6
    return depth.reshape(x.shape)
