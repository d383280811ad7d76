"""Metrics of pixels and their distributions in plain NumPy; see :mod:`benchmarks.numpy_metrics`."""

import numpy as np
from scipy import ndimage


def _histogram(image):
    return np.bincount(image.ravel(), minlength=256) / image.size


def _bits(shares):
    shares = shares[shares > 0]
    return -np.sum(shares * np.log2(shares))


def _mutual_bits(x, y):
    joint = np.bincount(x.ravel().astype(int) * 256 + y.ravel(), minlength=65536) / x.size
    return _bits(_histogram(x)) + _bits(_histogram(y)) - _bits(joint)


def entropy(fused, sources):
    return _bits(_histogram(fused))


def cross_entropy(fused, sources):
    q = _histogram(fused)
    bits = [-np.sum(_histogram(source) * np.log2(q + 1e-7)) for source in sources]
    return np.sqrt(np.mean(np.square(bits)))


def mutual_information(fused, sources):
    return sum(_mutual_bits(fused, source) for source in sources)


def normalized_mutual_information(fused, sources):
    entropies = sum(_bits(_histogram(source)) for source in sources)
    return 2 * mutual_information(fused, sources) / entropies


def standard_deviation(fused, sources):
    return np.std(fused.astype(float))


def average_gradient(fused, sources):
    down, right = np.gradient(fused.astype(float))
    return np.mean(np.sqrt((right**2 + down**2) / 2))


def edge_intensity(fused, sources):
    image = fused.astype(float)
    return np.mean(np.hypot(ndimage.sobel(image, 0, mode="nearest"), ndimage.sobel(image, 1, mode="nearest")))


def spatial_frequency(fused, sources):
    image = fused.astype(float)
    return np.sqrt(np.mean(np.diff(image, axis=0) ** 2) + np.mean(np.diff(image, axis=1) ** 2))


def correlation_coefficient(fused, sources):
    return np.mean([np.corrcoef(fused.ravel(), source.ravel())[0, 1] for source in sources])


def sum_of_correlations_of_differences(fused, sources):
    total = 0.0
    for m, source in enumerate(sources):
        others = np.mean(np.delete(sources.astype(float), m, axis=0), axis=0)
        total += np.corrcoef((fused - others).ravel(), source.ravel())[0, 1]
    return total


def _squared_errors(fused, sources):
    return [np.mean((fused.astype(float) - source) ** 2) for source in sources]


def mean_squared_error(fused, sources):
    return np.mean(_squared_errors(fused, sources))


def root_mean_squared_error(fused, sources):
    return np.mean(np.sqrt(_squared_errors(fused, sources)))


def peak_signal_to_noise_ratio(fused, sources):
    return 10 * np.log10(255**2 / mean_squared_error(fused, sources))
