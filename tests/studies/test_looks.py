"""What is seen in pictures: closed forms, and scenes where the answer is known."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import ndimage
from skimage.color import rgb2ycbcr

from studies import classical, looks

RNG = np.random.default_rng(0)


def test_chroma_equals_scikit_image():
    image = RNG.random((8, 9, 3))
    expected = (rgb2ycbcr(image)[..., 1:].mean(axis=(0, 1)) - 128) / 224
    assert_allclose(looks.mean_chroma(image), expected, atol=1e-4)


def test_white_balance_is_that_of_the_best_exposed_frame():
    grey = np.linspace(0.2, 0.8, 64)[:, None, None] * np.ones((64, 10, 3))
    warm = np.clip(grey * [1.1, 1.0, 0.8], 0, 1)
    frames = np.stack([0.1 * grey, warm, np.clip(5 * grey, 0, 1)])
    assert looks.best_exposed(frames) == 1
    assert looks.white_balance_shift(warm, frames) == 0
    expected = np.abs(looks.mean_chroma(grey) - looks.mean_chroma(warm)).max()
    assert_allclose(looks.white_balance_shift(grey, frames), expected)
    assert expected > 0.03


def test_a_rim_runs_against_all_sources_and_blends_do_not():
    step = np.where(np.arange(120) < 60, 0.3, 0.7) * np.ones((80, 1))
    sources = np.stack([ndimage.gaussian_filter(step, 2), ndimage.gaussian_filter(step, 6)])
    assert looks.reversal(sources.mean(axis=0), sources) == 0
    assert looks.reversal(1 - sources[0], sources) > 0.1
    rimmed = sources[1] + 1.5 * (sources[1] - ndimage.gaussian_filter(sources[1], 12))  # an unsharp mask, overdone
    assert 0.02 < looks.reversal(rimmed, sources) < looks.reversal(1 - sources[0], sources)


def skyline():
    visible = np.where(np.arange(100) < 50, 0.9, 0.2)[:, None] + 0.01 * RNG.standard_normal((100, 80))
    visible[60:, :] += 0.2 * (RNG.random((40, 80)) - 0.5)
    infrared = np.full((100, 80), 0.1) + 0.01 * RNG.standard_normal((100, 80))
    infrared[10:20, 30:40] = 0.9  # a balloon
    return np.clip(visible, 0, 1), np.clip(infrared, 0, 1)


def test_sky_is_found_without_the_object_in_it():
    visible, infrared = skyline()
    found = looks.sky(visible, infrared)
    assert found[5:38, 5:20].all() and not found[50:].any() and not found[10:20, 30:40].any()
    assert not looks.sky(np.flipud(visible), infrared).any()  # bright ground
    assert looks.sky_kept(visible, np.flipud(visible), infrared) is None


def test_brightness_and_noise_of_the_sky():
    visible, infrared = skyline()
    assert_allclose(looks.sky_kept(visible, visible, infrared), (1, 1))
    assert_allclose(looks.sky_kept(0.5 * visible, visible, infrared), (0.5, 0.5))
    smooth = np.full_like(visible, 0.9)
    assert looks.sky_kept(smooth, smooth, infrared)[1] < 1e-6  # no noise over the half level assumed


def test_every_frame_of_a_stack_is_sharp_at_its_own_depth():
    photo = looks.sharp_photo(size=96)
    stack = looks.focus_stack(photo)
    equal = stack == photo
    assert stack.shape == (12, 96, 96) and equal.any(axis=0).all()
    errors = np.sort(np.abs(stack.astype(float) - photo), axis=0)
    assert errors[0].max() == 0 and errors[-1].mean() > 5
    assert all(equal[m].mean() >= 1 / 12 for m in range(12))
    noisy = looks.focus_stack(photo, noise=20)
    assert 15 < np.std(noisy.astype(float) - stack) < 20.5  # clipped at black and white


def test_sharpest_pixel_of_a_stack():
    photo = looks.sharp_photo(size=128)
    stack = looks.focus_stack(photo)
    values = {
        name: looks.psnr(np.rint(255 * np.clip(classical.METHODS[name](stack / 255), 0, 1)), photo)
        for name in ("sharpest", "pyramid", "average")
    }
    assert values["sharpest"] > 35 > values["average"] and values["pyramid"] > values["average"]


def test_psnr():
    assert looks.psnr(np.array([10]), np.array([10])) == np.inf
    assert_allclose(looks.psnr(np.array([0, 0]), np.array([255, 255])), 0)
