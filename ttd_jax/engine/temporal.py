"""Steady fusion of frames: what weights add to the mean of the sources is smoothed over time where nothing moves.

With s the mean of the sources and f the fused frame, the difference f - 0.85 s is averaged over the frames before,
pixel by pixel, as far as all sources, and that difference, stayed as they were. What moves is taken from its own frame
alone, so that nothing trails behind it; a frame that changes nearly everywhere is a cut and begins anew.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from ttd_jax.options import check_share

_KEPT = 0.85  # of the mean of the sources: its noise alone is a tenth more than that of static fusion
_SIDE = 5  # of the windows in which frames are compared
_STEADY = 3.0  # standard deviations of a change that may be noise
_MOST_NOISE, _LEAST_NOISE = 0.012, 0.001  # of a change, averaged over a window
_CUT = 0.6  # share of the pixels that change


@dataclass
class Steady:
    """Frames of one video, one after another.

    Args:
        amount: Share of what was before, 0 to less than 1; 0.8 averages over some five frames.

    Attributes:
        cuts: How often a scene ended.

    Raises:
        InputError: The amount is no such number.

    Example:
        >>> steady, still = Steady(0.5), np.full((2, 8, 8, 1), 0.5)
        >>> [round(float(steady(still, np.full((8, 8), level))[0, 0]), 4) for level in (0.4, 0.402, 0.402)]
        [0.4, 0.401, 0.4015]
    """

    amount: float
    cuts: int = 0
    _sources: np.ndarray | None = field(default=None, repr=False)
    _added: np.ndarray | None = field(default=None, repr=False)
    _frames: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_share("temporal", self.amount)

    def __call__(
        self, sources: Float[np.ndarray, "M H W C"], fused: Float[np.ndarray, "H W *D"]
    ) -> Float[np.ndarray, "H W *D"]:
        """The fused frame, steadied; floats."""
        base = _KEPT * sources.mean(axis=0)
        base = base if fused.ndim == 3 else base.mean(axis=-1)
        added, frames = fused - base, np.zeros(fused.shape[:2], np.float32)
        before = self._added
        if self._sources is not None and before is not None and self._sources.shape == sources.shape:
            still = _still(sources - self._sources)
            if np.mean(still < 0.5) > _CUT:
                self.cuts += 1
            else:
                assert self._frames is not None
                still *= _still(np.reshape(added - before, (1, *added.shape[:2], -1)))
                frames = still * (self._frames + 1)
                share = np.minimum(self.amount, frames / (frames + 1)) * still  # a mean, until that is long enough
                share = share.reshape(*share.shape, *(1 for _ in added.shape[2:]))
                added = share * before + (1 - share) * added
        self._sources, self._added, self._frames = sources, added, frames
        return np.clip(base + added, 0, 1)


def _still(change: Float[np.ndarray, "M H W C"]) -> Float[np.ndarray, "H W"]:
    """From 1, where no source changes by more than its noise, to 0."""
    still = np.ones(change.shape[1:3], np.float32)
    for one in change:
        size = abs(_mean(one.mean(axis=-1)))
        noise = np.clip(np.median(size) / 0.6745, _LEAST_NOISE, _MOST_NOISE)
        still = np.minimum(still, np.clip(2 - size / (_STEADY * noise), 0, 1))
    return still


def _mean(image: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Means of windows, by sums along both axes."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (_SIDE // 2, _SIDE // 2)
        padded = np.pad(image, pad, mode="edge")
        size = image.shape[axis]
        image = np.mean([np.take(padded, range(i, i + size), axis=axis) for i in range(_SIDE)], axis=0)
    return image.astype(np.float32)
