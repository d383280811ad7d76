"""From a clean scene to registered sources that are each deficient somewhere, for four fusion tasks.

Every function takes a generator, a scene of N x N pixels and a number of sources M of 2 or more, and returns sources
(M, N, N) and the target (N, N) that a perfect fusion would give, float32 in [0, 1]. Sources are in random order and
rounded to 8 bits, as files are.
"""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

from ttd_jax.training.scenes import Scene, smooth_noise

Sources = Float[np.ndarray, "M N N"]
Target = Float[np.ndarray, "N N"]


def focus(rng: np.random.Generator, scene: Scene, count: int) -> tuple[Sources, Target]:
    """Multi-focus: the scene is cut into M depths, and each source is sharp in one of them."""
    if count > 3:
        return _focus_stack(rng, scene, count)
    depth = np.sum([random_area(rng, scene) > 0.5 for _ in range(count - 1)], axis=0)
    softness = rng.uniform(0.3, 2)
    blurred = [defocus(rng, scene.image) for _ in range(2)]
    sources = []
    for m in range(count):
        sharp = ndimage.gaussian_filter((depth == m).astype(np.float32), softness)
        sources.append(sharp * scene.image + (1 - sharp) * blurred[rng.integers(2)])
    return finish(rng, sources), scene.image


def _focus_stack(rng: np.random.Generator, scene: Scene, count: int) -> tuple[Sources, Target]:
    """Depths one behind the other, as many pixels in each; what is farther from the focus is blurred more."""
    size = len(scene.image)
    y, x = np.mgrid[:size, :size] / size
    angle = rng.uniform(0, 2 * np.pi)
    far = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 0.3) * smooth_noise(rng, size, rng.uniform(10, 40))
    depth = np.searchsorted(np.quantile(far, np.arange(1, count) / count), far)
    step, softness = rng.uniform(0.3, 2), rng.uniform(0.3, 2)
    blurred = [ndimage.gaussian_filter(scene.image, step * distance) for distance in range(count)]
    sources = []
    for m in range(count):
        shares = [ndimage.gaussian_filter((abs(depth - m) == d).astype(np.float32), softness) for d in range(count)]
        sources.append(np.sum([share * image for share, image in zip(shares, blurred, strict=True)], axis=0))
    return finish(rng, sources), scene.image


def exposure(rng: np.random.Generator, scene: Scene, count: int) -> tuple[Sources, Target]:
    """Multi-exposure: a scene of high dynamic range through a camera curve, clipped at both ends.

    The target renders every part around the middle of the range, as a local tone-mapping operator does (Reinhard et
    al. 2002, Eq. 9): radiance over radiance plus local average, here with some of the average's differences left.
    """
    gamma = rng.uniform(1.8, 2.6)
    stops = rng.uniform(0.3, 1.2) * smooth_noise(rng, len(scene.image), rng.uniform(6, 30))
    if rng.random() < 0.5:  # a window, a lamp, a shadow
        stops += rng.uniform(1, 2.5) * (ndimage.gaussian_filter(random_area(rng, scene), 1) - 0.5)
    radiance = scene.image**gamma * np.exp(stops) if scene.radiance is None else scene.radiance.copy()
    radiance /= np.percentile(radiance, 90)
    exposures = np.linspace(-rng.uniform(0.7, 3.5), rng.uniform(0.5, 3.5 if count < 4 else 6), count)
    sources = [np.clip(radiance * 2.0**stop, 0, 1) ** (1 / gamma) for stop in exposures]
    level = np.log(radiance + 1e-3)
    around = ndimage.gaussian_filter(level, rng.uniform(0.08, 0.2) * len(level))
    target = 1 / (1 + np.exp(0.5 * (around + np.mean(level)) - level))
    return finish(rng, sources), target.astype(np.float32)


def infrared(rng: np.random.Generator, scene: Scene, count: int) -> tuple[Sources, Target]:
    """Infrared and visible: thermal bands that show warm objects, against light that is dim, noisy or glaring."""
    if count == 2 and rng.random() < 0.35:
        return _daylight(rng, scene)
    size = len(scene.image)
    hot, warmth = warm_objects(rng, size), rng.uniform(0.75, 1)
    visible = [_visible(rng, scene.image, hot) for _ in range(1 + (count > 2))]
    thermal = [_thermal(rng, scene, hot, warmth) for _ in range(count - len(visible))]
    target = np.maximum(scene.image * (1 - hot), hot * warmth)
    return finish(rng, visible + thermal), target.astype(np.float32)


