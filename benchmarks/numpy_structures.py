"""Metrics of structures, edges and features in plain NumPy and SciPy; see :mod:`benchmarks.numpy_metrics`."""

import numpy as np
from scipy import fft, ndimage


def _gaussian(size, sigma):
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


def _window_mean(image, weights):
    half = len(weights) // 2
    rows = ndimage.correlate1d(image, weights, axis=0)[half : image.shape[0] - half]
    return ndimage.correlate1d(rows, weights, axis=1)[:, half : image.shape[1] - half]


def _moments(x, y, weights):
    mean_x, mean_y = _window_mean(x, weights), _window_mean(y, weights)
    variance_x = _window_mean(x * x, weights) - mean_x**2
    variance_y = _window_mean(y * y, weights) - mean_y**2
    return mean_x, mean_y, variance_x, variance_y, _window_mean(x * y, weights) - mean_x * mean_y


def _ssim_maps(x, y):
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y, variance_x, variance_y, covariance = _moments(x, y, _gaussian(11, 1.5))
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_x + variance_y + c2), variance_y


def structural_similarity(fused, sources):
    values = []
    for source in sources:
        luminance, structure, _ = _ssim_maps(fused.astype(float), source.astype(float))
        values.append(np.mean(luminance * structure))
    return np.mean(values)


def _halve(image):
    image = np.pad(image, [(0, image.shape[0] % 2), (0, image.shape[1] % 2)], mode="symmetric")
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def multiscale_structural_similarity(fused, sources):
    values = []
    for source in sources:
        x, y, value = fused.astype(float), source.astype(float), 1.0
        for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
            if scale:
                x, y = _halve(x), _halve(y)
            luminance, structure, _ = _ssim_maps(x, y)
            value *= max(np.mean(luminance * structure if scale == 4 else structure), 0) ** weight
        values.append(value)
    return np.mean(values)


def visual_information_fidelity(fused, sources):
    values = []
    for source in sources:
        x, y, carried, total = source.astype(float), fused.astype(float), 0.0, 0.0
        for size in (17, 9, 5, 3):
            weights = _gaussian(size, size / 5)
            if size < 17:
                x, y = _window_mean(x, weights)[::2, ::2], _window_mean(y, weights)[::2, ::2]
            _, _, s, f, both = _moments(x, y, weights)
            s, f = np.maximum(s, 0), np.maximum(f, 0)
            flat_s, flat_f = s < 1e-10, f < 1e-10
            gain = both / (s + 1e-10)
            noise = f - gain * both
            gain[flat_s], noise[flat_s], s[flat_s] = 0, f[flat_s], 0
            gain[flat_f], noise[flat_f] = 0, 0
            noise[gain < 0] = f[gain < 0]
            gain, noise = np.maximum(gain, 0), np.maximum(noise, 1e-10)
            carried += np.sum(np.log10(1 + gain**2 * s / (noise + 2)))
            total += np.sum(np.log10(1 + s / 2))
        values.append(carried / total)
    return np.mean(values)


def _sobel(image, mode):
    down = ndimage.convolve(image, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1.0]]), mode=mode)
    right = ndimage.convolve(image, np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1.0]]), mode=mode)
    return right, down


def _logistic(x, gain, slope, middle):
    return gain / (1 + np.exp(-slope * (x - middle)))


def edge_preservation(fused, sources):
    def edges(image):
        right, down = _sobel(image.astype(float), "constant")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.hypot(right, down), np.where(right == 0, np.pi / 2, np.arctan(-down / right))

    fused_strength, fused_angle = edges(fused)
    kept = total = 0.0
    for source in sources:
        strength, angle = edges(source)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(strength > fused_strength, fused_strength / strength, strength / fused_strength)
        ratio = np.where(strength == fused_strength, strength, ratio)
        turn = 1 - np.abs(angle - fused_angle) / (np.pi / 2)
        kept += np.sum(strength * _logistic(ratio, 0.9994, 15, 0.5) * _logistic(turn, 0.9879, 22, 0.8))
        total += np.sum(strength)
    return kept / total


