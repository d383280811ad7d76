"""Classical methods: against OpenCV, plain loops and closed forms."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage

from studies import classical, pyramids

RNG = np.random.default_rng(0)
SHAPES = [(33, 48), (40, 27), (64, 64)]


def textured(*shape):
    smooth = ndimage.gaussian_filter(RNG.random(shape), (0, 2, 2, *(0,) * (len(shape) - 3)))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.clip(0.8 * smooth + 0.2 * RNG.random(shape), 0, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_reduce_and_expand_equal_opencv(shape):
    image = RNG.random(shape).astype(np.float32)
    small = cv2.pyrDown(image)
    assert_allclose(pyramids.reduce(image), small, atol=1e-6)
    assert_allclose(pyramids.expand(small, shape), cv2.pyrUp(small, dstsize=shape[::-1]), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_bands_add_up_to_the_image(shape):
    image = RNG.random((2, *shape))
    bands = pyramids.laplacian_pyramid(image, pyramids.depth(shape))
    assert_allclose(pyramids.collapse(bands), image, atol=1e-12)
    assert 8 < min(bands[-1].shape[1:]) <= 16


@pytest.mark.parametrize("name", [name for name in classical.METHODS if not name.startswith("copy")])
def test_equal_sources_give_that_image(name):
    image = textured(1, 40, 52)[0]
    assert_allclose(classical.METHODS[name](np.stack([image] * 3)), image, atol=1e-6)


@pytest.mark.parametrize("name", ["pyramid", "laplacian max", "guided filter", "mertens", "sharpest", "average"])
def test_order_of_sources_does_not_matter(name):
    sources = textured(4, 40, 52)
    method = classical.METHODS[name]
    assert_allclose(method(sources[[2, 0, 3, 1]]), method(sources), atol=1e-9)


@pytest.mark.parametrize("method", [classical.pyramid, classical.laplacian_max])
def test_beside_a_flat_source_every_band_is_the_textured_ones(method):
    image = textured(1, 40, 52)[0]
    bands = pyramids.laplacian_pyramid(image, pyramids.depth(image.shape))
    bands[-1] = (bands[-1] + 0.25) / 2
    assert_allclose(method(np.stack([image, np.full_like(image, 0.25)])), pyramids.collapse(bands), atol=1e-6)


def test_pyramid_without_saliency_is_the_average():
    sources = textured(3, 40, 52)
    assert_allclose(classical.pyramid(sources, saliency=0), sources.mean(axis=0), atol=1e-12)


def test_shares_are_those_of_the_powers_and_never_undefined():
    energy = np.array([[0.0, 1e-200, 3.0], [0.0, 0.0, 1.0]])
    assert_allclose(classical.shares(energy, 2), [[0.5, 1, 0.9], [0.5, 0, 0.1]])


def test_laplacian_max_picks_by_magnitude():
    sources = textured(3, 30, 34)
    bands = pyramids.laplacian_pyramid(sources, pyramids.depth(sources.shape))
    merged = [np.empty(band.shape[1:]) for band in bands]
    for band, out in zip(bands, merged, strict=True):
        for at in np.ndindex(out.shape):
            values = band[(slice(None), *at)]
            out[at] = values.mean() if out is merged[-1] else max(values, key=abs)
    assert_allclose(classical.laplacian_max(sources), pyramids.collapse(merged), atol=1e-12)


def test_guided_filter_is_a_regression_in_every_window():
    image, guide, radius, epsilon = *RNG.random((2, 9, 11)), 2, 0.01
    slopes, offsets = np.empty((2, 9, 11))
    for y, x in np.ndindex(guide.shape):
        window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
        g, p = guide[window].ravel(), image[window].ravel()
        slopes[y, x] = np.cov(g, p, bias=True)[0, 1] / (g.var() + epsilon)
        offsets[y, x] = p.mean() - slopes[y, x] * g.mean()
    expected = np.empty_like(image)
    for y, x in np.ndindex(guide.shape):
        window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
        expected[y, x] = slopes[window].mean() * guide[y, x] + offsets[window].mean()
    assert_allclose(classical.guided_filter(image, guide, radius, epsilon), expected, atol=1e-10)


def test_guided_filter_fusion_takes_the_sharp_side_of_each():
    scene = textured(1, 96, 200)[0]
    blurred = ndimage.gaussian_filter(scene, 3)
    left = np.arange(200) < 100
    sources = np.stack([np.where(left, scene, blurred), np.where(left, blurred, scene)])
    fused = classical.guided_filter_fusion(sources)
    away = np.abs(np.arange(200) - 99.5) > 40
    assert np.abs(fused - scene)[:, away].mean() < 0.1 * np.abs(sources - scene)[:, :, away].mean()


@pytest.mark.parametrize("exponents", [(1, 1, 0), (1, 1, 1), (0.5, 0.3, 2)])
@pytest.mark.parametrize("shape", [(2, 64, 48), (3, 33, 51, 3), (4, 37, 90, 3), (3, 65, 51)])
def test_mertens_equals_opencv(shape, exponents):
    sources = np.rint(255 * textured(*shape)).astype(np.uint8)
    expected = cv2.createMergeMertens(*map(float, exponents)).process(list(sources))
    assert 255 * np.abs(classical.mertens(sources / 255, *exponents) - expected).max() < 1


def test_sharpest_finds_the_frame_in_focus():
    scene = textured(1, 60, 90)[0]
    blurred = ndimage.gaussian_filter(scene, 3)
    third = np.arange(90) // 30
    sources = np.stack([np.where(third == m, scene, blurred) for m in range(3)])
    index = classical.sharpest_index(sources)
    inside = (np.arange(90) % 30 > 6) & (np.arange(90) % 30 < 23)
    assert (index[:, inside] == third[inside]).mean() > 0.99
    assert_allclose(classical.sharpest(sources), np.choose(index, sources))


def test_copies_and_averages():
    sources = RNG.random((3, 4, 5))
    assert_allclose(classical.average(sources), (sources[0] + sources[1] + sources[2]) / 3)
    assert_allclose(classical.METHODS["copy second"](sources), sources[1])