def _daylight(rng: np.random.Generator, scene: Scene) -> tuple[Sources, Target]:
    """A bright and even sky above the scene, which is cold in the thermal band."""
    size = len(scene.image)
    skyline = size * rng.uniform(0.2, 0.65) + rng.uniform(0, 10) * smooth_noise(rng, size, 8)[0]
    sky = np.clip(skyline - np.arange(size)[:, np.newaxis] + 0.5, 0, 1)
    brightness = rng.uniform(0.6, 1) + 0.1 * rng.uniform() * smooth_noise(rng, size, 30)
    visible = scene.image * rng.uniform(0.5, 1) * (1 - sky) + np.clip(brightness, 0, 1) * sky
    visible = visible + rng.uniform(0, 0.01) * rng.standard_normal(visible.shape)
    thermal = _thermal(rng, scene, warm_objects(rng, size) * (1 - sky), rng.uniform(0.75, 1))
    cold = rng.uniform(0, 0.3) + rng.uniform(0, 0.03) * rng.standard_normal(thermal.shape)
    thermal = thermal * (1 - sky) + cold * sky
    target = np.where(sky > 0.5, visible, np.maximum(visible, 0.9 * thermal))
    return finish(rng, [visible, thermal]), np.clip(target, 0, 1).astype(np.float32)


def _visible(rng: np.random.Generator, image: np.ndarray, hot: np.ndarray) -> np.ndarray:
    size = len(image)
    darkness = rng.uniform(0, 1.5) * smooth_noise(rng, size, rng.uniform(6, 30)) + rng.uniform(-1, 1.2)
    light = image * np.exp(-np.maximum(darkness, 0)) * (1 - 0.5 * hot * rng.uniform())
    if rng.random() < 0.2:  # glare
        y, x = np.mgrid[:size, :size] - rng.uniform(0, size, 2)[:, np.newaxis, np.newaxis]
        light = light + 1.5 * np.exp(-np.hypot(y, x) / rng.uniform(4, 20))
    return light + rng.uniform(0, 0.03) * rng.standard_normal(image.shape)


def _thermal(rng: np.random.Generator, scene: Scene, hot: np.ndarray, warmth: float) -> np.ndarray:
    emissivity = rng.uniform(0, 0.75, scene.regions.max() + 1)[scene.regions]
    share = rng.uniform()
    heat = share * emissivity + 0.8 * (1 - share) * random_tone(rng, scene.image)
    heat = rng.uniform(0.3, 1) * ndimage.gaussian_filter(heat, rng.uniform(0.4, 1.5))
    heat = np.clip(heat + 0.08 * smooth_noise(rng, len(heat), 20), 0, 1) * (1 - hot) + warmth * hot
    return heat + rng.uniform(0, 0.03) * rng.standard_normal(heat.shape)


def medical(rng: np.random.Generator, scene: Scene, count: int) -> tuple[Sources, Target]:
    """Slices of a head: soft tissue, bright bone, and the diffuse activity of an emission tomography."""
    size = len(scene.image)
    y, x = np.mgrid[:size, :size] - rng.uniform(0.25 * size, 0.75 * size, 2)[:, np.newaxis, np.newaxis]
    radius = rng.uniform(0.35, 0.9) * size
    distance = np.hypot(y * rng.uniform(0.7, 1.3), x) + 2 * smooth_noise(rng, size, 8)
    inside = np.clip(radius - distance, 0, 1)
    bone = inside * np.clip(distance - rng.uniform(0.85, 0.95) * radius, 0, 1)
    skin = np.clip(1.06 * radius - distance, 0, 1) * np.clip(distance - radius, 0, 1)
    brain = inside * (1 - bone)
    soft = brain * (rng.uniform(0.1, 0.4) + rng.uniform(0.4, 0.8) * scene.image) + skin * rng.uniform(0.3, 1)

    def tomography() -> np.ndarray:
        tissue = ndimage.gaussian_filter(random_tone(rng, scene.image), rng.uniform(1, 3))
        contrast = rng.uniform(0.05, 0.3) + rng.uniform(0, 0.25) * tissue
        return bone * rng.uniform(0.8, 1) + brain * contrast + skin * rng.uniform(0.05, 0.3)

    def activity() -> np.ndarray:
        uptake = ndimage.gaussian_filter(random_tone(rng, scene.image), rng.uniform(2, 5))
        uptake = (uptake - uptake.min()) / (np.ptp(uptake) + 1e-6) + 0.6 * smooth_noise(rng, size, 12)
        return brain * np.clip(uptake - rng.uniform(0, 0.6), 0, 1.2)

    others = [tomography() if rng.random() < 0.5 else activity() for _ in range(count - 1)]
    body = inside + skin > 0.02
    sources = [
        np.clip(rng.uniform(0.7, 1.1) * image + rng.uniform(0, 0.02) * rng.standard_normal(image.shape) * body, 0, 1)
        for image in (soft, *others)
    ]
    return finish(rng, sources), np.max(sources, axis=0).astype(np.float32)


