"""How a source lies beside the reference: a coarse search of turns and scales, then ECC on fields of orientation.

ECC (Evangelidis and Psarakis, 2008) on orientations needs no equal brightness, contrast or sign. It is ours for turn,
scale and shift, and OpenCV's for all other transforms.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from ttd_jax.align.orientation import correlation, orientation
from ttd_jax.align.similarity import climb, edges
from ttd_jax.errors import InputError
from ttd_jax.options import Align

Gray = Float32[np.ndarray, "H W"]
Transform = Float64[np.ndarray, "3 3"]
Level = tuple[float, np.ndarray, np.ndarray]  # scale, reference, source
Levels = list[Level]

_FINEST, _COARSEST = 2048, 160  # pixels of the longer side
_TURNS = np.deg2rad(np.arange(-3, 3.1, 0.75))
_SCALES = (0.97, 0.985, 1.0, 1.015, 1.03)
_FARTHEST = 0.2  # of a side: how far a shift is looked for
_BOARD = 6  # fields to a side of the chessboard by which an estimate is checked
_MOST_APART = 0.005  # of the longer side
_LEAST = 0.1  # correlation of orientations: registered images of different sensors reach 0.13 to 0.7
_MOST_MOVED, _MOST_SCALED = 0.3, 1.25
_FLAT = 1e-4  # mean size of the gradient


class Estimate(NamedTuple):
    """A transform, the correlation it reaches, and how far two halves of the pixels disagree about it, in pixels."""

    transform: Transform
    correlation: float
    disagreement: float


def estimate(reference: Gray, source: Gray, *, model: Align = "auto", starts: Sequence[Transform] = ()) -> Estimate:
    """The transform that takes pixels of the reference to the same place in a source.

    Args:
        reference: Grey in [0, 1].
        source: Of the same size.
        model: Which transforms are allowed; ``"auto"`` is turn, scale and shift, or an affine transform where that
            lies farther from it than two halves of the pixels disagree.
        starts: Transforms to begin from, besides what the coarse search finds.

    Raises:
        InputError: OpenCV is missing, an image is flat, or there is no transform that both halves of the pixels agree
            on.
    """
    cv2 = load_opencv()
    motion = {
        "translation": cv2.MOTION_TRANSLATION,
        "euclidean": cv2.MOTION_EUCLIDEAN,
        "homography": cv2.MOTION_HOMOGRAPHY,
    }.get(model, cv2.MOTION_AFFINE)
    if min(np.mean(np.hypot(*np.gradient(image))) for image in (reference, source)) < _FLAT:
        raise InputError("an image without structure cannot be aligned")
    levels = _pyramid(cv2, reference, source)
    coarsest = levels[-1]
    up = np.diag([1 / coarsest[0], 1 / coarsest[0], 1.0])
    begun = [up @ _coarse(cv2, *coarsest[1:], model) @ np.linalg.inv(up), *starts]
    if model == "auto":
        found = _by_similarity(cv2, levels, begun, reference.shape)
        freely = _by_ecc(cv2, levels, [found.transform], motion, reference.shape)
        moved = distance(found.transform, freely.transform, reference.shape)
        if freely.correlation >= _LEAST and freely.disagreement < moved:
            found = freely
    else:
        found = _by_ecc(cv2, levels, begun, motion, reference.shape)
    _check(found, reference.shape)
    return found


def distance(first: Transform, second: Transform, shape: tuple[int, ...]) -> float:
    """Root mean square of how far apart two transforms take the pixels of an image of this shape.

    Example:
        >>> moved = np.array([[1.0, 0, 3], [0, 1, 4], [0, 0, 1]])
        >>> distance(np.eye(3), moved, (10, 20))
        5.0
    """
    y, x = np.meshgrid(np.linspace(0, shape[0] - 1, 16), np.linspace(0, shape[1] - 1, 16), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    there = [(matrix @ points)[:2] / (matrix @ points)[2] for matrix in (first, second)]
    return float(np.sqrt(np.mean(np.sum((there[0] - there[1]) ** 2, axis=0))))


def load_opencv() -> Any:
    """OpenCV.

    Raises:
        InputError: It is not installed, or too old for ECC on several channels.
    """
    try:
        import cv2

        if int(cv2.__version__.partition(".")[0]) >= 5:
            return cv2
    except ImportError:
        pass
    raise InputError("aligning needs OpenCV 5: pip install 'ttd-jax[align]'")


def _pyramid(cv2: Any, *images: Gray) -> Levels:
    """Both images at scales of 1, 1/2, 1/4, ..., fine to coarse, none larger than is worth it."""
    levels, scale, pair = [], 1.0, [cv2.GaussianBlur(image, (0, 0), 0.7) for image in images]
    while True:
        largest = max(pair[0].shape)
        if largest <= _FINEST:
            levels.append((scale, *pair))
        if largest <= _COARSEST or min(pair[0].shape) < 48:
            return levels or [(scale, *pair)]
        pair, scale = [cv2.pyrDown(image) for image in pair], scale / 2


def _field(cv2: Any, gray: Gray) -> Float32[np.ndarray, "H W 3"]:
    """Orientation as an image of three channels, the last one empty."""
    found = orientation(gray)
    return cv2.GaussianBlur(np.dstack([found.real, found.imag, np.zeros_like(gray)]), (0, 0), 1.0)


def _coarse(cv2: Any, reference: Gray, source: Gray, model: Align) -> Transform:
    """The best shift over some turns and scales, in pixels of these images."""
    height, width = reference.shape
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    field, best = orientation(reference), (-np.inf, np.eye(3))
    reach = [max(int(_FARTHEST * side), 2) for side in (height, width)]
    scales = (1.0,) if model in ("translation", "euclidean") else _SCALES
    for turn in (0.0,) if model == "translation" else _TURNS:
        for scale in scales:
            linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            offset = center - linear @ center
            moved = _warp(cv2, source, matrix(linear, offset), reference.shape)
            found = correlation(field, orientation(moved))
            middle = [height // 2, width // 2]
            near = found[tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))]
            y, x = np.array(np.unravel_index(np.argmax(near), near.shape)) - reach
            if near.max() > best[0]:
                best = near.max(), matrix(linear, offset - linear @ np.array([x, y]))
    return best[1]


def _refine(
    cv2: Any,
    level: Level,
    start: Transform,
    motion: int,
    mask: UInt8[np.ndarray, "H W"] | None = None,
) -> tuple[float, Transform]:
    """The correlation that ECC reaches from a start, and where; the start itself, at -1, where it does not converge."""
    scale, reference, source = level
    down = np.diag([scale, scale, 1.0])
    begun = (down @ start @ np.linalg.inv(down)).astype(np.float32)
    mask = np.full(source.shape, 255, np.uint8) if mask is None else mask
    rows = 3 if motion == cv2.MOTION_HOMOGRAPHY else 2
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-6)
    fields = _field(cv2, reference), _field(cv2, source)
    try:
        reached, found = cv2.findTransformECC(*fields, np.ascontiguousarray(begun[:rows]), motion, stop, mask, 1)
    except cv2.error:
        return -1.0, start
    found = np.vstack([found, [0, 0, 1]]) if rows == 2 else found
    return reached, np.linalg.inv(down) @ found.astype(np.float64) @ down


def _by_ecc(cv2: Any, levels: Levels, begun: Sequence[Transform], motion: int, shape: tuple[int, ...]) -> Estimate:
    """What OpenCV's ECC finds from the best of some starts, from coarse to fine."""
    reached, found = max((_refine(cv2, levels[-1], start, motion) for start in begun), key=lambda one: one[0])
    for level in levels[-2::-1]:
        reached, found = _refine(cv2, level, found, motion)
    first, second = (_refine(cv2, level, found, motion, half)[1] for level, half in _halves(levels))
    return Estimate(found, float(reached), distance(first, second, shape))


