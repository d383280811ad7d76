"""``fuse`` and ``Fuser``: arrays or files in, a :class:`~ttd_jax.result.FusionResult` out."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np

import ttd_jax
from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.precision import with_precision
from ttd_jax.core.weighting import GradientWeighting, LossWeighting, StaticWeighting
from ttd_jax.engine.explanation import theory_report
from ttd_jax.engine.pipeline import COLOR_RULES, RAW_RULE, choose_color_rule, fuse_pixels
from ttd_jax.engine.programs import Programs, to_numpy
from ttd_jax.engine.stacks import remarks_on, reorder, restore_shape, settle_rule, source_order, stack_images
from ttd_jax.engine.stream import overlap
from ttd_jax.engine.weightings import check_channel, check_gradients, describe_weighting, settle_weighting
from ttd_jax.errors import InputError
from ttd_jax.inputs import Source, Sources, check_sources
from ttd_jax.ops.pixels import from_float, image_dtype
from ttd_jax.ops.ranges import Range
from ttd_jax.result import FusionResult

bundled_backbone = cache(load_backbone)


def fuse(
    sources: Mapping[str, Source] | Sequence[Source] | np.ndarray,
    *misplaced: Any,
    backbone: Backbone | str | None = None,
    checkpoint: str | os.PathLike | None = None,
    weighting: str | LossWeighting | GradientWeighting | StaticWeighting = "loss",
    recipe: str | None = None,
    color: str = "auto",
    dtype: Any = None,
    precision: str = "float32",
    range: Range | Mapping[str, Range] | None = None,
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
            rule; or a ``LossWeighting``, ``GradientWeighting`` or ``StaticWeighting``, whose missing options come from
            the recipe.
        recipe: Name of one of the backbone's recipes; None for its default.
        color: ``"auto"``: grey if no source has colour, ``"rgb"`` if all have and the network takes three channels,
            else ``"luma"``, which fuses luma and merges the chroma of the colour sources by the same weights.
            ``"gray"`` drops colour.
        dtype: Pixel type of the returned image; None for the deepest among the sources, float32 for radiance.
        precision: ``"bfloat16"`` rounds what the network multiplies to 8 significant bits, for devices that multiply
            such numbers faster; sums, losses, weights and colour stay in float32.
        range: The values that become 0 and 1, ``(low, high)`` of all sources or a mapping from role to one, where they
            are not the pixel type's: ``range={"mri": (0, 4095)}`` for 12 bits in 16, or of signed numbers.
        explain: Also fuse by the static rule, and put the covariances of weights and losses and the terms of the
            paper's bound for both into ``report["theory"]`` (docs/theory.md).

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
        backbone, weighting=weighting, recipe=recipe, color=color, dtype=dtype, precision=precision, range=range
    )
    return fuser(sources, explain=explain)


class Fuser:
    """``fuse`` with everything but the sources settled, for many images of one kind.

    Args:
        backbone: What ``load_backbone`` returned, or the name of a network whose checkpoint is in the package; None
            for the package's default.
        weighting: As for ``fuse``.
        recipe: As for ``fuse``.
        color: As for ``fuse``.
        dtype: As for ``fuse``.
        precision: As for ``fuse``.
        range: As for ``fuse``.
        tile: Fuse larger images in windows of this many pixels a side, with the same result: one compilation then
            serves images of many sizes. For backbones that look a known distance.

    Raises:
        InputError: An option is unknown, or does not suit the backbone.

    Example:
        >>> import numpy as np
        >>> fuser = Fuser().compile((2, 32, 32))
        >>> fuser(list(np.random.default_rng(0).random((2, 32, 32)))).weights.shape
        (2, 32, 32)
    """

    def __init__(
        self,
        backbone: Backbone | str | None = None,
        *,
        weighting: str | LossWeighting | GradientWeighting | StaticWeighting = "loss",
        recipe: str | None = None,
        color: str = "auto",
        dtype: Any = None,
        precision: str = "float32",
        range: Range | Mapping[str, Range] | None = None,
        tile: int | None = None,
    ):
        self.backbone = bundled_backbone(backbone) if backbone is None or isinstance(backbone, str) else backbone
        choose_color_rule(color, (True,), self.backbone.channels)
        self.color = color
        self.dtype = self.backbone.result_dtype if dtype is None else image_dtype(dtype)
        self._model, self._weighting = settle_weighting(self.backbone, weighting, recipe)
        self.precision = precision
        self._range = range
        network = with_precision(self._model, precision)
        self._programs = Programs(network, self.backbone.variables, self._weighting, self.backbone.name, tile)

    def __call__(
        self, sources: Mapping[str, Source] | Sequence[Source] | np.ndarray | Sources, *, explain: bool = False
    ) -> FusionResult:
        """Fuses one set of sources; see ``fuse``. What ``check_sources`` returned is taken too."""
        if explain and self._weighting is None:
            raise InputError("static fusion has no losses to explain: use weighting='loss' and a network with recipes")
        return self._finish(self._launch(self._read(sources)), explain)

    def stream(
        self, items: Iterable[Any], *, ahead: int = 2, errors: str = "raise"
    ) -> Iterator[FusionResult | Exception]:
        """Fuses one set after another, and reads the next ones and computes while the caller handles a result.

        Files are read and decoded in a thread of their own. Memory is bounded: at most ``ahead`` sets that have been
        read, and two that have been started, are held. Leaving the loop early ends the thread; it waits for the item
        that is being read.

        Args:
            items: Sets of sources, each as for a single call; an iterator, too, is pulled in the reading thread.
            ahead: Sets to read in advance, at least 1.
            errors: What happens to a set that cannot be fused (``InputError``, ``OSError``): ``"raise"`` raises in its
                place, with its number; ``"yield"`` yields the error in its place and goes on. An error of the iterator
                itself is raised after the results before it.

        Returns:
            An iterator over results, in the order of ``items``.

        Raises:
            InputError: An option is unknown; or, in the loop, a set cannot be fused.

        Example:
            >>> import numpy as np
            >>> frames = (np.random.default_rng(n).random((2, 16, 16)) for n in range(3))
            >>> [result.image.shape for result in Fuser().stream(list(frame) for frame in frames)]
            [(16, 16), (16, 16), (16, 16)]
        """
        if ahead < 1 or errors not in ("raise", "yield"):
            raise InputError(f"ahead is 1 or more and errors 'raise' or 'yield'; got {ahead!r} and {errors!r}")
        return overlap(items, self._read, self._launch, self._finish, ahead, errors == "yield")

    def _read(self, sources: Any) -> "_Job":
        started = time.perf_counter()
        checked = sources if isinstance(sources, Sources) else check_sources(sources, range=self._range)
        order = source_order(self.backbone, checked)
        stack = stack_images([checked.images[i] for i in order], self.backbone)
        colored = tuple(checked.colored[i] for i in order)
        rule = settle_rule(self.backbone, self.color, colored)
        return _Job(checked, order, stack, colored, rule, time.perf_counter() - started)

    def _launch(self, job: "_Job") -> "_Job":
        self._check_channel(job.stack.shape, job.rule)
        job.launched = time.perf_counter()
        job.fused = self._programs.launch(job.stack, job.rule, job.colored)
        return job

    def _finish(self, job: "_Job", explain: bool = False) -> FusionResult:
        checked, order = job.checked, job.order
        fused = to_numpy(job.fused)
        check_gradients(self._weighting, fused["losses"])
        seconds = {"read": job.read, "fuse": time.perf_counter() - job.launched}
        image = fused["image"]
        if job.rule == "gray":
            image = restore_shape(image, checked.shape, self.color)
        report = self._report(checked.roles, image, checked.dtype, job.rule, seconds, fused["channel"])
        report["reference"] = checked.roles[checked.reference]
        report["remarks"] = [*checked.remarks, *remarks_on(self.backbone, self._model, len(order))]
        back = np.argsort(order)
        arrays = {name: reorder(fused[name], back) for name in ("weights", "losses", "components")}
        if explain:
            backbone, colored = self.backbone, np.array(job.colored)
            static = fuse_pixels(backbone.model, backbone.variables, None, job.stack, colored, rule=job.rule)
            report["theory"] = theory_report(checked.roles, job.stack[back], job.rule, fused["image"], arrays, static)
        image = from_float(image, self.dtype or checked.dtype)
        return FusionResult(image, **arrays, report=report, metadata=checked.metadata)

    def batch(self, stack: np.ndarray) -> FusionResult:
        """Fuses N sets of sources of one size, given as one array.

        Where jax has several devices, each takes a share of the sets.

        Args:
            stack: (N, M, H, W), (N, M, H, W, 1) or (N, M, H, W, 3), the reference first in each set, or in the order
                of the backbone's roles. One colour rule holds for all sets.

        Returns:
            A result whose arrays have a leading axis N.

        Raises:
            InputError: The array has another shape, or pixels that ``fuse`` would refuse.
        """
        stack = np.asarray(stack)
        if stack.ndim not in (4, 5) or (stack.ndim == 5 and stack.shape[-1] not in (1, 3, 6)) or not stack.size:
            raise InputError(f"a batch is (N, M, H, W), (N, M, H, W, 1) or (N, M, H, W, 3); got {stack.shape}")
        started = time.perf_counter()
        shape = stack.shape[2:]
        sets = [check_sources(list(one)) for one in stack]
        source_order(self.backbone, sets[0], named=False)
        colored = tuple(any(one.colored[m] for one in sets) for m in range(stack.shape[1]))
        rule = settle_rule(self.backbone, self.color, colored)
        stacks = np.stack([stack_images(one.images, self.backbone) for one in sets])
        read = time.perf_counter()
        self._check_channel(stacks.shape[1:], rule)
        fused = to_numpy(self._programs.launch_batch(stacks, rule, colored))
        check_gradients(self._weighting, fused["losses"])
        seconds = {"read": read - started, "fuse": time.perf_counter() - read}
        image = fused["image"]
        if rule == "gray":
            image = np.stack([restore_shape(one, shape, self.color) for one in image])
        report = self._report(sets[0].roles, image, sets[0].dtype, rule, seconds, fused["channel"])
        remarks = sorted({remark for one in sets for remark in one.remarks})
        report["remarks"] = [*remarks, *remarks_on(self.backbone, self._model, stack.shape[1])]
        return FusionResult(
            from_float(image, self.dtype or sets[0].dtype),
            weights=fused["weights"],
            losses=fused["losses"],
            components=fused["components"],
            report=report,
        )

    def compile(self, shape: Sequence[int]) -> "Fuser":
        """Compiles ahead of time for sets of one shape.

        Args:
            shape: (M, H, W) for grey sources, (M, H, W, 3) for colour.

        Returns:
            The fuser itself; sources of this shape then compile nothing.

        Raises:
            InputError: It is no such shape.
        """
        shape = tuple(int(n) for n in shape)
        if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,), (6,)) or min(shape) < 1 or shape[0] < 2:
            raise InputError(f"a shape to compile for is (M, H, W) or (M, H, W, 3) with M of 2 or more; got {shape}")
        colored = (shape[3:] == (3,),) * shape[0]
        rule = settle_rule(self.backbone, self.color, colored)
        self._programs.compile((*shape[:3], shape[3] if len(shape) == 4 else 1), rule)
        return self

    def _check_channel(self, shape: tuple[int, ...], rule: str) -> None:
        seen = shape if rule in ("rgb", RAW_RULE) else (*shape[:3], 1)  # other rules give the network luma
        check_channel(self._model, self.backbone.variables, self._weighting, seen)

    def _report(self, roles, image, dtype, rule: str, seconds: dict[str, float], channel) -> dict[str, Any]:
        return {
            "sources": list(roles),
            "shape": list(image.shape),
            "dtype": str(np.dtype(self.dtype or dtype)),
            **self._facts(rule, channel),
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "device": jax.devices()[0].device_kind,
        }

    def _facts(self, rule: str, channel: Any = None) -> dict[str, Any]:
        """What is known without sources."""
        manifest = self.backbone.manifest
        return {
            "color": rule,
            "color_rule": COLOR_RULES.get(rule, "sources and result as the network has them"),
            "backbone": self.backbone.name,
            "preset": manifest.get("preset"),
            "checkpoint": manifest.get("sha256"),
            "weighting": describe_weighting(self._weighting, channel),
            "precision": self.precision,
            "versions": {"ttd_jax": ttd_jax.__version__, "jax": jax.__version__},
        }


@dataclass
class _Job:
    """One set of sources on its way: read, then launched."""

    checked: Sources
    order: list[int]
    stack: np.ndarray
    colored: tuple[bool, ...]
    rule: str
    read: float  # seconds
    launched: float = 0.0
    fused: Any = None  # Fused, once launched
