"""Where edges run: what is the same in sources of other exposure, focus, wavelength or modality.

The gradient is squared as a complex number, so that a dark line on light and a light line on dark agree, and divided
by its size, so that contrast hardly counts (normalized gradient fields: Haber and Modersitzki, 2006).
"""

import numpy as np
from jaxtyping import Complex64, Float32

_WEAK = 0.6  # share of the pixels whose gradient is at least half noise
_SEARCHED = 512  # pixels of the longer side of what is searched
_FARTHEST = 0.125  # of a side: how far a shift is looked for
_CLEAR = 6.0  # standard deviations of the correlation by which a peak stands out
_BETTER = 2.0  # how much higher a suspected shift correlates than none
_LEAST = 1.6  # pixels of what is searched


def orientation(gray: Float32[np.ndarray, "H W"]) -> Complex64[np.ndarray, "H W"]:
    """The direction of edges, twice the angle, and in its size how clear they are, from 0 to 1."""
    down, right = np.gradient(gray)
    gradient = (right + 1j * down).astype(np.complex64)
    power = np.abs(gradient) ** 2
    return gradient**2 / (power + np.quantile(power, _WEAK) + 1e-12)


def correlation(first: Complex64[np.ndarray, "H W"], second: Complex64[np.ndarray, "H W"]) -> np.ndarray:
    """How well two fields agree for every shift (H, W), the shift of none in the middle."""
    height, width = first.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectrum = np.fft.fft2(first * window) * np.conj(np.fft.fft2(second * window))
    return np.fft.fftshift(np.real(np.fft.ifft2(spectrum)))


def suspected_shift(
    reference: Float32[np.ndarray, "H W"], source: Float32[np.ndarray, "H W"]
) -> tuple[float, float] | None:
    """The shift (x, y) in pixels by which a source seems to lie beside the reference; None if it seems to lie right.

    A cheap look at reduced images for a shift of up to an eighth of a side, which needs to be clearly better than none.

    Example:
        >>> rows = np.random.default_rng(0).random((90, 120), np.float32)
        >>> suspected_shift(rows[10:74, 10:106], rows[10:74, 15:111])
        (-5.0, 0.0)
    """
    factor = -(-max(reference.shape) // _SEARCHED)
    first, second = orientation(shrink(reference, factor)), orientation(shrink(source, factor))
    found = correlation(first, second)
    middle = np.array(found.shape) // 2
    if min(found.shape) < 16:
        return None
    span = [max(int(_FARTHEST * side), 4) for side in found.shape]
    near = found[middle[0] - span[0] : middle[0] + span[0] + 1, middle[1] - span[1] : middle[1] + span[1] + 1]
    top = np.unravel_index(np.argmax(near), near.shape)
    y, x = (np.array(top) - span).tolist()
    unmoved = near[span[0] - 1 : span[0] + 2, span[1] - 1 : span[1] + 2].max()
    if np.hypot(x, y) < _LEAST or near[top] < _BETTER * unmoved or near[top] < _CLEAR * np.std(near):
        return None
    return float(-x * factor), float(-y * factor)


def shrink(gray: Float32[np.ndarray, "H W"], factor: int) -> Float32[np.ndarray, "h w"]:
    """Means of blocks of ``factor`` by ``factor`` pixels."""
    if factor == 1:
        return gray
    height, width = (side // factor for side in gray.shape)
    blocks = gray[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float32)