def _petrovic(fused, sources):
    """Where edges are invented; what is lost of each source's, weighted; the sum of all weights."""

    def edges(image):
        right, down = _sobel(image.astype(float), "mirror")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.hypot(right, down) / 8, np.nan_to_num(np.arctan(right / down))

    fused_strength, fused_angle = edges(fused)
    invented, lost, total = True, 0.0, 0.0
    for source in sources:
        strength, angle = edges(source)
        high = np.maximum(strength, fused_strength)
        ratio = np.minimum(strength, fused_strength) / np.where(high == 0, 1, high)
        turn = np.abs(np.abs(angle - fused_angle) - np.pi / 2) * 2 / np.pi
        kept = np.sqrt(_logistic(ratio, 0.9999, 19, 0.5) * _logistic(turn, 0.9995, 22, 0.5))
        weight = np.where(strength >= 2, strength**1.5, 0.001)
        invented = invented & (fused_strength > strength)
        lost = lost + (1 - kept) * weight
        total += np.sum(weight)
    return invented, lost, total


def fusion_artifacts(fused, sources):
    invented, lost, total = _petrovic(fused, sources)
    return np.sum(lost[invented]) / total


def fusion_loss(fused, sources):
    invented, lost, total = _petrovic(fused, sources)
    return np.sum(lost[~invented]) / total


def _stretch(image):
    low, high = float(image.min()), float(image.max())
    return image.astype(float) if high == 0 else np.floor((image - low) / (high - low) * 255 + 0.5)


