"""Long stacks in bounded memory: up to 200 frames, fused window by window, with the index of the sharpest frame."""

import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ttd_jax.errors import InputError
from ttd_jax.inputs import Sources, check_sources

HALO = 48
"""Pixels that windows overlap on each side; of 32 to 96 all lie equally near the whole image."""

_SMOOTH = 5  # pixels of the windows in which weights are averaged, and indices made even
_SIDES = ((25, 640), (50, 512), (90, 384), (130, 320), (200, 256))  # of windows, for up to so many frames


class FusedStack(NamedTuple):
    """A fused stack.

    Attributes:
        image: (H, W) or (H, W, 3), in the pixel type of the frames.
        depth: (H, W) uint8: which frame counts most, smoothed.
    """

    image: np.ndarray
    depth: np.ndarray


def fuse_stack(
    fuser: Any,
    frames: np.ndarray,
    *,
    side: int | None = None,
    follow: Callable[[Iterable[Any], int], Iterable[Any]] | None = None,
) -> FusedStack:
    """Fuses a stack of frames that differ in focus, window by window.

    Windows overlap and are joined gradually. A network that looks at the whole image, as that of the package, sees one
    window at a time, so that what it makes of large, smooth differences between frames is left out: for exposures fuse
    whole images.

    Args:
        fuser: A ``Fuser``.
        frames: (M, H, W) or (M, H, W, 3), an array or a memory-mapped file.
        side: Pixels of a window's side; None for one by the number of frames.
        follow: What shows how far it is, of windows and their number.

    Raises:
        InputError: The frames cannot be fused, or the windows are too small.

    Example:
        >>> from ttd_jax import Fuser
        >>> frames = np.random.default_rng(0).random((3, 40, 60), np.float32)
        >>> fuse_stack(Fuser("pyramid"), frames).depth.shape
        (40, 60)
    """
    count, height, width = frames.shape[:3]
    side = side or next((side for most, side in _SIDES if count <= most), _SIDES[-1][1])
    if side <= 2 * HALO:
        raise InputError(f"windows of a stack have more than {2 * HALO} pixels to a side; got {side}")
    size = min(side, height), min(side, width)
    spots = [(top, left) for top in _starts(height, size[0]) for left in _starts(width, size[1])]

    def windows() -> Iterator[Sources]:
        for top, left in spots:
            part = np.array(frames[:, top : top + size[0], left : left + size[1]])
            _give_back(frames)
            yield check_sources(list(part), suspect=False)

    total: np.ndarray | None = None
    shares, index = np.zeros((height, width), np.float32), np.zeros((height, width), np.uint8)
    best = np.zeros((height, width), np.float32)
    results = fuser.stream(windows(), ahead=1)
    for (top, left), result in zip(spots, follow(results, len(spots)) if follow else results, strict=True):
        where = np.s_[top : top + size[0], left : left + size[1]]
        share = np.outer(*(_ramp(*one) for one in ((top, size[0], height), (left, size[1], width))))
        image = np.asarray(result.image)
        if total is None:
            total, dtype = np.zeros((height, width, *image.shape[2:]), np.float32), image.dtype
        total[where] += image * share.reshape(*share.shape, *(1,) * (image.ndim - 2))
        shares[where] += share
        if result.weights is not None:
            nearer = share > best[where]
            index[where][nearer] = sharpest(result.weights)[nearer]
            best[where][nearer] = share[nearer]
    assert total is not None
    mean = total / shares.reshape(*shares.shape, *(1,) * (total.ndim - 2))
    image = mean.astype(dtype) if dtype.kind == "f" else np.rint(mean).astype(dtype)
    return FusedStack(image, ndimage.median_filter(index, _SMOOTH))


def sharpest(weights: np.ndarray) -> np.ndarray:
    """(H, W) uint8: the source whose weight (M, H, W), averaged over a small window, is largest."""
    largest, found = np.full(weights.shape[1:], -1, np.float32), np.zeros(weights.shape[1:], np.uint8)
    for number, one in enumerate(weights):
        smooth = ndimage.uniform_filter(one, _SMOOTH)
        found[smooth > largest] = number
        largest = np.maximum(largest, smooth)
    return found


def _give_back(frames: np.ndarray) -> None:
    """Lets go of what was read from a file: else a stack that was read once counts as memory as a whole."""
    if isinstance(frames, np.memmap) and frames.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        if isinstance(frames.base, mmap.mmap):
            frames.base.madvise(mmap.MADV_DONTNEED)


def _starts(length: int, window: int) -> list[int]:
    """First pixels of windows that cover a side."""
    if window == length:
        return [0]
    number = -(-(length - 2 * HALO) // (window - 2 * HALO))
    return [round(start) for start in np.linspace(0, length - window, max(number, 2))]


def _ramp(first: int, window: int, length: int) -> np.ndarray:
    """How much each pixel of a window counts along one axis: little near its edges that are not the image's."""
    place = np.arange(window, dtype=np.float32)
    rising = np.ones(window, np.float32) if first == 0 else np.clip((place - HALO / 2) / HALO, 1e-4, 1)
    falling = (
        np.ones(window, np.float32)
        if first + window == length
        else np.clip((window - 1 - place - HALO / 2) / HALO, 1e-4, 1)
    )
    return rising * falling