def _by_similarity(cv2: Any, levels: Levels, begun: Sequence[Transform], shape: tuple[int, ...]) -> Estimate:
    """The turn, scale and shift found from the best of some starts, from coarse to fine."""

    def climbed(level: Level, start: Transform, mask: np.ndarray | None = None) -> tuple[float, Transform]:
        scale, reference, source = level
        down = np.diag([scale, scale, 1.0])
        there = edges(cv2, reference, source, mask=mask)
        value, found = climb(cv2, there, down @ start @ np.linalg.inv(down))
        return value, np.linalg.inv(down) @ found @ down

    _, found = max((climbed(levels[-1], start) for start in begun), key=lambda one: one[0])
    for level in levels[-2::-1]:
        _, found = climbed(level, found)
    checked = _halves(levels)
    first, second = (climbed(level, found, half > 0)[1] for level, half in checked)
    return Estimate(found, climbed(checked[0][0], found)[0], distance(first, second, shape))


def _halves(levels: Levels) -> list[tuple[Level, UInt8[np.ndarray, "H W"]]]:
    """The level at which an estimate is checked, and two halves of its pixels."""
    checked = next((level for level in levels if max(level[1].shape) <= 600), levels[-1])
    return [(checked, _board(checked[1].shape, half)) for half in (0, 1)]


def _warp(cv2: Any, image: Gray, transform: Transform, shape: tuple[int, ...]) -> Gray:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, transform, shape[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)


def matrix(linear: np.ndarray, offset: np.ndarray) -> Transform:
    """The transform x -> linear x + offset."""
    found = np.eye(3)
    found[:2, :2], found[:2, 2] = linear, offset
    return found


def _board(shape: tuple[int, ...], half: int) -> UInt8[np.ndarray, "H W"]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    field = y * _BOARD // shape[0] + x * _BOARD // shape[1]
    return np.where(field % 2 == half, 255, 0).astype(np.uint8)


def _check(found: Estimate, shape: tuple[int, ...]) -> None:
    """Refuses what is no likely transform.

    Raises:
        InputError: Edges hardly agree, halves of the pixels disagree, or it moves or scales too far.
    """
    if found.correlation < _LEAST:
        raise InputError(f"what fits best has a correlation of {max(found.correlation, 0):.2f}")
    longer, apart = max(shape[:2]), found.disagreement
    moved, scaled = distance(found.transform, np.eye(3), shape), np.sqrt(abs(np.linalg.det(found.transform[:2, :2])))
    if not np.isfinite(apart) or apart > max(_MOST_APART * longer, 2):
        raise InputError(f"two halves of the pixels disagree by {apart:.1f} pixels about where it lies")
    if moved > _MOST_MOVED * longer or not 1 / _MOST_SCALED < scaled < _MOST_SCALED:
        raise InputError(f"the best fit found moves it by {moved:.0f} pixels and scales it by {scaled:.2f}")
