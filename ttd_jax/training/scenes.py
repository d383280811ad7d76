"""Clean grey scenes to make sources from: procedural ones, photographs of scikit-image, and radiance maps.

A scene is a square grey image in [0, 1] and a map of regions, each of which may get a depth, a temperature or a
tissue of its own.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from ttd_jax.errors import InputError

PHOTOGRAPHS = ("astronaut", "brick", "cell", "clock", "grass", "gravel", "hubble_deep_field", "retina", "text")
"""Photographs of scikit-image to train on, CC0 or in the public domain. The cat, the coffee, the rocket and the
cameraman are left for tests and examples."""


_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


class Scene(NamedTuple):
    """A clean image, its regions, numbered from 0, and its linear radiance where that is known."""

    image: Float[np.ndarray, "N N"]
    regions: Int[np.ndarray, "N N"]
    radiance: Float[np.ndarray, "N N"] | None = None


def load_photographs(*, names: Sequence[str] = PHOTOGRAPHS) -> list[Float[np.ndarray, "H W"]]:
    """Grey photographs in [0, 1].

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage import color, data
        from skimage.util import img_as_float32
    except ImportError:
        raise InputError("training needs scikit-image: pip install 'ttd-jax[train]'") from None
    photographs = []
    for name in names:
        image = img_as_float32(getattr(data, name)())
        photographs.append(color.rgb2gray(image[..., :3]).astype(np.float32) if image.ndim == 3 else image)
    return photographs


