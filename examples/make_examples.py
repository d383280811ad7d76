"""Makes the example images from photographs that come with scikit-image, both CC0.

Run ``python examples/make_examples.py`` (needs the ``test`` extra). It writes, beside itself:

- ``focus_near.png``, ``focus_far.png``: a cup of coffee on a table, focused on the near and on the far edge.
  Photograph: Rachel Michetti, CC0 (``skimage.data.coffee``).
- ``exposure_under.png``, ``exposure_normal.png``, ``exposure_over.png``: a cat beside a window, at exposures two stops
  apart. Photograph: Stéfan van der Walt, CC0 (``skimage.data.chelsea``).
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data, transform

FOLDER = Path(__file__).parent
GAMMA = 2.2


def focus_pair() -> dict[str, np.ndarray]:
    """The table is a plane that recedes from the lower edge of the picture to the upper one."""
    photo = transform.resize(data.coffee() / 255, (320, 480, 3), anti_aliasing=True)
    distance = np.broadcast_to(np.linspace(1, 0, 320)[:, np.newaxis], (320, 480))
    return {"focus_near": defocus(photo, distance, 0.25), "focus_far": defocus(photo, distance, 0.75)}


def defocus(photo: np.ndarray, distance: np.ndarray, focus: float, strength: float = 12) -> np.ndarray:
    """Each pixel blurred, in linear light, by a disc that grows with its distance from the plane in focus."""
    radius = np.clip(strength * (np.abs(distance - focus) - 0.22), 0, 6)
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


def main() -> None:
    """Writes the five files."""
    for name, image in {**focus_pair(), **exposure_stack()}.items():
        Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)).save(
            FOLDER / f"{name}.png", optimize=True
        )


if __name__ == "__main__":
    main()
