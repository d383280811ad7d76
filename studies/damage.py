"""Ways in which one source of a set gets worse, for measuring fusion against the clean sources.

A kind of damage takes a grey uint8 image (H, W) and a random generator, and gives the damaged image. ``DAMAGES`` lists
them by name: ``noise``, ``jpeg`` and ``box`` make the 48 robust cells, ``defocus`` and ``impulses`` are
two more.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]

NOISE = 20.0
QUALITY = 8
BLUR = 3.0
IMPULSES = 0.05


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of standard deviation 20 of 255 added."""
    return np.rint(np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255)).astype(np.uint8)


def jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image as JPEG of quality 8 keeps it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def box(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Black in the middle third of rows and columns."""
    hidden = image.copy()
    hidden[box_of(image.shape)] = 0
    return hidden


def box_of(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The middle third of rows and columns."""
    rows, columns = (slice(n // 3, 2 * n // 3) for n in shape[-2:])
    return rows, columns


def defocus(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The whole image under a Gaussian of sigma 3: out of focus, or a coarser sensor."""
    return np.rint(ndimage.gaussian_filter(image.astype(float), BLUR)).astype(np.uint8)


def impulses(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """5 % of the pixels black or white: dead and hot pixels, transmission errors."""
    struck = rng.random(image.shape) < IMPULSES
    return np.where(struck, rng.integers(0, 2, image.shape) * 255, image).astype(np.uint8)


DAMAGES: dict[str, Damage] = {"noise": noise, "jpeg": jpeg, "box": box, "defocus": defocus, "impulses": impulses}
"""By the name that the studies print."""

COUNTED = ("noise", "jpeg", "box")
"""The kinds of the 48 robust cells."""


def damaged(sources: np.ndarray, kind: str, which: int) -> np.ndarray:
    """The sources with one of them made worse, always in the same way for the same pixels."""
    rng = np.random.default_rng(zlib.crc32(sources[which].tobytes()))
    return np.stack([DAMAGES[kind](source, rng) if m == which else source for m, source in enumerate(sources)])
