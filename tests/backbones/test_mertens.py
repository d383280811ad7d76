"""Exposure fusion: beside the same in float64 by SciPy alone, beside OpenCV's, and where there is little to see."""

import cv2
import jax
import numpy as np
import pytest
from scipy import ndimage

from tests.core.test_bands import doubled, halved
from ttd_jax import Fuser, load_backbone
from ttd_jax.backbones import mertens
from ttd_jax.core import fusion

run = jax.jit(fusion.fuse, static_argnums=0)


def bracket(*shape, seed=0):
    """Exposures (M, H, W) of a scene that is smooth and textured, each twice as bright as the one before."""
    rng = np.random.default_rng(seed)
    scene = np.exp(2 * ndimage.gaussian_filter(rng.standard_normal(shape[1:]), 6) * 6) + 0.2 * rng.random(shape[1:])
    return np.stack([np.clip(0.2 * scene * 2.0**m, 0, 1) ** (1 / 2.2) for m in range(shape[0])]).astype(np.float32)


def exposure_fusion(sources, contrast=1, exposure=3):
    """Mertens, Kautz and Van Reeth, sections 3.1 and 3.2, on grey images."""
    sources = np.asarray(sources, float)
    quality = np.stack([np.abs(ndimage.laplace(source, mode="nearest")) + 1e-6 for source in sources]) ** contrast
    quality = quality * np.exp(-((sources - 0.5) ** 2) / 0.08) ** exposure + 1e-12
    images, weights, bands = list(sources), list(quality / quality.sum(axis=0)), []
    for _ in range(int(np.log2(min(sources.shape[1:])))):
        coarser = [halved(image) for image in images]
        details = [fine - doubled(coarse, fine.shape) for fine, coarse in zip(images, coarser, strict=True)]
        bands.append(sum(w * d for w, d in zip(weights, details, strict=True)))
        images, weights = coarser, [halved(w) for w in weights]
    fused = sum(w * image for w, image in zip(weights, images, strict=True))
    for band in reversed(bands):
        fused = band + doubled(fused, band.shape)
    return fused


@pytest.mark.parametrize("shape", [(2, 64, 70), (5, 37, 51), (3, 1, 9), (2, 1, 1)])
@pytest.mark.parametrize("exponents", [{}, {"contrast": 0.5, "exposure": 1.0}])
def test_it_is_the_papers(shape, exponents):
    sources = bracket(*shape)
    fused = run(mertens.build(**exponents), {}, sources[..., np.newaxis], mertens.WEIGHTING)
    np.testing.assert_allclose(fused.image[..., 0], exposure_fusion(sources, **exponents), atol=3e-4)
    np.testing.assert_allclose(np.sum(fused.weights, axis=0), 1, atol=1e-5)


def test_opencv_makes_nearly_the_same():
    sources = bracket(4, 192, 256, seed=1)
    colored = [np.repeat(np.rint(255 * s).astype(np.uint8)[..., np.newaxis], 3, axis=-1) for s in sources]
    theirs = cv2.createMergeMertens(1, 0, 1).process(colored)[..., 0]
    ours = Fuser("mertens")([frame[..., 0] for frame in colored]).image / 255
    assert np.abs(ours - theirs).mean() < 0.005  # what lies beyond the border is something else
    assert np.abs(ours - sources.mean(axis=0)).mean() > 0.1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_equal_sources_without_structure_give_that_image(value):
    flat = np.full((20, 33), value, np.uint8)
    np.testing.assert_array_equal(Fuser("mertens")([flat] * 3).image, flat)


def test_a_clipped_exposure_counts_little():
    sources = bracket(2, 64, 64)
    sources[1, :, 32:] = 1
    before, after = (Fuser("mertens")(list(each)).weights[1] for each in (bracket(2, 64, 64), sources))
    assert np.all(after[8:56, 48:] < 0.6 * before[8:56, 48:])


def test_it_needs_no_checkpoint():
    backbone = load_backbone("mertens")
    assert (backbone.variables, backbone.manifest["preset"], backbone.model) == ({}, "exposure", mertens.build())
