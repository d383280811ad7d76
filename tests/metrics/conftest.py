"""Images that the metric tests share. One size, so that everything compiles once."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data


@pytest.fixture(scope="session")
def sources():
    """Three 184x200 views of a photograph: blurred and shaded, as it is, and dark with a lamp."""
    photo = data.camera()[100:284, 60:260].astype(float)
    blurred = ndimage.gaussian_filter(photo, 3)
    across = np.linspace(0, 1, photo.shape[1])
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]]
    lamp = 120 * np.exp(-((rows - 60) ** 2 + (columns - 130) ** 2) / 800)
    views = [blurred * (1 - 0.5 * across) + 60 * across, photo, 0.4 * photo + lamp]
    return np.stack([np.clip(np.round(view), 0, 255) for view in views]).astype(np.uint8)


@pytest.fixture(scope="session")
def fused(sources):
    """A plausible fusion of the first two: their mean, sharpened a little, with some noise."""
    mean = sources[:2].astype(float).mean(axis=0)
    sharp = mean + 0.5 * (mean - ndimage.gaussian_filter(mean, 1.5))
    noise = np.random.default_rng(0).normal(0, 2, mean.shape)
    return np.clip(np.round(sharp + noise), 0, 255).astype(np.uint8)
