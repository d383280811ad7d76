"""``fuse`` and ``Fuser``: arrays or files in, a :class:`~ttd_jax.result.FusionResult` out."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast

import jax
import numpy as np

import ttd_jax
from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.weighting import GradientWeighting, LossWeighting, StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.explanation import theory_report
from ttd_jax.inputs import Source, Sources, check_sources
from ttd_jax.ops.pixels import from_float, image_dtype
from ttd_jax.pipeline import COLOR_RULES, RAW_RULE, choose_color_rule, fuse_pixels, fuse_pixels_batch
from ttd_jax.result import FusionResult
from ttd_jax.weightings import check_channel, check_gradients, describe_weighting

bundled_backbone = cache(load_backbone)


def fuse(
    sources: Mapping[str, Source] | Sequence[Source] | np.ndarray,
    *,
    backbone: Backbone | str | None = None,
    checkpoint: str | os.PathLike | None = None,
    weighting: str | LossWeighting | GradientWeighting | StaticWeighting = "loss",
    recipe: str | None = None,
    color: str = "auto",
    dtype: Any = None,
    explain: bool = False,
) -> FusionResult:
    """Fuses registered images of one scene into one.

    Args:
        sources: Two or more images of one size: arrays (H, W), (H, W, 1), (H, W, 3) or with alpha, which is
            dropped, of uint8, uint16, bool or float in [0, 1]; or paths. A mapping names their roles, such as
            ``visible`` and ``infrared``. The reference, whose metadata is kept, is ``visible`` or ``mri`` if there
            is one, else the first.
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
    if backbone is None or isinstance(backbone, str):
        backbone = bundled_backbone(backbone) if checkpoint is None else load_backbone(backbone, checkpoint)
    elif checkpoint is not None:
        raise InputError("a loaded backbone has its checkpoint already: pass one of backbone and checkpoint")
    return Fuser(backbone, weighting=weighting, recipe=recipe, color=color, dtype=dtype)(sources, explain=explain)


