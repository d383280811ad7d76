"""Fusion without a network: what any learned method has to beat.

A method takes M >= 2 registered grey sources (M, H, W), floats in [0, 1], and gives the fused image (H, W), which may
leave [0, 1] a little: clip it before it is shown. ``mertens`` takes colour (M, H, W, 3) as well, and ``average`` and
``copy`` anything. ``METHODS`` lists them by name.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from studies.pyramids import collapse, depth, gaussian_pyramid, laplacian_pyramid

Grey = np.ndarray
"""(M, H, W) in, (H, W) out."""


def pyramid(sources: Grey, saliency: float = 4.0) -> Grey:
    """Laplacian bands weighted by their local energy, the coarsest level averaged.

    The weights of source m in a band are E_m^p / sum over n of E_n^p, with E the mean of squared coefficients under a
    Gaussian of sigma 1 and p = ``saliency``; bands down to a short side of 9 to 16 pixels. After Burt and Kolczynski,
    "Enhanced image capture through fusion", ICCV 1993.

    Example:
        >>> image = np.random.default_rng(0).random((40, 40))
        >>> bool(np.allclose(pyramid(np.stack([image, image])), image))
        True
    """

    def merge(band: Grey) -> Grey:
        energy = ndimage.gaussian_filter(band**2, (0, 1, 1))
        return np.sum(shares(energy, saliency) * band, axis=0)

    return _by_band(sources, merge)


def laplacian_max(sources: Grey) -> Grey:
    """Of each Laplacian coefficient the one of largest magnitude, the coarsest level averaged; bands as ``pyramid``."""
    return _by_band(sources, lambda band: pick(band, np.argmax(np.abs(band), axis=0)))


def _by_band(sources: Grey, merge: Callable[[Grey], Grey]) -> Grey:
    *bands, base = laplacian_pyramid(sources, depth(sources.shape))
    return collapse([*(merge(band) for band in bands), base.mean(axis=0)])


def shares(energy: Grey, power: float) -> Grey:
    """energy^power, divided by its sum over the sources; equal shares where no source has energy."""
    largest = energy.max(axis=0)
    powers = np.where(largest > 0, energy / np.where(largest > 0, largest, 1), 1) ** power
    return powers / powers.sum(axis=0)


def pick(values: np.ndarray, index: Grey) -> np.ndarray:
    """Of values (M, H, W, ...) those of the source that ``index`` (H, W) names at each pixel."""
    index = index.reshape((1, *index.shape) + (1,) * (values.ndim - 3))
    return np.take_along_axis(values, index, axis=0)[0]


def guided_filter_fusion(sources: Grey) -> Grey:
    """Base and detail layers under weights smoothed along the sources' edges.

    The source with the largest saliency, |Laplacian| under an 11 pixel Gaussian of sigma 5, gets weight 1; guided
    filters (r = 45, eps = 0.3 for the base; r = 7, eps = 1e-6 for the detail) follow the source. The base is the mean
    over 31 x 31 pixels. Li, Kang and Hu, "Image fusion with guided filtering", IEEE TIP 2013, with its parameters.
    """
    base = ndimage.uniform_filter(sources, (0, 31, 31), mode="mirror")
    laplacian = np.stack([ndimage.laplace(source, mode="mirror") for source in sources])
    saliency = ndimage.gaussian_filter(np.abs(laplacian), (0, 5, 5), mode="mirror", radius=(0, 5, 5))
    chosen = (np.argmax(saliency, axis=0) == np.arange(len(sources))[:, None, None]).astype(float)

    def weights(radius: int, epsilon: float) -> Grey:
        smooth = np.clip([guided_filter(*pair, radius, epsilon) for pair in zip(chosen, sources, strict=True)], 0, 1)
        return (smooth + 1e-12) / np.sum(smooth + 1e-12, axis=0)

    return np.sum(weights(45, 0.3) * base + weights(7, 1e-6) * (sources - base), axis=0)


def guided_filter(image: Grey, guide: Grey, radius: int, epsilon: float) -> Grey:
    """``image`` (H, W) smoothed as a local linear function of ``guide`` (He, Sun and Tang 2013, equations 5 to 8).

    Windows have 2 radius + 1 pixels a side, less where they would leave the image.
    """

    def mean(values: Grey) -> Grey:
        return _window_sums(values, radius) / counts

    counts = _window_sums(np.ones_like(guide), radius)
    mean_guide, mean_image = mean(guide), mean(image)
    slope = (mean(guide * image) - mean_guide * mean_image) / (mean(guide**2) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def _window_sums(values: Grey, radius: int) -> Grey:
    size = 2 * radius + 1
    return ndimage.uniform_filter(values, size, mode="constant") * size**2


def mertens(sources: np.ndarray, contrast: float = 1.0, saturation: float = 1.0, exposure: float = 0.0) -> np.ndarray:
    """Exposure fusion: Laplacian bands under a Gaussian pyramid of quality weights, grey or colour.

    Quality is |Laplacian of luma|^contrast * saturation^saturation * well-exposedness^exposure, with saturation the
    root of the summed squared distances of the channels from their mean (colour only) and well-exposedness the product
    over the channels of exp(-(x - 0.5)^2 / 0.08). Mertens, Kautz and Van Reeth 2007, with what OpenCV's MergeMertens
    makes of it: its default exponents, pyramids down to one pixel.
    """
    sources = np.asarray(sources, float)
    colored = sources.ndim == 4
    channels = np.moveaxis(sources, -1, 1) if colored else sources[:, np.newaxis]
    luma = np.einsum("mchw,c->mhw", channels, [0.299, 0.587, 0.114]) if colored else sources
    quality = np.stack([np.abs(ndimage.laplace(each, mode="mirror")) for each in luma]) ** contrast
    if colored:
        quality = (
            quality * np.sqrt(np.sum((channels - channels.mean(axis=1, keepdims=True)) ** 2, axis=1)) ** saturation
        )
    quality = quality * np.exp(-np.sum((channels - 0.5) ** 2, axis=1) / 0.08) ** exposure + 1e-12
    steps = int(np.log2(min(luma.shape[1:])))
    weights = gaussian_pyramid(quality / quality.sum(axis=0), steps)
    bands = laplacian_pyramid(channels, steps)
    fused = collapse([np.sum(w[:, np.newaxis] * b, axis=0) for w, b in zip(weights, bands, strict=True)])
    return np.moveaxis(fused, 0, -1) if colored else fused[0]


def sharpest(sources: Grey, sigma: float = 2.0) -> Grey:
    """At each pixel the source with the largest squared Laplacian under a Gaussian of ``sigma``; ties to the first."""
    return pick(sources, sharpest_index(sources, sigma))


def sharpest_index(sources: Grey, sigma: float = 2.0) -> Grey:
    """The number (H, W) of the source that ``sharpest`` takes, which may serve for other channels too."""
    laplacian = np.stack([ndimage.laplace(source, mode="mirror") for source in sources])
    return np.argmax(ndimage.gaussian_filter(laplacian**2, (0, sigma, sigma)), axis=0)


def average(sources: np.ndarray) -> np.ndarray:
    """The mean of the sources."""
    return np.mean(sources, axis=0)


def copy(sources: np.ndarray, index: int = 0) -> np.ndarray:
    """One of the sources: what a measure gives for no fusion at all."""
    return sources[index]


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pyramid": pyramid,
    "laplacian max": laplacian_max,
    "guided filter": guided_filter_fusion,
    "mertens": mertens,
    "sharpest": sharpest,
    "average": average,
    "copy first": copy,
    "copy second": lambda sources: copy(sources, 1),
}
"""By the name that the studies take and print."""
