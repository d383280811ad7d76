"""What is seen in a fused picture and no cell measures: white balance, haloes, skies, stacks in focus. NumPy only.

Images are floats in [0, 1], grey (H, W) or colour (H, W, 3).
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from studies.pairs import center, disc

FRAMES = 12
LUMA = np.array([0.299, 0.587, 0.114])


def luma(image: np.ndarray) -> np.ndarray:
    """BT.601 luma of colour (..., 3)."""
    return image @ LUMA


def mean_chroma(image: np.ndarray) -> np.ndarray:
    """Mean Cb and Cr of a colour image, full scale 1."""
    means = image.reshape(-1, 3).mean(axis=0)
    y = means @ LUMA
    return np.array([(means[2] - y) / 1.772, (means[0] - y) / 1.402])


def best_exposed(frames: np.ndarray) -> int:
    """The number of the frame (of M, H, W, 3) that is best exposed: largest mean of exp(-(luma - 0.5)^2 / 0.08)."""
    return int(np.argmax(np.exp(-((luma(frames) - 0.5) ** 2) / 0.08).mean(axis=(1, 2))))


def white_balance_shift(fused: np.ndarray, frames: np.ndarray) -> float:
    """How far the mean chroma is from the best-exposed frame's: the larger of Cb and Cr, as a share of full scale."""
    return float(np.abs(mean_chroma(fused) - mean_chroma(frames[best_exposed(frames)])).max())


def reversal(fused: np.ndarray, sources: np.ndarray, sigma: float = 3.0, slope: float = 1 / 255) -> float:
    """The share of pixels where the picture gets brighter in a direction in which every source gets darker: haloes.

    Gradients are those of Gaussians of ``sigma`` pixels, so that neither noise nor texture counts; pixels count where
    the fused image changes by at least ``slope`` per pixel. A rim around an object makes such pixels beside it.

    Args:
        fused: (H, W), grey, or luma.
        sources: (M, H, W).
        sigma: Of the Gaussians.
        slope: Least gradient of the fused image.
    """

    def gradient(image: np.ndarray) -> np.ndarray:
        return np.stack([ndimage.gaussian_filter(image, sigma, order) for order in ((0, 1), (1, 0))])

    found = gradient(fused)
    against = [np.sum(found * gradient(source), axis=0) < 0 for source in sources]
    return float(np.mean(np.all(against, axis=0) & (np.hypot(*found) >= slope)))


def sky(visible: np.ndarray, infrared: np.ndarray) -> np.ndarray:
    """Where a daylight sky is: bright, smooth, part of a region that touches the top, without an object in infrared.

    Bright is above 0.6, smooth a standard deviation below 0.03 under a Gaussian of sigma 2 in both; 3 pixels from the
    region's rim are left out. All False if that is less than 2 % of the image.
    """

    def deviation(image: np.ndarray) -> np.ndarray:
        mean = ndimage.gaussian_filter(image, 2)
        return np.sqrt(np.maximum(ndimage.gaussian_filter(image**2, 2) - mean**2, 0))

    smooth = (deviation(visible) < 0.03) & (deviation(infrared) < 0.03)
    labels, _ = ndimage.label(smooth & (ndimage.gaussian_filter(visible, 2) > 0.6))
    top = np.unique(labels[:3])
    found = ndimage.binary_erosion(np.isin(labels, top[top > 0]), iterations=3)
    return found if found.mean() >= 0.02 else np.zeros_like(found)


def sky_kept(fused: np.ndarray, visible: np.ndarray, infrared: np.ndarray) -> tuple[float, float] | None:
    """Of the visible sky, the share of brightness that is kept, and how many times its noise; None without a sky.

    Noise is the standard deviation of what a Gaussian of sigma 1.5 takes away, that of the visible at least half a
    level of 255, which rounding alone may hide.
    """
    where = sky(visible, infrared)
    if not where.any():
        return None
    noise = [np.std((image - ndimage.gaussian_filter(image, 1.5))[where]) for image in (fused, visible)]
    return float(fused[where].mean() / visible[where].mean()), float(noise[0] / max(noise[1], 0.5 / 255))


def focus_stack(photo: np.ndarray, noise: float = 0.0, frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Frames (M, H, W) uint8 of a sharp grey uint8 photograph, each in focus at one of ``frames`` depths.

    Depth is a smooth surface cut into as many areas of equal size; a frame is blurred by a disc whose radius grows by
    0.6 pixels with every step of depth from its own. ``noise`` is the standard deviation, of 255, on every frame.
    """
    rng = np.random.default_rng(seed)
    surface = ndimage.gaussian_filter(rng.standard_normal(photo.shape), max(photo.shape) / 8)
    ranks = np.argsort(np.argsort(surface, axis=None)).reshape(photo.shape)
    depth = ranks * frames // photo.size
    discs = [disc(0.6 * step) if step else None for step in range(frames)]
    blurred = np.stack(
        [photo if d is None else ndimage.convolve(photo.astype(float), d, mode="nearest") for d in discs]
    )
    stack = [np.take_along_axis(blurred, np.abs(depth - m)[np.newaxis], axis=0)[0] for m in range(frames)]
    noisy = np.stack(stack) + noise * rng.standard_normal((frames, *photo.shape))
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)


def sharp_photo(name: str = "camera", size: int = 256) -> np.ndarray:
    """A grey photograph of scikit-image, uint8, its central pixels."""
    from skimage import data

    return center(np.asarray(Image.fromarray(getattr(data, name)()).convert("L")), size)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of uint8 images; infinite where they are equal."""
    error = np.mean((image.astype(float) - truth) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