TASKS: dict[str, Callable[[np.random.Generator, Scene, int], tuple[Sources, Target]]] = {
    "focus": focus,
    "exposure": exposure,
    "infrared": infrared,
    "medical": medical,
}
"""Source makers by task."""


def finish(rng: np.random.Generator, sources: list[np.ndarray]) -> Sources:
    """Sources in random order, clipped and rounded to 8 bits."""
    stack = np.stack([sources[i] for i in rng.permutation(len(sources))])
    return (np.rint(np.clip(stack, 0, 1) * 255) / 255).astype(np.float32)


def corrupt(rng: np.random.Generator, sources: Sources) -> Sources:
    """One source made worse, the other ones as they are: noise, JPEG, a box, defocus or less contrast."""
    changed, kinds = sources.copy(), (_noisy, _compressed, _boxed, defocus, _faded)
    m = rng.integers(len(sources))
    changed[m] = kinds[rng.choice(len(kinds), p=(0.35, 0.15, 0.3, 0.1, 0.1))](rng, changed[m])
    return (np.rint(np.clip(changed, 0, 1) * 255) / 255).astype(np.float32)


def _noisy(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return image + rng.uniform(8, 30) / 255 * rng.standard_normal(image.shape)


def _compressed(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=int(rng.integers(4, 30)))
    return np.asarray(Image.open(file)) / 255


def _boxed(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    size, boxed = len(image), image.copy()
    height, width = rng.integers(size // 6, size // 2, 2)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    boxed[top : top + height, left : left + width] = 0 if rng.random() < 0.8 else rng.random()
    return boxed


def _faded(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    area = smooth_noise(rng, len(image), 15) > 0 if rng.random() < 0.5 else 1.0
    return image + rng.uniform(0.3, 0.95) * area * (image.mean() - image)


def random_area(rng: np.random.Generator, scene: Scene) -> Target:
    """About half of the scene, as 0 and 1: some of its regions, blobs, or one side of a line."""
    size, kind = len(scene.image), rng.random()
    if kind < 0.4:
        chosen = rng.random(scene.regions.max() + 1) < 0.5
        return ndimage.median_filter(chosen[scene.regions].astype(np.float32), 5)
    if kind < 0.75:
        return (smooth_noise(rng, size, rng.uniform(6, 30)) > 0.4 * rng.normal()).astype(np.float32)
    y, x = np.mgrid[:size, :size] - size / 2
    angle = rng.uniform(0, 2 * np.pi)
    return (x * np.cos(angle) + y * np.sin(angle) > rng.uniform(-0.25, 0.25) * size).astype(np.float32)


def defocus(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image blurred by a Gaussian or by a disc."""
    sigma = rng.uniform(0.8, 4)
    if rng.random() < 0.6:
        return ndimage.gaussian_filter(image, sigma)
    radius = 1.7 * sigma
    y, x = np.mgrid[-np.ceil(radius) : np.ceil(radius) + 1, -np.ceil(radius) : np.ceil(radius) + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1).astype(np.float32)
    return ndimage.convolve(image, disc / disc.sum(), mode="nearest")


def random_tone(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image through a random curve, which half of the time is not monotone."""
    levels = rng.random(5)
    return np.interp(image, np.linspace(0, 1, 5), np.sort(levels) if rng.random() < 0.5 else levels)


def warm_objects(rng: np.random.Generator, size: int) -> Target:
    """Up to five ellipses with soft edges, the size of people and cars."""
    hot = np.zeros((size, size))
    for _ in range(rng.integers(0, 6)):
        y, x = np.mgrid[:size, :size] - rng.uniform(0, size, 2)[:, np.newaxis, np.newaxis]
        width = rng.uniform(2, 14)
        height = width * rng.uniform(0.5, 2.5)
        hot = np.maximum(hot, np.clip(1.2 - np.hypot(y / height, x / width), 0, 0.4) / 0.4)
    return hot
