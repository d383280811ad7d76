"""One transform from several pairs of frames: what most of them agree about."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from ttd_jax.align.estimate import Transform, distance, estimate
from ttd_jax.errors import InputError
from ttd_jax.options import Align

Gray = Float32[np.ndarray, "H W"]

_AGREE, _LEAST_AGREE = 0.005, 2.0  # of the longer side; pixels
_FEWEST = 2


class Agreed(NamedTuple):
    """A transform, how many pairs agree about it of how many, and how far these lie apart, in pixels."""

    transform: Transform
    agreeing: int
    tried: int
    apart: float


def estimate_together(pairs: Iterable[tuple[Gray, Gray]], *, model: Align = "auto") -> Agreed:
    """The transform from a reference to a source, of which there are several pairs of frames.

    Every pair gives an estimate of its own, or none. The one that most others lie near is taken, and the mean of those
    that agree with it, so that a frame in which something moves, or little is seen, does not count.

    Args:
        pairs: Frames of the reference and of the source, grey in [0, 1], of one size.
        model: Which transforms are allowed.

    Raises:
        InputError: OpenCV is missing, or not more than half of the pairs, and at least two, agree.
    """
    found: list[Transform] = []
    tried, reason, shape = 0, "", (0, 0)
    for reference, source in pairs:
        tried, shape = tried + 1, reference.shape
        try:
            found.append(estimate(reference, source, model=model).transform)
        except InputError as error:
            if "pip install" in str(error):
                raise
            reason = str(error)
    near = max(_AGREE * max(shape), _LEAST_AGREE)
    count = len(found)
    apart = np.array([[distance(one, other, shape) for other in found] for one in found]).reshape(count, count)
    best = min(range(count), key=lambda one: (np.sum(apart[one] > near), np.sum(apart[one])), default=0)
    agreeing = [index for index in range(count) if apart[best, index] <= near]
    if len(agreeing) < _FEWEST or 2 * len(agreeing) <= tried:
        raise InputError(
            f"{len(agreeing) if len(agreeing) > 1 else 0} of {tried} frames agree about where it lies"
            + (f", and in others {reason}" if reason else "")
        )
    mean = np.mean([found[index] / found[index][2, 2] for index in agreeing], axis=0)
    return Agreed(mean, len(agreeing), tried, float(np.median(apart[best, agreeing])))