class Fuser:
    """``fuse`` with everything but the sources settled, for many images of one kind.

    Args:
        backbone: What ``load_backbone`` returned, or the name of a network whose checkpoint is in the package; None
            for the package's default.
        weighting: As for ``fuse``.
        recipe: As for ``fuse``.
        color: As for ``fuse``.
        dtype: As for ``fuse``.

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
    ):
        self.backbone = bundled_backbone(backbone) if backbone is None or isinstance(backbone, str) else backbone
        choose_color_rule(color, (True,), self.backbone.channels)
        self.color = color
        self.dtype = self.backbone.result_dtype if dtype is None else image_dtype(dtype)
        self._model, self._weighting = _settle(self.backbone, weighting, recipe)
        self._compiled: dict[Any, Any] = {}

    def __call__(
        self, sources: Mapping[str, Source] | Sequence[Source] | np.ndarray | Sources, *, explain: bool = False
    ) -> FusionResult:
        """Fuses one set of sources; see ``fuse``. What ``check_sources`` returned is taken too."""
        if explain and self._weighting is None:
            raise InputError("static fusion has no losses to explain: use weighting='loss' and a network with recipes")
        started = time.perf_counter()
        checked = sources if isinstance(sources, Sources) else check_sources(sources)
        order = _source_order(self.backbone, checked)
        stack = _stack([checked.images[i] for i in order], self.backbone)
        colored = tuple(checked.colored[i] for i in order)
        rule = _rule(self.backbone, self.color, colored)
        read = time.perf_counter()
        self._check_channel(stack.shape, rule)
        fused = self._run(fuse_pixels, stack, rule, colored)
        check_gradients(self._weighting, fused["losses"])
        seconds = {"read": read - started, "fuse": time.perf_counter() - read}
        image = _restore_shape(fused["image"], checked.shape, self.color) if rule == "gray" else fused["image"]
        report = self._report(checked.roles, image, checked.dtype, rule, seconds, fused["channel"])
        report["reference"] = checked.roles[checked.reference]
        report["remarks"] = [*checked.remarks, *_remarks_on(self.backbone, self._model, len(order))]
        back = np.argsort(order)
        arrays = {name: _reorder(fused[name], back) for name in ("weights", "losses", "components")}
        if explain:
            static = fuse_pixels(
                self.backbone.model, self.backbone.variables, None, stack, np.array(colored), rule=rule
            )
            report["theory"] = theory_report(checked.roles, stack[back], rule, fused["image"], arrays, static)
        image = from_float(image, self.dtype or checked.dtype)
        return FusionResult(image, **arrays, report=report, metadata=checked.metadata)

    def batch(self, stack: np.ndarray) -> FusionResult:
        """Fuses N sets of sources of one size, given as one array.

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
        _source_order(self.backbone, sets[0], named=False)
        colored = tuple(any(one.colored[m] for one in sets) for m in range(stack.shape[1]))
        rule = _rule(self.backbone, self.color, colored)
        stacks = np.stack([_stack(one.images, self.backbone) for one in sets])
        read = time.perf_counter()
        self._check_channel(stacks.shape[1:], rule)
        fused = self._run(fuse_pixels_batch, stacks, rule, colored)
        check_gradients(self._weighting, fused["losses"])
        seconds = {"read": read - started, "fuse": time.perf_counter() - read}
        image = fused["image"]
        if rule == "gray":
            image = np.stack([_restore_shape(one, shape, self.color) for one in image])
        report = self._report(sets[0].roles, image, sets[0].dtype, rule, seconds, fused["channel"])
        remarks = sorted({remark for one in sets for remark in one.remarks})
        report["remarks"] = [*remarks, *_remarks_on(self.backbone, self._model, stack.shape[1])]
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
        rule = _rule(self.backbone, self.color, colored)
        stack = jax.ShapeDtypeStruct((*shape[:3], shape[3] if len(shape) == 4 else 1), np.float32)
        lowered = fuse_pixels.lower(
            self._model, self.backbone.variables, self._weighting, stack, np.array(colored), rule=rule
        )
        self._compiled[stack.shape, rule] = lowered.compile()
        return self

    def _check_channel(self, shape: tuple[int, ...], rule: str) -> None:
        seen = shape if rule in ("rgb", RAW_RULE) else (*shape[:3], 1)  # other rules give the network luma
        check_channel(self._model, self.backbone.variables, self._weighting, seen)

    def _run(self, program, stack: np.ndarray, rule: str, colored: tuple[bool, ...]) -> dict[str, Any]:
        arguments = self.backbone.variables, self._weighting, stack, np.array(colored)
        compiled = self._compiled.get((stack.shape, rule))
        fused = compiled(*arguments) if compiled else program(self._model, *arguments, rule=rule)
        return {name: None if array is None else np.asarray(array) for name, array in fused._asdict().items()}

    def _report(self, roles, image, dtype, rule: str, seconds: dict[str, float], channel) -> dict[str, Any]:
        manifest = self.backbone.manifest
        return {
            "sources": list(roles),
            "shape": list(image.shape),
            "dtype": str(np.dtype(self.dtype or dtype)),
            "color": rule,
            "color_rule": COLOR_RULES.get(rule, "sources and result as the network has them"),
            "backbone": self.backbone.name,
            "preset": manifest.get("preset"),
            "checkpoint": manifest.get("sha256"),
            "weighting": describe_weighting(self._weighting, channel),
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "versions": {"ttd_jax": ttd_jax.__version__, "jax": jax.__version__},
            "device": jax.devices()[0].device_kind,
        }


