"""The turn, scale and shift at which the edges of two images run alike.

A handheld camera hardly does more, and four numbers are found where six are not: in pairs of two sensors that share few
edges.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

from ttd_jax.align.orientation import orientation

Gray = Float32[np.ndarray, "H W"]
Transform = Float64[np.ndarray, "3 3"]
Numbers = Float64[np.ndarray, " 4"]

_SMOOTH = 1.3  # pixels of the images whose edges are compared
_MOST = 250_000  # pixels of the reference that are looked at
_STEPS, _LONGEST, _NEAR = 30, 3.0, 0.005  # pixels of a step
_ROW = 4096  # points of one row of what OpenCV is asked for
_LEAST_COMMON = 0.3  # of the points


class Edges(NamedTuple):
    """What two images are compared by.

    Attributes:
        points: Pixels (x, y) of the reference.
        reference: Orientation there, its real and its imaginary part.
        source: Orientation and its two derivatives, for both parts, each (H, W, 3).
        middle: Of the image, about which it is turned.
        reach: Pixels by which a unit of turn moves a typical pixel.
    """

    points: Float32[np.ndarray, "2 N"]
    reference: Float32[np.ndarray, "2 N"]
    source: tuple[Float32[np.ndarray, "H W 3"], Float32[np.ndarray, "H W 3"]]
    middle: Float64[np.ndarray, " 2"]
    reach: float


def edges(cv2: Any, reference: Gray, source: Gray, *, mask: Bool[np.ndarray, "H W"] | None = None) -> Edges:
    """What two images are compared by, at all pixels or a share of them that is enough.

    Args:
        cv2: OpenCV.
        reference: Grey in [0, 1].
        source: Of the same size.
        mask: Which pixels of the reference count; None for all.
    """
    height, width = reference.shape
    first, second = (orientation(cv2.GaussianBlur(image, (0, 0), _SMOOTH)) for image in (reference, source))
    y, x = np.nonzero(np.ones(reference.shape, bool) if mask is None else mask)
    if len(x) > _MOST:
        chosen = np.random.default_rng(0).random(len(x)) < _MOST / len(x)
        y, x = y[chosen], x[chosen]
    real, imaginary = (
        np.dstack([part, np.gradient(part, axis=1), np.gradient(part, axis=0)]) for part in (second.real, second.imag)
    )
    return Edges(
        np.stack([x, y]).astype(np.float32),
        np.stack([first.real[y, x], first.imag[y, x]]),
        (real, imaginary),
        np.array([(width - 1) / 2, (height - 1) / 2]),
        float(np.hypot(height, width) / 4),
    )


def agreement(cv2: Any, found: Edges, numbers: Numbers) -> tuple[float, Numbers]:
    """The correlation of edges for a shift in x and y, a scale and a turn, and the step that should make it greatest.

    The step is that of ECC (Evangelidis and Psarakis, 2008, Eq. 19) for these four numbers.

    Args:
        cv2: OpenCV.
        found: What is compared.
        numbers: Shift, and scale and turn times ``reach``, so that all four are pixels.
    """
    height, width = found.source[0].shape[:2]
    x, y = found.points
    there = transform_of(found, numbers)[:2].astype(np.float32)
    u, v = (row[0] * x + row[1] * y + row[2] for row in there)
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    if inside.sum() < max(_LEAST_COMMON * len(x), 100):
        return 0.0, np.zeros(4)
    filled = np.zeros((2, -(-len(u) // _ROW) * _ROW), np.float32)
    filled[0, : len(u)], filled[1, : len(u)] = u, v
    rows = filled.reshape(2, -1, _ROW)
    seen = [cv2.remap(one, *rows, cv2.INTER_LINEAR).reshape(-1, 3)[: len(u)] for one in found.source]
    known = (found.reference * inside).ravel()
    moved = np.concatenate([one[:, 0] * inside for one in seen])
    right, down = (np.stack([one[:, axis] * inside for one in seen]) for axis in (1, 2))
    across, along = ((points - m) / found.reach for points, m in zip((x, y), found.middle, strict=True))
    slopes = np.stack([right, down, right * across + down * along, down * across - right * along]).reshape(4, -1)
    slopes = slopes.astype(np.float32)
    curvature = (slopes @ slopes.T).astype(np.float64) + 1e-9 * np.eye(4)
    of_known, of_moved = ((slopes @ one).astype(np.float64) for one in (known, moved))
    by_known, by_moved = (np.linalg.solve(curvature, one) for one in (of_known, of_moved))
    product, size = float(known @ moved), float(moved @ moved)
    value = product / (np.sqrt(float(known @ known) * size) + 1e-12)
    share = product - float(of_known @ by_moved)
    if share <= 0:
        return value, np.zeros(4)
    return value, (size - float(of_moved @ by_moved)) / share * by_known - by_moved


def climb(cv2: Any, found: Edges, start: Transform) -> tuple[float, Transform]:
    """The correlation reached from a start, and where."""
    numbers = numbers_of(found, start)
    value, step = agreement(cv2, found, numbers)
    for _ in range(_STEPS):
        length = float(np.abs(step).max())
        if length < _NEAR:
            break
        step *= min(1.0, _LONGEST / length)
        after, following = agreement(cv2, found, numbers + step)
        if after > value:
            numbers, value, step = numbers + step, after, following
        else:
            step = step / 4
    return value, transform_of(found, numbers)


def transform_of(found: Edges, numbers: Numbers) -> Transform:
    """The transform of these four numbers."""
    scale, turn = 1 + numbers[2] / found.reach, numbers[3] / found.reach
    linear = np.array([[scale, -turn], [turn, scale]])
    offset = found.middle + numbers[:2] - linear @ found.middle
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])


def numbers_of(found: Edges, transform: Transform) -> Numbers:
    """The four numbers of the similarity nearest to a transform."""
    moved = (transform @ np.array([*found.middle, 1]))[:2] - found.middle
    scale = (transform[0, 0] + transform[1, 1]) / 2 - 1
    turn = (transform[1, 0] - transform[0, 1]) / 2
    return np.array([*moved, scale * found.reach, turn * found.reach])
