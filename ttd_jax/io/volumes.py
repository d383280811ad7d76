"""Volumes: slices with a place in the patient, brought onto one grid, and pictures of them.

Places are millimetres to the left, back and head of the patient (LPS, as in DICOM).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64

from ttd_jax.errors import InputError
from ttd_jax.io.extras import load

_LEAST_SHARED = 0.02  # of the grid

COLORMAPS: Mapping[str, tuple[tuple[float, float, float], ...]] = {
    "hot": ((0, 0, 0), (0.9, 0, 0), (1, 0.85, 0), (1, 1, 1)),
    "cool": ((0, 0, 0), (0, 0.2, 0.8), (0, 0.9, 1), (1, 1, 1)),
    "rainbow": ((0, 0, 0), (0.4, 0, 0.8), (0, 0.4, 1), (0, 0.8, 0.2), (1, 0.9, 0), (1, 0, 0)),
}
"""Colours from black, for values from the least to the largest, evenly apart."""


@dataclass(frozen=True)
class Volume:
    """Slices on a grid.

    Attributes:
        values: (S, H, W), in the unit of the file.
        grid: The place of voxel (column, row, slice, 1).
        window: The values that the file wants shown as black and white; None if it says nothing.
        header: What a DICOM series says besides, of its first slice; None of others.
        remarks: Sentences on what was done.
    """

    values: Float32[np.ndarray, "S H W"]
    grid: Float64[np.ndarray, "4 4"]
    window: tuple[float, float] | None = None
    header: Any = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres from slice to slice, row to row, column to column."""
        column, row, across = (float(np.linalg.norm(self.grid[:3, axis])) for axis in range(3))
        return across, row, column


def checked(volume: Volume, path: Path) -> Volume:
    """The volume, if it has voxels that are numbers, at places of their own.

    Raises:
        InputError: It has none, one is not finite, or two of them would lie at one place.
    """
    if not volume.values.size:
        raise InputError(f"{path} holds no voxels: expected one grey volume of three dimensions")
    if not np.isfinite(volume.values).all():
        raise InputError(f"{path} has voxels that are not finite: fill them first")
    if not np.isfinite(volume.grid).all() or min(volume.spacing) <= 0 or np.linalg.matrix_rank(volume.grid) < 4:
        raise InputError(f"{path} does not say where its voxels are: its directions or distances are damaged")
    return volume


def onto_grid(volume: Volume, target: Volume, name: str) -> Float32[np.ndarray, "S H W"]:
    """A volume's values at the voxels of another one, by linear interpolation; its least value where it has none.

    Raises:
        InputError: The two hardly overlap.

    Example:
        >>> one = Volume(np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.eye(4))
        >>> float(onto_grid(one, Volume(one.values, np.diag([0.5, 1, 1, 1])), "pet")[0, 0, 1])
        0.5
    """
    if volume.values.shape == target.values.shape and np.allclose(volume.grid, target.grid, atol=1e-4):
        return volume.values
    there = np.linalg.inv(volume.grid) @ target.grid  # (column, row, slice) of the target to those of the volume
    ndimage = load("scipy.ndimage", "medical", "resampling volumes")
    swapped = there[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
    least = float(volume.values.min())
    inside = ndimage.affine_transform(
        np.ones(volume.values.shape, np.uint8), swapped, output_shape=target.values.shape, order=0, cval=0
    )
    if inside.mean() < _LEAST_SHARED:
        raise InputError(
            f"{name} covers {inside.mean():.1%} of the reference's volume: check that both are of one patient and one "
            "frame of reference"
        )
    return ndimage.affine_transform(
        volume.values, swapped, output_shape=target.values.shape, order=1, cval=least, mode="grid-constant"
    ).astype(np.float32)


def apply_colormap(gray: Float[np.ndarray, "*S"], name: str) -> Float32[np.ndarray, "*S 3"]:
    """Colours (..., 3) of values in [0, 1].

    Raises:
        InputError: There is no such map.

    Example:
        >>> apply_colormap(np.array([0.0, 1.0]), "hot").tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    if name not in COLORMAPS:
        raise InputError(f"colour maps are {', '.join(COLORMAPS)}; got {name}")
    colors = np.array(COLORMAPS[name])
    places = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(gray, places, channel) for channel in colors.T], axis=-1).astype(np.float32)


def overview(voxels: Float[np.ndarray, "S H W *C"], spacing: tuple[float, float, float]) -> Float[np.ndarray, "..."]:
    """The three middle planes side by side, their sides in true proportion, head up."""
    middle = [size // 2 for size in voxels.shape[:3]]
    planes = [
        (voxels[middle[0]], spacing[1], spacing[2]),
        (voxels[::-1, middle[1]], spacing[0], spacing[2]),
        (voxels[::-1, :, middle[2]], spacing[0], spacing[1]),
    ]
    ndimage, finest = load("scipy.ndimage", "medical", "resampling volumes"), min(spacing)
    shown = []
    for plane, down, right in planes:
        zoom = (down / finest, right / finest, *(1,) * (plane.ndim - 2))
        shown.append(np.clip(ndimage.zoom(plane, zoom, order=1), 0, 1))
    height = max(plane.shape[0] for plane in shown)
    padded = [np.pad(p, [(0, height - p.shape[0]), (0, 0)] + [(0, 0)] * (p.ndim - 2)) for p in shown]
    return np.concatenate(padded, axis=1)
