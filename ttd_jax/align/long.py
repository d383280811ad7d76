"""Registration of many frames in bounded memory: on reduced ones, each from where its neighbour lies."""

from collections.abc import Iterable

import numpy as np

from ttd_jax.align.estimate import Transform, estimate, matrix
from ttd_jax.align.frames import common_frame, gray
from ttd_jax.align.orientation import shrink
from ttd_jax.errors import InputError
from ttd_jax.options import Align

_LARGEST = 1024  # pixels of the longer side of reduced frames


def register_frames(
    frames: Iterable[tuple[str, np.ndarray]], *, model: Align = "auto"
) -> tuple[list[Transform], tuple[int, int, int, int]]:
    """How frames lie beside the middle one, and top, left, height and width of what they have in common.

    Args:
        frames: Names and images (H, W, C) float32 in [0, 1], one at a time.
        model: Which transforms are allowed.

    Raises:
        InputError: OpenCV is missing, or a frame cannot be aligned.
    """
    names: list[str] = []
    small: list[np.ndarray] = []
    shape: tuple[int, ...] = (0, 0)
    for name, image in frames:
        if small and image.shape[:2] != shape:
            raise InputError(f"frames of a stack have one size; {name} has another than {names[0]}")
        shape = image.shape[:2]
        names.append(name)
        small.append(shrink(gray(image), -(-max(shape) // _LARGEST)))
    factor, middle = -(-max(shape) // _LARGEST), len(small) // 2
    found: dict[int, Transform] = {middle: np.eye(3)}
    for index in sorted(range(len(small)), key=lambda i: abs(i - middle))[1:]:
        neighbour = found[index + (1 if index < middle else -1)]
        try:
            found[index] = estimate(small[middle], small[index], model=model, starts=(np.eye(3), neighbour)).transform
        except InputError as error:
            if "pip install" in str(error):
                raise
            raise InputError(
                f"{names[index]} could not be aligned to {names[middle]}: {error}: leave it out, or leave align out"
            ) from None
    enlarge = matrix(factor * np.eye(2), np.full(2, (factor - 1) / 2))
    transforms = [enlarge @ found[index] @ np.linalg.inv(enlarge) for index in range(len(small))]
    top, left, bottom, right = common_frame(transforms, (shape[0], shape[1]))
    if bottom <= top or right <= left:
        raise InputError("the frames have nothing in common: leave out those that show something else")
    return transforms, (top, left, bottom - top, right - left)
