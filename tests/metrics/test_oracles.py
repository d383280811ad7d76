"""Every standard metric against a second one: plain NumPy/SciPy, and scikit-image where it has it."""

import jax
import numpy as np
import pytest
from skimage import metrics as skimage_metrics

from benchmarks.numpy_metrics import NUMPY_METRICS
from ttd_jax import metrics
from ttd_jax.metrics import METRICS

SINGLE = {"Qcb": 1e-4}  # a ratio of two blurs that can both be near 0


def test_every_metric_has_an_oracle():
    assert list(NUMPY_METRICS) == list(METRICS)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("count", [2, 3])
def test_standard_agrees_with_numpy(name, count, fused, sources):
    value = metrics.evaluate(fused, sources[:count], metrics=[name])[name]
    assert value == pytest.approx(NUMPY_METRICS[name](fused, sources[:count]), rel=SINGLE.get(name, 5e-6))


@pytest.mark.parametrize("name", METRICS)
def test_standard_agrees_with_numpy_in_float64(name, fused, sources):
    with jax.enable_x64(True):
        value = metrics.evaluate(fused, sources, metrics=[name])[name]
    assert value == pytest.approx(NUMPY_METRICS[name](fused, sources), rel=1e-11)


def skimage_ssim(fused, source, **options):
    return skimage_metrics.structural_similarity(fused, source, data_range=255, **options)


def test_ssim_agrees_with_scikit_image(fused, sources):
    box = [skimage_ssim(fused, source) for source in sources]
    value = metrics.structural_similarity(fused, sources, variant="eval255")
    assert float(value) == pytest.approx(sum(box), rel=1e-5)

    gaussian = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    wang = [skimage_ssim(fused, source, **gaussian) for source in sources]
    value = metrics.structural_similarity(fused, sources, variant="wang")
    assert float(value) == pytest.approx(np.mean(wang), rel=1e-5)


def test_ms_ssim_agrees_with_scikit_image(fused, sources):
    """A huge K1 makes the luminance term 1, which leaves the contrast-structure term of a scale."""
    options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    values = []
    for source in sources:
        x, y, value = fused.astype(float), source.astype(float), 1.0
        for scale, weight in enumerate(metrics.structural.MS_SSIM_WEIGHTS):
            if scale:
                x, y = (im.reshape(im.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3)) for im in (x, y))
            k1 = 0.01 if scale == 4 else 1e6
            value *= skimage_ssim(x, y, K1=k1, **options) ** weight
            x, y = (np.pad(im, [(0, im.shape[0] % 2), (0, im.shape[1] % 2)], mode="symmetric") for im in (x, y))
        values.append(value)
    value = metrics.multiscale_structural_similarity(fused, sources)
    assert float(value) == pytest.approx(np.mean(values), rel=1e-5)


def test_error_metrics_agree_with_scikit_image(fused, sources):
    """With one source, a ground truth, they are the usual full-reference measures."""
    truth = sources[1]
    psnr = metrics.peak_signal_to_noise_ratio(fused, truth[np.newaxis])
    assert float(psnr) == pytest.approx(skimage_metrics.peak_signal_noise_ratio(truth, fused), rel=1e-6)
    mse = metrics.mean_squared_error(fused, truth[np.newaxis])
    assert float(mse) == pytest.approx(skimage_metrics.mean_squared_error(truth, fused), rel=1e-6)


def test_shannon_entropy_agrees_with_scikit_image(fused):
    from skimage.measure import shannon_entropy

    assert float(metrics.entropy(fused)) == pytest.approx(shannon_entropy(fused), rel=1e-6)


def test_edge_intensity_agrees_with_scikit_image(fused):
    from skimage.filters import sobel_h, sobel_v

    levels = fused.astype(float)
    expected = np.mean(np.hypot(sobel_h(levels), sobel_v(levels)))
    assert float(metrics.edge_intensity(fused, variant="skimage")) == pytest.approx(expected, rel=1e-6)


def test_exposure_metric_agrees_with_blocks_taken_one_by_one(fused, sources):
    """The published algorithm to the letter, each 11x11 block by itself, against the form by moments."""
    fused, stack = fused[:24, :30].astype(float), sources[:, :24, :30].astype(float)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2)).ravel()
    window /= window.sum()
    eps, constant, scores = np.finfo(float).eps, (0.03 * 255) ** 2, []
    for i in range(24 - 10):
        for j in range(30 - 10):
            blocks = stack[:, i : i + 11, j : j + 11].reshape(len(stack), -1)
            centred = blocks - blocks.mean(axis=1, keepdims=True)
            lengths = np.linalg.norm(centred, axis=1)
            total = blocks.sum(axis=0)
            agreement = (np.linalg.norm(total - total.mean()) + eps) / (lengths.sum() + eps)
            power = min(np.tan(np.pi / 2 * min(agreement, 1 - eps)), 10)
            weights = ((lengths + 0.001) / 11) ** power + eps
            block = (weights / weights.sum() / (lengths + 0.001)) @ centred
            if np.linalg.norm(block) > 0:
                block *= (lengths.max() + 0.001) / np.linalg.norm(block)
            patch = fused[i : i + 11, j : j + 11].ravel()
            block, patch = block - window @ block, patch - window @ patch
            variances = window @ block**2 + window @ patch**2
            scores.append((2 * window @ (block * patch) + constant) / (variances + constant))
    value = metrics.multi_exposure_structural_similarity(
        fused.astype(np.uint8), stack.astype(np.uint8), variant="single"
    )
    assert float(value) == pytest.approx(np.mean(scores), rel=1e-5)
