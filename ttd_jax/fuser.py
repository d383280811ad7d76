"""``Fuser``: everything but the sources settled once, for many sets of them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
from jax import Array

from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.fusion import Fused
from ttd_jax.core.precision import with_precision
from ttd_jax.core.protocol import Weighting
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.engine.color import RAW_RULE, check_color
from ttd_jax.engine.explanation import check_explainable, theory_report
from ttd_jax.engine.programs import Programs
from ttd_jax.engine.report import known_facts, make_report, remarks_on
from ttd_jax.engine.stack import Restored, Stack, check_shape, settle_rules, stack_batch, stack_sources, stack_types
from ttd_jax.engine.stream import Job, overlap
from ttd_jax.engine.temporal import Steady
from ttd_jax.engine.weighting import settle_weighting
from ttd_jax.errors import InputError
from ttd_jax.inputs import Source, Sources, check_sources
from ttd_jax.ops.pixels import image_dtype
from ttd_jax.ops.ranges import Range
from ttd_jax.options import Align, Color, Frame, OnError, Precision, WeightingName, choices
from ttd_jax.result import FusionResult

bundled_backbone = cache(load_backbone)


class Fuser:
    """``fuse`` with everything but the sources settled, for many images of one kind.

    What is compiled for the 16 shapes that were used last is kept, and freed with the fuser; with ``tile`` images of
    all sizes have one shape.

    Args:
        backbone: What ``load_backbone`` returned, or the name of a network whose checkpoint is in the package; None
            for the package's default.
        weighting: As for ``fuse``.
        recipe: As for ``fuse``.
        color: As for ``fuse``.
        dtype: As for ``fuse``.
        precision: As for ``fuse``.
        range: As for ``fuse``.
        keep_range: As for ``fuse``.
        align: As for ``fuse``.
        align_frame: As for ``fuse``; ``"keep"`` keeps one size, and so one program, for many sets.
        tile: Fuse larger images in windows of this many pixels a side, with the same result: one compilation then
            serves images of many sizes. For backbones that look a known distance.
        image_only: Compute the image alone; weights, losses, components and bands of a result are then None.
        program_folder: Existing folder where compiled programs are kept: a process that finds its own there neither
            traces nor compiles. It holds machine code, so nobody else may be able to write to it.

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
        weighting: WeightingName | Weighting = "loss",
        recipe: str | None = None,
        color: Color = "auto",
        dtype: Any = None,
        precision: Precision = "float32",
        range: Range | Mapping[str, Range] | None = None,
        keep_range: bool = False,
        align: Align | None = None,
        align_frame: Frame = "crop",
        tile: int | None = None,
        image_only: bool = False,
        program_folder: str | os.PathLike[str] | None = None,
    ):
        self.backbone = bundled_backbone(backbone) if backbone is None or isinstance(backbone, str) else backbone
        check_color(color, self.backbone.spec.channels)
        self.color = color
        self.dtype = self.backbone.spec.result_dtype if dtype is None else image_dtype(dtype)
        self._model, self._weighting = settle_weighting(self.backbone, weighting, recipe)
        self.precision, self._keep_range, self._image_only = precision, keep_range, image_only
        self._reading: Any = {"range": range, "align": align, "frame": align_frame}
        network = with_precision(self._model, precision)
        settings: Any = {"name": self.backbone.name, "tile": tile, "image_only": image_only, "folder": program_folder}
        self._programs = Programs(network, self.backbone.variables, self._weighting, **settings)

    def __call__(
        self, sources: Mapping[str, Source] | Sequence[Source] | np.ndarray | Sources, *, explain: bool = False
    ) -> FusionResult:
        """Fuses one set of sources; see ``fuse``. What ``check_sources`` returned is taken too."""
        if explain and self._image_only:
            raise InputError("an explanation is about weights and losses: leave image_only out")
        return self._finish(self._launch(self._read(sources)), explain)

    def stream(
        self,
        items: Iterable[Any],
        *,
        ahead: int = 2,
        errors: OnError = "raise",
        workers: int = 1,
        temporal: float = 0.0,
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
            workers: Threads that read files; as many sets are read in advance.
            temporal: Of a video, the share of frames before where nothing moves, from 0 to below 1 (docs/video.md).

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
        if ahead < 1 or workers < 1 or errors not in choices(OnError):
            raise InputError(
                f"ahead, workers: 1 or more, errors: raise or yield; got {ahead!r}, {workers!r}, {errors!r}"
            )
        finish = partial(self._finish, steady=Steady(temporal) if temporal else None)
        return overlap(items, self._read, self._launch, finish, max(ahead, workers), errors == "yield", workers=workers)

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
        started = time.perf_counter()
        stacked = stack_batch(np.asarray(stack), self.backbone, self.color)
        return self._finish(self._launch(Job(stacked, time.perf_counter() - started)))

    def compile(self, shape: Sequence[int]) -> "Fuser":
        """Compiles ahead of time for sets of one shape; if that is large, for pixels of 8 bits and for all others.

        Args:
            shape: (M, H, W) for grey sources, (M, H, W, 3) for colour.

        Returns:
            The fuser itself; sources of this shape then compile nothing, whether they have colour or only channels.

        Raises:
            InputError: It is no such shape.
        """
        count, height, width, channels = check_shape(shape)
        for wide in (channels == 3, False):  # under "auto" frames without colour may come, too
            _, program = settle_rules(self.backbone, self.color, (wide,) * count, channels=channels)
            for dtype in stack_types((count, height, width, channels)):
                self._programs.compile((count, height, width, channels), program, dtype=dtype)
        return self

    def describe(self, *, channels: int = 1, sources: int = 2) -> dict[str, Any]:
        """What is known of its fusions without sources, as plain data.

        Args:
            channels: Of the sources, 1 or 3.
            sources: How many there are.
        """
        rule, _ = settle_rules(self.backbone, self.color, (channels == 3,) * sources, channels=channels)
        return dict(known_facts(self.backbone, self._weighting, self.precision, rule))

    def body(self, *, channels: int = 1, sources: int = 2) -> Callable[[Array, Array], Fused]:
        """Its fusion as a pure function of a stack (M, H, W, C) and of which sources have colour (M,).

        Args:
            channels: C.
            sources: M.
        """
        _, program = settle_rules(self.backbone, self.color, (channels == 3,) * sources, channels=channels)
        return self._programs.body(program)

    def _read(self, sources: Any) -> Job:
        started = time.perf_counter()
        checked = sources if isinstance(sources, Sources) else check_sources(sources, **self._reading)
        return Job(stack_sources(checked, self.backbone, self.color), time.perf_counter() - started)

    def _launch(self, job: Job) -> Job:
        *_, count, height, width, channels = job.stack.pixels.shape
        seen = channels if job.stack.rule in ("rgb", RAW_RULE) else 1  # other rules give the network luma
        self._weighting.check(self._model, self.backbone.variables, (count, height, width, seen))
        job.launched = time.perf_counter()
        self._programs.prepare(job.stack)
        job.prepared = time.perf_counter() - job.launched
        job.fused = self._programs.run(job.stack)
        return job

    def _finish(self, job: Job, explain: bool = False, steady: Steady | None = None) -> FusionResult:
        stack = job.stack
        fused = stack.restore(job.fused)
        if steady is not None:
            fused = fused._replace(image=steady(stack.given, fused.image))
        if fused.losses is not None:
            self._weighting.check_losses(fused.losses)
        seconds = {"read": job.read, "program": job.prepared, "fuse": time.perf_counter() - job.launched}
        image = self._pixels(fused, stack)
        facts = known_facts(self.backbone, self._weighting, self.precision, stack.rule, found=fused.found)
        report = make_report(facts, stack, image, seconds, remarks_on(self.backbone, self._model, len(stack.order)))
        static = None
        if explain:
            check_explainable(fused, self._weighting)
            still = stack.restore(self._static.run(stack))
            report["theory"] = theory_report(stack, fused, still)
            static = self._pixels(still, stack)
        told = fused.weights, fused.losses, fused.components, report
        return FusionResult(image, *told, metadata=stack.like.metadata, static=static, bands=fused.bands)

    def _pixels(self, fused: Restored, stack: Stack) -> np.ndarray:
        return stack.like.restore(fused.image, dtype=self.dtype, keep_range=self._keep_range)

    @cached_property
    def _static(self) -> Programs:
        return self._programs.with_weighting(StaticWeighting())
