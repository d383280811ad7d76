"""Makes the example images from photographs that come with scikit-image, all CC0, and from a drawing.

Run ``python examples/make_examples.py`` (needs the ``test`` extra). It writes, beside itself:

- ``focus_near.png``, ``focus_far.png``: a cup of coffee on a table, focused on the near and on the far edge.
  Photograph: Rachel Michetti, CC0 (``skimage.data.coffee``).
- ``exposure_under.png``, ``exposure_normal.png``, ``exposure_over.png``: a cat beside a window, at exposures two stops
  apart. Photograph: Stéfan van der Walt, CC0 (``skimage.data.chelsea``).
- ``night_visible.png``, ``night_infrared.png``: a man with a camera at night, and what a thermal camera would see.
  Photograph: Lav Varshney, CC0 (``skimage.data.camera``); the night and the warmth are made.
- ``head_mri.png``, ``head_pet.png``: a drawn head, its tissue in grey and its activity in colour.
"""

from pathlib import Path

import numpy as np
from PIL import Image

try:
    from scipy import ndimage
    from skimage import data, transform
except ImportError as error:
    raise SystemExit(f"{error.name} is missing: pip install '.[test]'") from None

FOLDER = Path(__file__).parent
GAMMA = 2.2


def focus_pair() -> dict[str, np.ndarray]:
    """The table is a plane that recedes from the lower edge of the picture to the upper one."""
    photo = transform.resize(data.coffee() / 255, (320, 480, 3), anti_aliasing=True)
    distance = np.broadcast_to(np.linspace(1, 0, 320)[:, np.newaxis], (320, 480))
    return {"focus_near": defocus(photo, distance, 0.25), "focus_far": defocus(photo, distance, 0.75)}


def defocus(photo: np.ndarray, distance: np.ndarray, focus: float) -> np.ndarray:
    """Each pixel blurred, in linear light, by a disc that grows with its distance from the plane in focus."""
    radius = np.clip(12 * (np.abs(distance - focus) - 0.22), 0, 6)
    linear = photo**GAMMA
    blurred = np.zeros_like(photo)
    for step in range(7):
        share = np.clip(1 - np.abs(radius - step), 0, 1)[..., np.newaxis]
        blurred += share * (linear if step == 0 else ndimage.convolve(linear, disc(step), mode="nearest"))
    return blurred ** (1 / GAMMA)


def disc(radius: int) -> np.ndarray:
    """A filled circle with soft edge, as a kernel over rows and columns."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return (kernel / kernel.sum())[..., np.newaxis]


def exposure_stack() -> dict[str, np.ndarray]:
    """Light falls off by five stops from the window on the left to the right."""
    photo = transform.resize(data.chelsea() / 255, (288, 432, 3), anti_aliasing=True)
    light = np.exp2(np.linspace(2.5, -2.5, 432))[np.newaxis, :, np.newaxis]
    radiance = photo**GAMMA * light
    rng = np.random.default_rng(0)
    pictures = {}
    for name, stops in {"exposure_under": -2, "exposure_normal": 0, "exposure_over": 2}.items():
        noise = rng.normal(0, 0.0005, photo.shape)
        pictures[name] = np.clip(radiance * 2.0**stops + noise, 0, 1) ** (1 / GAMMA)
    return pictures


def night_pair() -> dict[str, np.ndarray]:
    """At night the man's dark coat is lost before the field, and a lamp dazzles; warmth shows the man alone."""
    photo = transform.resize(data.camera() / 255, (384, 384), anti_aliasing=True)[24:344]
    rng = np.random.default_rng(0)
    man = warm_body(photo)
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    lamp = np.exp(-np.hypot(y - 40, x - 330) / 45)[..., np.newaxis]
    light = 0.07 * photo[..., np.newaxis] ** GAMMA * np.array([0.75, 0.9, 1.25]) * (1 - 0.9 * man[..., np.newaxis])
    visible = (light + lamp * np.array([0.9, 0.75, 0.5])) ** (1 / GAMMA)
    heat = 0.16 + 0.1 * ndimage.gaussian_filter(photo, 3) + man * (0.32 + 0.5 * ndimage.gaussian_filter(photo, 1.5))
    noise = rng.normal(0, 0.012, (*photo.shape, 4))
    return {
        "night_visible": visible + noise[..., :3],
        "night_infrared": ndimage.gaussian_filter(heat, 1) + noise[..., 3],
    }


def warm_body(photo: np.ndarray) -> np.ndarray:
    """How much of each pixel is the man, from 0 to 1: the largest dark region, filled, and his face."""
    dark = ndimage.binary_opening(photo < 0.22, iterations=2)
    labels, count = ndimage.label(dark)
    sizes = ndimage.sum_labels(dark, labels, np.arange(1, count + 1))
    man = ndimage.binary_fill_holes(ndimage.binary_closing(labels == 1 + int(np.argmax(sizes)), iterations=3))
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    face = np.hypot((y - 68) / 37, (x - 162) / 27) < 1
    return ndimage.gaussian_filter((man | face).astype(float), 1.5)


def head_pair() -> dict[str, np.ndarray]:
    """An MRI shows folds and no activity; a PET shows activity, coarsely, and no folds."""
    y, x = np.mgrid[-1:1:320j, -1:1:320j]
    angle, radius = np.arctan2(y, x), np.hypot(x / 0.78, y / 0.94)
    rng = np.random.default_rng(0)
    wrinkle = ndimage.gaussian_filter(rng.standard_normal((320, 320)), 7)
    folds = np.sin(26 * radius + 2.5 * np.sin(7 * angle) + 45 * wrinkle)
    brain = step(0.82 - radius)
    cortex = brain * step(radius - 0.42 + 0.06 * np.sin(9 * angle))
    ventricles = step(0.2 - np.hypot((np.abs(x) - 0.13) / 0.55, y / 1.3))
    skull, skin = step(0.06 - np.abs(radius - 0.88)), step(0.035 - np.abs(radius - 0.98))
    tissue = brain * (0.62 - 0.1 * cortex - 0.16 * cortex * (folds > 0.1)) * (1 - ventricles) + 0.06 * ventricles
    mri = ndimage.gaussian_filter(tissue + 0.02 * skull + 0.85 * skin, 0.7) + rng.normal(0, 0.012, x.shape)
    lesion = np.exp(-(((x - 0.33) / 0.12) ** 2) - ((y + 0.3) / 0.12) ** 2)
    active = brain * (0.12 + 0.3 * cortex * (0.6 + 0.4 * np.sin(3 * angle))) * (1 - 0.8 * ventricles) + 0.55 * lesion
    active = np.clip(ndimage.gaussian_filter(active, 6), 0, 1)
    pet = np.stack([np.clip(3 * active - shift, 0, 1) for shift in (0.0, 1.0, 2.0)], axis=-1)
    return {"head_mri": mri, "head_pet": pet}


def step(distance: np.ndarray) -> np.ndarray:
    """1 where a distance is above 0 and 0 where it is below, with a soft edge."""
    return 1 / (1 + np.exp(-np.clip(distance / 0.01, -50, 50)))


def main() -> None:
    """Writes the nine files."""
    for name, image in {**focus_pair(), **exposure_stack(), **night_pair(), **head_pair()}.items():
        Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)).save(
            FOLDER / f"{name}.png", optimize=True
        )


if __name__ == "__main__":
    main()