def _settle(backbone: Backbone, weighting: Any, recipe: str | None) -> tuple[Any, Any]:
    """The model to run and its complete loss or gradient weighting, None for static fusion."""
    recipes = backbone.recipes
    if recipe is not None and recipe not in recipes:
        raise InputError(f"recipes of {backbone.name} are {', '.join(recipes) or 'none'}; got {recipe!r}")
    if weighting == "static" or isinstance(weighting, StaticWeighting):
        rule = weighting.rule if isinstance(weighting, StaticWeighting) else None
        return (backbone.model if rule is None else _with_rule(backbone, rule)), None
    if weighting == "loss":
        if not recipes:
            return backbone.model, None
        weighting = LossWeighting()
    if weighting == "gradient":
        weighting = GradientWeighting()
    if not isinstance(weighting, LossWeighting | GradientWeighting):
        raise InputError(
            "weighting is 'loss', 'gradient', 'static', a LossWeighting, a GradientWeighting or a StaticWeighting; "
            f"got {weighting!r}"
        )
    if not recipes:
        raise InputError(f"{backbone.name} ({backbone.manifest.get('preset')}) fuses by weighting='static' only")
    complete: Any = weighting.resolve(recipes[recipe or "default"])
    if np.ndim(complete.scale):
        raise InputError(f"scale is one number; got an array of shape {np.shape(complete.scale)}")
    numbers: dict[str, Any] = {"scale": np.float32(complete.scale)}
    if isinstance(complete, GradientWeighting) and not isinstance(complete.channel, str):
        numbers["channel"] = np.asarray(complete.channel, np.int32)
    return backbone.model, replace(complete, **numbers)


def _with_rule(backbone: Backbone, rule: str):
    if not hasattr(backbone.model, "rule"):
        raise InputError(f"{backbone.name} has one static rule: use weighting='static'")
    return replace(cast(Any, backbone.model), rule=rule)


def _source_order(backbone: Backbone, sources: Sources, named: bool = True) -> list[int]:
    """Indices of the sources in the model's order: its roles, or the reference first."""
    count = len(sources.images)
    if backbone.max_sources and count > backbone.max_sources:
        raise InputError(f"{backbone.name} takes {backbone.max_sources} sources; got {count}")
    if backbone.roles and named:
        if set(sources.roles) != set(backbone.roles):
            wanted = " ".join(f"{role}=PATH" for role in backbone.roles)
            raise InputError(
                f"{backbone.name} takes the roles {' and '.join(backbone.roles)}; got {', '.join(sources.roles)}: "
                f"name them ({wanted}, or a mapping in Python)"
            )
        return [sources.roles.index(role) for role in backbone.roles]
    return sorted(range(count), key=lambda i: i != sources.reference)


def _rule(backbone: Backbone, color: str, colored: tuple[bool, ...]) -> str:
    if not backbone.raw:
        return choose_color_rule(color, colored, backbone.channels)
    if color != "auto":
        raise InputError(f"{backbone.name} takes its sources as they are: leave color at 'auto'; got {color!r}")
    return RAW_RULE


def _remarks_on(backbone: Backbone, model: Any, count: int) -> list[str]:
    if not backbone.recipes:
        return [f"{backbone.name} ({backbone.manifest.get('preset')}) has no loss weighting: fused by its own rule"]
    if getattr(model, "rule", None) == "sum" and count > 2:
        return [f"a sum rule trained on two sources makes {count} too bright: prefer a mean or max preset"]
    return []


def _stack(images: Sequence[np.ndarray], backbone: Backbone) -> np.ndarray:
    """(M, H, W, C) with C = 3 if any image has three channels."""
    channels = max(image.shape[-1] for image in images)
    if channels > max(3, backbone.channels):
        raise InputError(f"{backbone.name} takes grey or colour images; got one of {channels} channels")
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])


def _reorder(array: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[order]


def _restore_shape(image: np.ndarray, shape: tuple[int, ...], color: str) -> np.ndarray:
    """A grey (H, W) result in the shape of its sources: with a channel axis if all had one, three if any had."""
    if shape[2:] == (3,) and color != "gray":
        return np.repeat(image[..., np.newaxis], 3, axis=-1)
    return image[..., np.newaxis] if shape[2:] == (1,) else image