def load_radiance(path: str | os.PathLike[str]) -> list[Float[np.ndarray, "H W"]]:
    """Luminance of linear radiance maps, a NumPy archive of arrays ``(H, W, 3)`` such as panoramas of Poly Haven.

    Raises:
        InputError: The file is no such archive.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            maps = [np.asarray(file[name], np.float32) @ _LUMINANCE for name in file]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"radiance maps are an .npz of arrays (H, W, 3); {path}: {error}") from None
    if not maps or not all(m.ndim == 2 and np.isfinite(m).all() and m.min() >= 0 and m.max() > 0 for m in maps):
        raise InputError(f"radiance maps are arrays (H, W, 3) of finite values of at least 0; {path} holds others")
    return maps


def make_scenes(seed: int, count: int, size: int, *, radiance: Sequence[np.ndarray] = ()) -> list[Scene]:
    """A pool of scenes in equal parts procedural, from photographs and, if there are any, from radiance maps.

    The same for the same seed.

    Args:
        seed: Of the random numbers.
        count: Scenes in the pool.
        size: Pixels a side.
        radiance: Linear luminance maps (H, W).
    """
    rng = np.random.default_rng(seed)
    photographs = load_photographs()

    kinds: list[Callable[[], Scene]] = [
        lambda: dead_leaves(rng, size),
        lambda: photograph_scene(rng, photographs[int(rng.integers(len(photographs)))], size),
        lambda: radiance_scene(rng, radiance[int(rng.integers(len(radiance)))], size),
    ]
    return [kinds[i % (3 if len(radiance) else 2)]() for i in range(count)]


def crop(rng: np.random.Generator, scene: Scene, size: int) -> Scene:
    """A random window, turned or mirrored, with its contrast, brightness and tone changed at random."""
    i, j = rng.integers(0, scene.image.shape[0] - size + 1, 2)
    turns, step = int(rng.integers(4)), -1 if rng.random() < 0.5 else 1

    def part(of: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(of[i : i + size, j : j + size], turns)[:, ::step])

    image, regions = part(scene.image), part(scene.regions)
    low, high = rng.uniform(0, 0.25), rng.uniform(0.7, 1)
    image = low + (high - low) * np.clip(image, 0, 1) ** np.exp(rng.uniform(-0.5, 0.5))
    return Scene(image.astype(np.float32), regions, None if scene.radiance is None else part(scene.radiance))


def photograph_scene(rng: np.random.Generator, photograph: np.ndarray, size: int, *, highest: float = 1.0) -> Scene:
    """A random window of a photograph at a random scale; its regions are patches of like brightness.

    Args:
        rng: Random numbers.
        photograph: (H, W) in [0, 1].
        size: Pixels a side.
        highest: What brighter pixels are clipped to.
    """
    shortest = min(photograph.shape)
    window = int(min(size / rng.uniform(0.5, 1.2), shortest))
    i, j = rng.integers(0, photograph.shape[0] - window + 1), rng.integers(0, photograph.shape[1] - window + 1)
    part = photograph[i : i + window, j : j + window]
    if window > size:
        part = ndimage.gaussian_filter(part, 0.35 * window / size)
    image = np.clip(ndimage.zoom(part, size / window, order=1, grid_mode=True, mode="nearest"), 0, highest)
    return Scene(image.astype(np.float32), _regions(rng, image))


def _regions(rng: np.random.Generator, image: np.ndarray) -> Int[np.ndarray, "N N"]:
    size = len(image)
    bands = np.floor(8 * ndimage.gaussian_filter(np.clip(image, 0, 1), 6)) + 8 * np.floor(
        3 * smooth_noise(rng, size, 20)
    )
    _, regions = np.unique(bands, return_inverse=True)
    return regions.reshape(size, size).astype(np.int32)


def radiance_scene(rng: np.random.Generator, luminance: np.ndarray, size: int) -> Scene:
    """The same of a panorama, which has no left or right end; its image is as a camera would show it."""
    scene = photograph_scene(rng, np.roll(luminance, rng.integers(luminance.shape[1]), axis=1), size, highest=np.inf)
    radiance = scene.image
    shown = np.clip(radiance / np.percentile(radiance, 95), 0, 1) ** (1 / 2.2)
    return Scene(shown.astype(np.float32), _regions(rng, shown), radiance)


def dead_leaves(rng: np.random.Generator, size: int) -> Scene:
    """Overlapping textured shapes of all sizes, thin structures and strokes (the dead-leaves model of images)."""
    textures = [power_noise(rng, size, slope) for slope in (0.5, 1.5, 2.2)]
    image = np.float32(rng.uniform()) + 0.2 * power_noise(rng, size, 3)
    regions = np.zeros((size, size), np.int32)
    largest = rng.uniform(30, 90)
    for index in range(1, rng.integers(30, 220)):
        radius = 3 * (largest / 3) ** (rng.uniform() ** 1.2)
        box, shape = _leaf(rng, size, radius)
        if shape is None:
            continue
        along, inside = shape
        fill = rng.uniform() + rng.uniform(-0.3, 0.3) * along / radius
        style = rng.integers(5)
        if style < len(textures):
            fill = fill + rng.uniform(0, 0.15) * textures[style][box]
        elif style == 3:
            fill = fill + rng.uniform(0, 0.25) * np.sign(np.sin(rng.uniform(0.3, 2) * along + rng.uniform(0, 6)))
        image[box] = image[box] * (1 - inside) + inside * fill
        regions[box] = np.where(inside > 0.5, index, regions[box])
    if rng.random() < 0.3:
        _strokes(rng, image)
    if rng.random() < 0.7:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 0.8))
    return Scene(np.clip(image, 0, 1).astype(np.float32), regions)


def _leaf(rng: np.random.Generator, size: int, radius: float) -> tuple[tuple[slice, slice], Any]:
    """A box of the image, and within it the coordinate along the leaf and how far each pixel is inside, 0 to 1."""
    center = rng.uniform(0, size, 2)
    first = np.maximum(center - radius - 2, 0).astype(int)
    last = np.minimum(center + radius + 3, size).astype(int)
    box = (slice(first[0], last[0]), slice(first[1], last[1]))
    y, x = np.mgrid[box].astype(np.float32)
    if y.size == 0:
        return box, None
    angle, narrow = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    y, x = y - center[0], x - center[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.integers(4)
    if kind == 0:  # ellipse
        depth = radius - np.hypot(along, across / narrow)
    elif kind == 1:  # rectangle
        depth = np.minimum(0.8 * radius - np.abs(along), 0.8 * radius * narrow - np.abs(across))
    elif kind == 2:  # rhombus
        depth = 0.7 * (radius - np.abs(along)) - 0.5 * np.abs(across) / narrow
    else:  # bar
        depth = np.minimum(radius - np.abs(along), max(1, 0.06 * radius) - np.abs(across))
    return box, (along, np.clip(depth + 0.5, 0, 1))


def _strokes(rng: np.random.Generator, image: np.ndarray) -> None:
    """Short straight strokes of one brightness, as in print."""
    size, level = image.shape[0], rng.uniform()
    for _ in range(rng.integers(20, 120)):
        y, x = rng.integers(0, size - 12, 2)
        length, width = rng.integers(3, 10), rng.integers(1, 3)
        height, width = (length, width) if rng.random() < 0.5 else (width, length)
        image[y : y + height, x : x + width] = level


def power_noise(rng: np.random.Generator, size: int, slope: float) -> Float[np.ndarray, "N N"]:
    """Noise whose power falls with frequency as f**-slope, mean 0 and standard deviation 1."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, np.newaxis], frequency)
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) * radius ** (-slope / 2)
    noise = np.fft.ifft2(spectrum).real
    return (noise / noise.std()).astype(np.float32)


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> Float[np.ndarray, "N N"]:
    """Gaussian-filtered noise, mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((size, size)), sigma, mode="wrap")
    noise -= noise.mean()
    return (noise / (noise.std() + 1e-9)).astype(np.float32)
