"""An MRI and a PET of a made head, on different grids, that lie beside each other in a way that is known."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation


class MadeVolumes(NamedTuple):
    """Values and grids of both, and the transform from places of the first to those of the second."""

    mri: np.ndarray
    mri_grid: np.ndarray
    pet: np.ndarray
    pet_grid: np.ndarray
    truth: np.ndarray


def tissues(places: np.ndarray, seed: int) -> np.ndarray:
    """Tissue of places (..., 3) in millimetres: 0 air, 1 skin, 2 skull, 3 grey, 4 white, 5 fluid, 6 a lesion."""
    rng = np.random.default_rng(seed)
    x, y, z = np.moveaxis(places, -1, 0)
    wave = np.sin(x / 6 + rng.uniform(0, 6)) + np.sin(y / 5 + rng.uniform(0, 6)) + np.cos(z / 6 + rng.uniform(0, 6))
    outer = np.sqrt((x / 75) ** 2 + (y / 95) ** 2 + ((z + 0.1 * y) / 80) ** 2)
    found = np.zeros(x.shape, np.uint8)
    found[(x / 45) ** 2 + ((y - 15) / 50) ** 2 + ((z + 75) / 40) ** 2 < 1] = 1  # neck
    found[(x / 25) ** 2 + ((y + 80) / 28) ** 2 + ((z + 35) / 35) ** 2 < 1] = 1  # face
    for tissue, limit in ((1, 1.0), (2, 0.94), (5, 0.88), (3, 0.85)):
        found[outer < limit] = tissue
    found[outer < 0.68 + 0.05 * wave] = 4
    found[(x / 40) ** 2 + ((y - 50) / 25) ** 2 + ((z + 40) / 20) ** 2 < 1] = 3  # cerebellum
    found[(x - 35) ** 2 / 400 + (y + 40) ** 2 / 225 + (z - 25) ** 2 / 225 < 1] = 5  # an old scar, on one side
    found[((abs(x) - 12) / 8) ** 2 + ((y + 5) / 30) ** 2 + ((z - 8) / 12) ** 2 < 1] = 5
    nuclei = ((abs(x) - 26) / 9) ** 2 + ((y - 4) / 16) ** 2 + (z / 12) ** 2 < 1
    found[nuclei] = 3
    spot = rng.uniform(-30, 30, 3)
    found[np.linalg.norm(places - spot, axis=-1) < 8] = 6
    return found


def places_of(shape: tuple[int, int, int], grid: np.ndarray) -> np.ndarray:
    """(S, H, W, 3): where the voxels of a grid lie."""
    s, r, c = np.indices(shape)
    return np.stack([c, r, s, np.ones(shape)], -1) @ grid.T[:, :3]


def centred(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    grid = np.diag([*spacing, 1.0])
    grid[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape[::-1], spacing, strict=True)]
    return grid


def made_volumes(seed: int, *, turn: float = 8.0, shift: float = 15.0, coarse: float = 1.0) -> MadeVolumes:
    """A pair, turned by up to ``turn`` degrees about each axis and shifted by up to ``shift`` millimetres along it.

    Args:
        seed: Of everything.
        turn: Degrees.
        shift: Millimetres.
        coarse: How many times larger than usual voxels are.
    """
    rng = np.random.default_rng(seed)
    mri_shape = tuple(round(n / coarse) for n in (60, 110, 96))
    pet_shape = tuple(round(n / coarse) for n in (56, 64, 64))
    mri_grid = centred(mri_shape, (2 * coarse, 2 * coarse, 3 * coarse))
    pet_grid = centred(pet_shape, (3.4 * coarse, 3.4 * coarse, 3.3 * coarse))
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_euler("xyz", rng.uniform(-turn, turn, 3), degrees=True).as_matrix()
    truth[:3, 3] = rng.uniform(-shift, shift, 3)
    kinds = tissues(places_of(mri_shape, mri_grid), seed)
    mri = np.array([0, 420, 60, 500, 700, 150, 620], np.float32)[kinds]
    bias = 1 + 0.2 * np.sin(places_of(mri_shape, mri_grid)[..., 1] / 60)
    mri = ndimage.gaussian_filter(mri, 0.4) * bias + 15 * abs(rng.standard_normal(mri_shape))
    there = np.linalg.inv(truth)
    places = places_of(pet_shape, pet_grid) @ there[:3, :3].T + there[:3, 3]
    active = np.array([0, 0.8, 0.4, 8, 2.5, 0.3, 14], np.float32)[tissues(places, seed)]
    pet = ndimage.gaussian_filter(active, 2.5 / 3.4 / coarse)  # 6 mm at half height
    pet = rng.poisson(np.maximum(pet, 0) * 12) / 12
    return MadeVolumes(mri.astype(np.float32), mri_grid, pet.astype(np.float32), pet_grid, truth)


def error(found: np.ndarray, made: MadeVolumes) -> float:
    """Mean distance in millimetres between two transforms, over the head."""
    places = places_of(made.mri.shape, made.mri_grid)[made.mri > 100]
    return float(np.linalg.norm(places @ (found - made.truth)[:3, :3].T + (found - made.truth)[:3, 3], axis=-1).mean())