def _filter(image, gain):
    height, width = image.shape
    rows = (np.arange(height) - height // 2) * (2 / height)
    columns = (np.arange(width) - width // 2) * (2 / width)
    spectrum = fft.fftshift(fft.fft2(image)) * gain(columns[np.newaxis] * width, rows[:, np.newaxis] * height)
    return fft.ifft2(fft.ifftshift(spectrum)).real


def chen_blum(fused, sources):
    def gain(u, v):
        r = np.hypot(u, v) / 30
        return np.exp(-((r / 15.3870) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))

    def blur(image, sigma):
        weights = _gaussian(31, sigma)
        weights *= np.exp(0) / (np.sqrt(2 * np.pi) * sigma * weights[15])
        rows = ndimage.correlate1d(image, weights, axis=0, mode="constant")
        return ndimage.correlate1d(rows, weights, axis=1, mode="constant")

    def masked(image):
        filtered = _filter(_stretch(image), gain)
        contrast = np.abs(blur(filtered, 2) / blur(filtered, 4) - 1)
        return contrast**3 / (contrast**2 + 1e-4)

    kept, wanted = masked(fused), [masked(source) for source in sources]
    total = sum(one**2 for one in wanted)
    shares = [np.minimum(one, kept) / np.maximum(one, kept) for one in wanted]
    return np.mean(sum(one**2 / total * share for one, share in zip(wanted, shares, strict=True)))


def chen_varshney(fused, sources):
    def gain(u, v):
        r = 0.144 * np.hypot(u, v) / 8
        return 2.6 * (0.0192 + r) * np.exp(-(r**1.1))

    def block_sums(image):
        height, width = image.shape
        image = np.pad(image, [(0, -height % 16), (0, -width % 16)])
        return image.reshape(image.shape[0] // 16, 16, image.shape[1] // 16, 16).sum(axis=(1, 3))

    image, difference, total = _stretch(fused), 0.0, 0.0
    for source in map(_stretch, sources):
        saliency = block_sums(np.hypot(*_sobel(source, "constant")) ** 5)
        difference += np.sum(saliency * block_sums(_filter(source - image, gain) ** 2) / 256)
        total += np.sum(saliency)
    return difference / total


def piella(fused, sources):
    maps, variances = [], []
    for source in sources:
        luminance, structure, variance = _ssim_maps(fused.astype(float), source.astype(float))
        maps.append(luminance * structure)
        variances.append(variance)
    total = np.sum(variances, axis=0)
    variances = np.where(total == 0, 0.5, variances)
    quality = np.sum(variances * maps, axis=0) / np.sum(variances, axis=0)
    saliency = np.max(variances, axis=0)
    return np.sum(saliency * quality) / np.sum(saliency)


def feature_mutual_information(fused, sources):
    def distribution(windows):
        low, high = windows.min(axis=0), windows.max(axis=0)
        share = np.where(high > low, windows - low, 1)
        return share / share.sum(axis=0)

    def windows(image):
        height, width = image.shape[0] - 2, image.shape[1] - 2
        return np.stack([image[y : y + height, x : x + width] for x in range(3) for y in range(3)]).astype(float)

    def plogp(p):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(-p * np.log2(np.abs(p)), copy=False)

    cells = np.arange(9.0)[:, np.newaxis, np.newaxis]

    def spread(p):
        return np.sqrt(np.sum((cells - np.sum(cells * p, axis=0)) ** 2 * p, axis=0))

    y = windows(fused)
    values = []
    for source in sources:
        x = windows(source)
        p, q = distribution(x), distribution(y)
        dp, dq = p - 1 / 9, q - 1 / 9
        with np.errstate(divide="ignore", invalid="ignore"):
            norm = np.sqrt(np.sum(dp**2, axis=0) * np.sum(dq**2, axis=0))
            correlation = np.nan_to_num(np.sum(dp * dq, axis=0) / norm)
        up = correlation >= 0
        cp, cq = np.cumsum(p, axis=0), np.cumsum(q, axis=0)

        def bound(i, j, up=up, cp=cp, cq=cq):  # the Fréchet bound's cumulative distribution
            if i < 0 or j < 0:
                return 0.0
            return np.where(up, np.minimum(cp[i], cq[j]), np.maximum(cp[i] + cq[j] - 1, 0))

        covariance = sum(bound(i, j) - cp[i] * cq[j] for i in range(9) for j in range(9))
        with np.errstate(divide="ignore", invalid="ignore"):
            phi = np.nan_to_num(correlation * spread(p) * spread(q) / covariance, posinf=0, neginf=0)
        joint = 0.0
        for i in range(9):
            for j in range(9):
                on_bound = bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1)
                joint = joint + plogp(phi * on_bound + (1 - phi) * p[i] * q[j])
        entropies = np.sum(plogp(p) + plogp(q), axis=0)
        share = 2 * (entropies - joint) / np.where(entropies == 0, 1, entropies)
        values.append(np.mean(np.where(np.all(x == y, axis=0), 1, share)))
    return np.mean(values)


def multi_exposure_structural_similarity(fused, sources):
    box, gaussian, tiny = np.full(11, 1 / 11), _gaussian(11, 1.5), np.finfo(float).eps

    def covariance(x, y, weights):
        return _window_mean(x * y, weights) - _window_mean(x, weights) * _window_mean(y, weights)

    def norm(image):
        return np.sqrt(121 * np.maximum(covariance(image, image, box), 0))

    def score(image, stack):
        norms = [norm(source) for source in stack]
        agreement = (norm(sum(stack)) + tiny) / (sum(norms) + tiny)
        power = np.minimum(np.tan(np.pi / 2 * np.clip(agreement, 0, 1 - tiny)), 10)
        contrasts = [one + 0.001 for one in norms]
        weights = [(one / 11) ** power + tiny for one in contrasts]
        factors = [w / sum(weights) / one for w, one in zip(weights, contrasts, strict=True)]
        pairs = [(m, n) for m in range(len(stack)) for n in range(len(stack))]
        length = sum(121 * factors[m] * factors[n] * covariance(stack[m], stack[n], box) for m, n in pairs)
        length = np.sqrt(np.maximum(length, 0))
        scale = np.where(length > 0, np.max(contrasts, axis=0) / np.where(length > 0, length, 1), 0)
        factors = [factor * scale for factor in factors]
        variance = sum(factors[m] * factors[n] * covariance(stack[m], stack[n], gaussian) for m, n in pairs)
        both = sum(f * covariance(image, source, gaussian) for f, source in zip(factors, stack, strict=True))
        constant = (0.03 * 255) ** 2
        return np.mean((2 * both + constant) / (variance + covariance(image, image, gaussian) + constant))

    image, stack, value = fused.astype(float), list(sources.astype(float)), 1.0
    weights = np.array([0.0448, 0.2856, 0.3001])
    for scale, weight in enumerate(weights / weights.sum()):
        if scale:
            image, stack = _halve(image), [_halve(source) for source in stack]
        value *= max(score(image, stack), 0) ** weight
    return value
