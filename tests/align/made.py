"""Pairs of four tasks that lie beside each other in a way that is known."""

from collections.abc import Iterator
from functools import cache
from itertools import count, islice

import cv2
import numpy as np

from ttd_jax.training.scenes import Scene, dead_leaves, photograph_scene
from ttd_jax.training.sources import TASKS

MARGIN = 48


def known_transform(rng: np.random.Generator, size: int) -> np.ndarray:
    """A handheld camera's: up to 30 pixels, 2 degrees, 2 % of scale, about the middle."""
    turn, scale, shift = np.deg2rad(rng.uniform(-2, 2)), 1 + rng.uniform(-0.02, 0.02), rng.uniform(-30, 30, 2)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    center = np.full(2, (size - 1) / 2)
    return np.vstack([np.column_stack([linear, shift + center - linear @ center]), [0, 0, 1]])


def moved(whole: np.ndarray, transform: np.ndarray, margin: int = MARGIN) -> np.ndarray:
    """What a camera sees of a larger image where ``transform`` takes pixels of the first frame to its own."""
    inward = np.array([[1.0, 0, margin], [0, 1, margin], [0, 0, 1]]) @ np.linalg.inv(transform)
    size = (whole.shape[1] - 2 * margin, whole.shape[0] - 2 * margin)
    seen = cv2.warpPerspective(whole, inward, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.clip(seen, 0, 1).astype(np.float32)


def made_pairs(task: str, number: int, size: int = 480, seed: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Reference, source, both (size, size), the transform between them, and the source as registered.

    Pairs are made once: to make one takes a third of the time that it takes to register it.
    """
    made, more = _pairs(task, size, seed)
    made += islice(more, max(0, number - len(made)))
    yield from made[:number]


@cache
def _pairs(task: str, size: int, seed: int) -> tuple[list[tuple[np.ndarray, ...]], Iterator[tuple[np.ndarray, ...]]]:
    """The pairs made so far, and the others."""
    return [], _made(task, size, seed)


def _made(task: str, size: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    from skimage import color, data
    from skimage.util import img_as_float32

    rng = np.random.default_rng(seed)
    photographs = [color.rgb2gray(img_as_float32(picture)) for picture in (data.coffee(), data.rocket(), data.cat())]
    photographs.append(img_as_float32(data.camera()))
    inner = slice(MARGIN, -MARGIN)
    for index in count():
        whole = size + 2 * MARGIN
        scene: Scene = (
            dead_leaves(rng, whole) if index % 2 else photograph_scene(rng, photographs[rng.integers(4)], whole)
        )
        (first, second), _ = TASKS[task](rng, scene, 2)
        truth = known_transform(rng, size)
        yield first[inner, inner], moved(second, truth), truth, second[inner, inner]
