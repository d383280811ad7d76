"""Volumes registered by SimpleITK: the turn and shift of a source by which it shares most information with another.

Mutual information (Mattes and others, 2003) asks only that equal values in one are equal values in the other, so that
an MRI and a PET can be compared. Places are millimetres, as in ``ttd_jax.io.volumes``.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from ttd_jax.errors import InputError

Voxels = Float32[np.ndarray, "S H W"]
Others = Float32[np.ndarray, "T K L"]
Grid = Float64[np.ndarray, "4 4"]

_BINS = 32
_SAMPLES = 20_000  # voxels by which two are compared
_LEVELS = ((4, 3.0), (2, 1.5), (1, 0.0))  # shrunk by, smoothed by, of the finest spacing
_BOARD = 4  # blocks to a side of the chessboard by which an estimate is checked
_MOST_APART = 3.0  # millimetres
_NO_GRADIENT = 1e-8  # where to stop: turns have small gradients, and the usual 1e-4 leaves them millimetres off
_MOST_TURNED = 45.0  # degrees


class Rigid(NamedTuple):
    """How a volume lies.

    Attributes:
        transform: Takes a place (x, y, z, 1) of the reference to the same place in the source's coordinates.
        moved: Millimetres, the mean over the reference.
        turned: Degrees.
        apart: Millimetres by which two halves of the voxels disagree, the mean over the reference.
    """

    transform: Grid
    moved: float
    turned: float
    apart: float


def register_volume(reference: Voxels, reference_grid: Grid, source: Others, source_grid: Grid) -> Rigid:
    """The rigid transform from places of a reference to those of a source.

    It is sought from where the two lie by their geometry, and from where their centres of mass meet.

    Args:
        reference: Values on a grid.
        reference_grid: The place of voxel (column, row, slice, 1).
        source: Values on another one.
        source_grid: Its places.

    Raises:
        InputError: SimpleITK is missing, a volume is flat, has fewer than four slices or a skewed grid, or two halves
            of the voxels do not agree.
    """
    itk = load_simpleitk()
    for values in (reference, source):
        if np.ptp(values) == 0 or min(values.shape) < 4:
            raise InputError("a volume that is flat, or has fewer than four slices, cannot be aligned")
    fixed = _image(itk, reference - reference.min(), reference_grid)  # a centre of mass needs masses
    moving = _image(itk, source - source.min(), source_grid)
    starts = [itk.Euler3DTransform()]
    starts[0].SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()]))
    by_mass = itk.CenteredTransformInitializer(fixed, moving, itk.Euler3DTransform(), 1)  # moments
    starts.append(itk.Euler3DTransform(by_mass))
    tried = [_refine(itk, fixed, moving, start, _LEVELS) for start in starts]
    _, found = max(tried, key=lambda one: one[0])
    halves = [
        _matrix(_refine(itk, fixed, moving, itk.Euler3DTransform(found), _LEVELS[1:], _board(reference.shape, half))[1])
        for half in (0, 1)
    ]
    transform, corners = _matrix(found), _corners(reference.shape, reference_grid)
    apart = _distance(halves[0], halves[1], corners)
    turned = np.degrees(np.arccos(np.clip((np.trace(transform[:3, :3]) - 1) / 2, -1, 1)))
    if apart > _MOST_APART or turned > _MOST_TURNED:
        raise InputError(
            f"two halves of the voxels disagree by {apart:.1f} mm about where it lies"
            if apart > _MOST_APART
            else f"the best fit found turns it by {turned:.0f} degrees"
        )
    return Rigid(transform, _distance(transform, np.eye(4), corners), float(turned), apart)


def load_simpleitk() -> Any:
    """SimpleITK.

    Raises:
        InputError: It is not installed.
    """
    try:
        import SimpleITK
    except ImportError:
        raise InputError("aligning volumes needs SimpleITK: pip install 'ttd-jax[register]'") from None
    return SimpleITK


def _image(itk: Any, values: Voxels, grid: Grid) -> Any:
    image = itk.GetImageFromArray(np.ascontiguousarray(values))
    spacing = np.linalg.norm(grid[:3, :3], axis=0)
    directions = grid[:3, :3] / spacing
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-3):
        raise InputError("the axes of a volume are not at right angles: resample it first")
    turn, _, back = np.linalg.svd(directions)  # exactly orthogonal
    image.SetSpacing(spacing.tolist())
    image.SetDirection((turn @ back).ravel().tolist())
    image.SetOrigin(grid[:3, 3].tolist())
    return image


def _refine(
    itk: Any, fixed: Any, moving: Any, start: Any, levels: Any, mask: UInt8[np.ndarray, "S H W"] | None = None
) -> tuple[float, Any]:
    """The information reached from a start, and where; -1 and the start where the two do not meet."""
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = _SAMPLES / np.prod(fixed.GetSize())
    method.SetMetricSamplingPercentagePerLevel([min(share * shrink**3, 1.0) for shrink, _ in levels], 1)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 0.001, 300, 0.85, _NO_GRADIENT)
    method.SetOptimizerScalesFromPhysicalShift()
    finest = min(fixed.GetSpacing())
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma * finest for _, sigma in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    if mask is not None:
        board = itk.GetImageFromArray(mask)
        board.CopyInformation(fixed)
        method.SetMetricFixedMask(board)
    method.SetInitialTransform(start, True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return -1.0, start
    return -method.GetMetricValue(), start


def _matrix(found: Any) -> Grid:
    linear, center = np.array(found.GetMatrix()).reshape(3, 3), np.array(found.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, np.array(found.GetTranslation()) + center - linear @ center
    return matrix


def _board(shape: tuple[int, ...], half: int) -> UInt8[np.ndarray, "S H W"]:
    blocks = np.indices(shape) * _BOARD // np.array(shape).reshape(3, 1, 1, 1)
    return (blocks.sum(axis=0) % 2 == half).astype(np.uint8)


def _corners(shape: tuple[int, ...], grid: Grid) -> Float64[np.ndarray, "4 N"]:
    """Places of the corners of the middle half of a volume, where the patient is."""
    sides = [[0.25 * (n - 1), 0.75 * (n - 1)] for n in shape[::-1]]
    points = np.array(np.meshgrid(*sides)).reshape(3, -1)
    return grid @ np.vstack([points, np.ones(points.shape[1])])


def _distance(first: Grid, second: Grid, points: Float64[np.ndarray, "4 N"]) -> float:
    return float(np.linalg.norm(((first - second) @ points)[:3], axis=0).mean())
