"""What :func:`ttd_jax.fuse` returns."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.io.images import write_image
from ttd_jax.io.metadata import Metadata
from ttd_jax.io.storage import Place


@dataclass(frozen=True)
class FusionResult:
    """A fused image and how it came about; ``np.asarray(result)`` is the image.

    Arrays of a batch have one more leading axis, N.

    Attributes:
        image: (H, W) or (H, W, 3), in the dtype of the sources unless another was asked for.
        weights: (M, H, W) float32, the fusion weights, in the order of the sources; they sum to 1. None for static
            fusion by a maximum, which has none.
        losses: (M, H, W) float32, the reconstruction losses, or for gradient weighting the size of the gradient in the
            channels used, whose mean over all sources and pixels is 1; None for static fusion.
        components: (M, H, W) or (M, H, W, 3) float32, the uni-source components, not clipped; None for static
            fusion.
        report: Plain data: sources, shapes, colour rule, backbone and checkpoint, weighting, seconds, versions and
            remarks; it can be written as JSON.
        metadata: EXIF and ICC profile that ``save`` keeps.
        static: The image that the network's own rule makes of the sources, where an explanation was asked for.
        bands: What was merged by, in the form that the weighting gave it, if that was not one map a source.

    Example:
        >>> from ttd_jax import fuse
        >>> result = fuse([np.zeros((8, 10)), np.ones((8, 10))], backbone="pyramid")
        >>> result.image.shape, result.weights.shape, result.report["backbone"]
        ((8, 10), (2, 8, 10), 'pyramid')
    """

    image: np.ndarray
    weights: np.ndarray | None
    losses: np.ndarray | None
    components: np.ndarray | None
    report: Mapping[str, Any]
    metadata: Metadata = field(default_factory=Metadata, repr=False)
    static: np.ndarray | None = field(default=None, repr=False)
    bands: Any = field(default=None, repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.image, dtype=dtype, copy=copy)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int | None = None) -> None:
        """Writes the image; the file name's ending is its format.

        Args:
            path: PNG and TIFF keep 16 bits, TIFF floats; other formats hold 8 bits.
            overwrite: Replace an existing file.
            quality: 1 to 100, of JPEG and WebP; None for 95 and lossless.

        Raises:
            InputError: The file exists, or cannot be written there.
        """
        write_image(path, self.image, metadata=self.metadata, overwrite=overwrite, quality=quality)


def write_files(
    result: FusionResult,
    plain: FusionResult | None,
    outputs: Sequence[Place | None],
    *,
    overwrite: bool,
    quality: int | None = None,
) -> dict[str, Any]:
    """Writes the files of one set, the image last; returns the report with the image's name.

    Args:
        result: The fusion.
        plain: The static fusion, if that is wanted.
        outputs: Files of the image, the weights and the static image; None for those that are not wanted.
        overwrite: Replace existing files.
        quality: Of JPEG and WebP.

    Raises:
        InputError: Something cannot be written, or there are no weights.
    """
    output, weights_output, static_output = outputs
    assert output is not None
    if weights_output:
        if result.weights is None:
            raise InputError("a maximum has no weights to save: leave --save-weights out, or use --weighting loss")
        maps = np.rint(np.concatenate(list(result.weights), axis=1) * 65535).astype(np.uint16)
        write_image(weights_output, maps, overwrite=overwrite)
    if static_output and plain is not None:
        plain.save(static_output, overwrite=overwrite, quality=quality)
    result.save(output, overwrite=overwrite, quality=quality)
    return {"output": str(output), **result.report}
