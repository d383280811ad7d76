"""``fuse``: arrays or files in, a :class:`~ttd_jax.result.FusionResult` out; ``Fuser`` is the same for many sets."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.protocol import Weighting
from ttd_jax.engine.programs import MOST_PROGRAMS, Function
from ttd_jax.engine.recent import Recent
from ttd_jax.errors import InputError
from ttd_jax.fuser import Fuser, bundled_backbone
from ttd_jax.inputs import Source
from ttd_jax.ops.ranges import Range
from ttd_jax.options import Align, Color, Frame, Precision, WeightingName
from ttd_jax.result import FusionResult

__all__ = ["Fuser", "fuse"]

_of_fuse: Recent[Function] = Recent(MOST_PROGRAMS)  # the fusers of ``fuse`` live for one call, their programs longer


def fuse(
    sources: Mapping[str, Source] | Sequence[Source] | np.ndarray,
    *misplaced: Any,
    backbone: Backbone | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    weighting: WeightingName | Weighting = "loss",
    recipe: str | None = None,
    color: Color = "auto",
    dtype: Any = None,
    precision: Precision = "float32",
    range: Range | Mapping[str, Range] | None = None,
    keep_range: bool = False,
    align: Align | None = None,
    align_frame: Frame = "crop",
    explain: bool = False,
) -> FusionResult:
    """Fuses registered images of one scene into one.

    Args:
        sources: Two or more images of one size: arrays (H, W), (H, W, 1), (H, W, 3) or with alpha, which is
            dropped, of uint8, uint16, bool or float in [0, 1]; or paths. A mapping names their roles, such as
            ``visible`` and ``infrared``. The reference, whose metadata is kept, is ``visible`` or ``mri`` if there
            is one, else the first.
        *misplaced: Nothing; sources that are not in a list end here, and are refused.
        backbone: Name of a network, or what ``load_backbone`` returned; None for the checkpoint's own, and without
            a checkpoint the one in the package.
        checkpoint: Checkpoint folder.
        weighting: ``"loss"``, test-time weights by the recipe (a few backbones have none and fuse by their own rule,
            which the report says); ``"gradient"``, weights by the gradients of a loss; ``"static"``, the network's own
            rule; or a ``LossWeighting``, ``GradientWeighting`` or ``StaticWeighting``, whose open options come from
            the recipe, or a ``Weighting`` of your own (docs/your_own_weighting.md).
        recipe: Name of one of the backbone's recipes; None for its default.
        color: ``"auto"``: grey if no source has colour, ``"rgb"`` if all have and the network takes three channels,
            else ``"luma"``, which fuses luma and merges the chroma of the colour sources by the same weights.
            ``"gray"`` drops colour. What is asked for holds wherever a source has three channels, equal ones or not.
        dtype: Pixel type of the returned image; None for the deepest among the sources, float32 for radiance.
        precision: ``"bfloat16"`` rounds what the network multiplies to 8 significant bits, for devices that multiply
            such numbers faster; sums, losses, weights and colour stay in float32.
        range: The values that become 0 and 1, ``(low, high)`` of all sources or a mapping from role to one, where they
            are not the pixel type's: ``range={"mri": (0, 4095)}`` for 12 bits in 16, or of signed numbers.
        keep_range: Return the image in the range that was told of the reference, not in that of the pixel type.
        align: Registers the sources on the reference first, by one of ``Align`` (``"auto"`` turns, scales and shifts),
            with the extra ``align``; None remarks on those that seem to lie beside it (docs/alignment.md).
        align_frame: ``"crop"`` to what aligned sources have in common, or ``"keep"`` the reference's frame.
        explain: Also fuse by the static rule (``result.static``), and put the covariances of weights and losses and
            the terms of the paper's bound for both into ``report["theory"]`` (docs/theory.md).

    Returns:
        The fused image with its weights, losses, components and a report.

    Raises:
        InputError: Sources or options that cannot be used; a ValueError that says what to do.
        CheckpointError: A checkpoint that cannot be used; a ValueError too.

    Example:
        >>> import numpy as np
        >>> near, far = np.random.default_rng(0).random((2, 32, 32))
        >>> fuse([near, far]).image.shape
        (32, 32)
    """
    if misplaced:
        raise InputError("the sources are one list or mapping: fuse([first, second]), fuse({'visible': first, ...})")
    if backbone is None or isinstance(backbone, str):
        backbone = bundled_backbone(backbone) if checkpoint is None else load_backbone(backbone, checkpoint)
    elif checkpoint is not None:
        raise InputError("a loaded backbone has its checkpoint already: pass one of backbone and checkpoint")
    fuser = Fuser(
        backbone,
        weighting=weighting,
        recipe=recipe,
        color=color,
        dtype=dtype,
        precision=precision,
        range=range,
        keep_range=keep_range,
        align=align,
        align_frame=align_frame,
    )
    fuser._programs.outlive = _of_fuse
    return fuser(sources, explain=explain)
