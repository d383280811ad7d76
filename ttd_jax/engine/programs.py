"""Compiled programs and where they run: memory checked first, batches over devices, large images in windows."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ttd_jax.core.fusion import Fused
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighting
from ttd_jax.engine import stored
from ttd_jax.engine.compilation import compile_program
from ttd_jax.engine.memory import check_memory
from ttd_jax.engine.pipeline import fuse_pixels, fuse_pixels_batch
from ttd_jax.engine.recent import Recent
from ttd_jax.engine.stack import Stack
from ttd_jax.errors import InputError

MOST_PROGRAMS = 16
"""Shapes whose programs are kept; one takes some 10 MB, and seconds to compile."""


class Programs:
    """Compiles and runs the fusion of one model, its parameters and its weighting, for stacks of any shape.

    A shape is compiled once while it is one of the 16 that were used last. What is compiled for equal models is
    shared, and freed with the last ``Programs`` that keeps it.

    Args:
        model: The fusion network.
        variables: Its parameters.
        weighting: A complete weighting; its numbers are traced as float32.
        name: What messages call the network.
        tile: Side of the windows in which images that are larger are fused; None for whole images.
        image_only: Compute nothing but the image, and losses that the weighting wants to check.
        folder: Where programs are kept for other processes; None for nowhere.

    Attributes:
        weighting: The weighting, as programs take it.
        outlive: Where functions are kept, too, so that they are there for others after these; None for nowhere.

    Raises:
        InputError: The network needs whole images, or larger windows.
    """

    def __init__(
        self,
        model: FusionModel,
        variables: Variables,
        weighting: Weighting,
        *,
        name: str,
        tile: int | None = None,
        image_only: bool = False,
        folder: str | os.PathLike[str] | None = None,
    ):
        self._image_only, self._folder = image_only, None if folder is None else Path(folder)
        self._model, self._variables, self.weighting = model, variables, _traceable(weighting)
        self._name, self._tile, self._reach = name, tile, weighting.reach(model)
        if tile is not None and (self._reach is None or weighting.surveys):
            what = name if self._reach is None else type(weighting).__name__
            raise InputError(f"{what} looks at the whole image: leave tile out")
        if tile is not None and tile <= 2 * (self._reach or 0):
            raise InputError(f"{name} looks {self._reach} pixels far: a tile has more than twice that; got {tile}")
        self._compiled: Recent[_Program] = Recent(MOST_PROGRAMS)
        self.outlive: Recent[Function] | None = None
        self._replicated: dict[Mesh, Variables] = {}

    def compile(self, shape: tuple[int, ...], rule: str, *, dtype: Any = np.float32) -> Any:
        """The program for one stack (M, H, W, C) of a type, or for its windows."""
        shape = (shape[0], *self._window(shape), shape[3])
        stack, colored = jax.ShapeDtypeStruct(shape, dtype), np.zeros(shape[0], bool)
        return self._program(self._variables, stack, colored, rule, None)

    def _program(self, variables: Variables, stack: Any, colored: np.ndarray, rule: str, mesh: Mesh | None) -> Any:
        key = self._model, stack.shape, rule, mesh, self._image_only

        def make() -> _Program:
            arguments = variables, self.weighting, stack, colored
            function = shared_function(*key)
            if self.outlive is not None:
                self.outlive.get(key, lambda: function)
            folder = self._folder
            kept = stored.key_of(self._model, arguments, *key[2:]) if folder and mesh is None else None
            if folder is None or kept is None:
                return _Program(function, compile_program(function.lower(*arguments), self._model))

            def compiled() -> Any:
                with stored.fresh() as was_fresh:
                    program = compile_program(function.lower(*arguments), self._model)
                if was_fresh():
                    stored.keep(folder, kept, program)
                return program

            found = stored.load(folder, kept)
            return _Program(function, compiled() if found is None else stored.Kept(found, compiled))

        return self._compiled.get((*key, np.dtype(stack.dtype)), make).compiled

    def body(self, rule: str) -> Callable[[Array, Array], Fused]:
        """The fusion as a pure function of a stack and of which sources have colour."""
        weighting = jax.tree.map(jnp.asarray, self.weighting)
        return lambda stack, colored: fuse_pixels(self._model, self._variables, weighting, stack, colored, rule=rule)

    def with_weighting(self, weighting: Weighting) -> "Programs":
        """The same network in the same windows, by another weighting."""
        others = Programs(
            self._model,
            self._variables,
            weighting,
            name=self._name,
            tile=self._tile,
            image_only=self._image_only,
            folder=self._folder,
        )
        others.outlive = self.outlive
        return others

    def prepare(self, stack: Stack) -> None:
        """Gets the program of a stack, which ``run`` would do first; that of a batch over devices waits for it."""
        if not stack.batch:
            self.compile(stack.pixels.shape, stack.program, dtype=stack.pixels.dtype)

    def run(self, stack: Stack) -> Fused:
        """Starts the fusion of a stack, of one set or of many; its arrays may still be being computed.

        Raises:
            InputError: It needs more memory than there is.
        """
        run = self._launch_batch if stack.batch else self._launch
        return run(stack.pixels, stack.program, stack.colored)

    def _launch(self, stack: np.ndarray, rule: str, colored: Sequence[bool]) -> Fused:
        count, height, width, _ = stack.shape
        program = self.compile(stack.shape, rule, dtype=stack.dtype)
        check_memory(program, jax.devices()[:1], f"fusing {count} sources of {width} x {height} with {self._name}")

        def run(part: np.ndarray) -> Fused:
            return program(self._variables, self.weighting, part, np.array(colored))

        window = self._window(stack.shape)
        return run(stack) if window == (height, width) else fuse_in_windows(run, stack, window, self._reach or 0)

    def _window(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return min(shape[1], self._tile or shape[1]), min(shape[2], self._tile or shape[2])

    def _launch_batch(self, stacks: np.ndarray, rule: str, colored: Sequence[bool]) -> Fused:
        """Starts the fusion of stacks (N, M, H, W, C), shared out among the devices."""
        devices = jax.local_devices()[: len(stacks)]
        if len(devices) == 1:
            return self._run_batch(stacks, rule, colored, None, self._variables)
        mesh = Mesh(np.array(devices), ("batch",))
        if mesh not in self._replicated:
            self._replicated[mesh] = jax.device_put(self._variables, NamedSharding(mesh, PartitionSpec()))
        short = -len(stacks) % len(devices)
        even = np.concatenate([stacks, stacks[:1].repeat(short, axis=0)]) if short else stacks
        shared = jax.device_put(even, NamedSharding(mesh, PartitionSpec("batch")))
        fused = self._run_batch(shared, rule, colored, mesh, self._replicated[mesh])
        return jax.tree.map(lambda array: np.asarray(array)[: len(stacks)], fused) if short else fused

    def _run_batch(self, stacks: Any, rule: str, colored: Sequence[bool], mesh: Mesh | None, variables: Any) -> Fused:
        program = self._program(variables, stacks, np.array(colored), rule, mesh)
        number, count, height, width, _ = stacks.shape
        what = f"a batch of {number} x {count} sources of {width} x {height} with {self._name}"
        check_memory(program, jax.devices()[:1] if mesh is None else list(mesh.devices), what)
        return program(variables, self.weighting, stacks, np.array(colored))


Function = Callable[..., Fused]
"""A jitted fusion of parameters, weighting, stack and colours."""


class _Program(NamedTuple):
    function: Function  # jax frees what it knows of a function with it
    compiled: Any


_functions: WeakValueDictionary[Any, Function] = WeakValueDictionary()
_lock = threading.Lock()


def shared_function(model: FusionModel, shape: tuple[int, ...], rule: str, mesh: Mesh | None, image_only: bool) -> Any:
    """The jitted fusion of stacks of one shape, (M, H, W, C) or (N, M, H, W, C); the same one while somebody has it.

    One function for all shapes would be simpler, but jax keeps what it compiles as long as the function lives.

    Args:
        model: The fusion network.
        shape: Of the stacks.
        rule: The rule for colour.
        mesh: The devices that share a batch; None for one.
        image_only: Leave everything else out of the result.
    """
    options: dict[str, Any] = {"rule": rule, "image_only": image_only}

    def fuse(variables: Variables, weighting: Weighting, stack: Array, colored: Any) -> Fused:
        if len(shape) == 4:
            return fuse_pixels(model, variables, weighting, stack, colored, **options)
        return fuse_pixels_batch(model, variables, weighting, stack, colored, **options, mesh=mesh)

    with _lock:
        return _functions.setdefault((model, shape, rule, mesh, image_only), jax.jit(fuse))


def fuse_in_windows(run: Any, stack: np.ndarray, window: tuple[int, ...], halo: int) -> Fused:
    """What ``run(stack)`` gives, put together from windows of one size.

    A window's own part keeps ``halo`` pixels away from its edges, but for those that are the image's edges too; so it
    comes out as it would from the whole image.

    Args:
        run: A fusion of a stack of the window's size, whose result depends on no source pixel further than ``halo``.
        stack: Sources (M, H, W, C).
        window: Height and width, none larger than the image's.
        halo: That distance, less than half a window that is smaller than the image.
    """
    whole: Fused | None = None
    for top, rows, in_rows in _spans(stack.shape[1], window[0], halo):
        for left, columns, in_columns in _spans(stack.shape[2], window[1], halo):
            fused = jax.tree.map(np.asarray, run(stack[:, top : top + window[0], left : left + window[1]]))
            part = fused._replace(image=fused.image[np.newaxis], found=None)
            if whole is None:
                whole = jax.tree.map(lambda a: np.empty((len(a), *stack.shape[1:3], *a.shape[3:]), a.dtype), part)
            for target, array in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
                target[:, rows, columns] = array[:, in_rows, in_columns]
    assert whole is not None  # there is always a first window
    return whole._replace(image=whole.image[0])


def _spans(size: int, window: int, halo: int) -> list[tuple[int, slice, slice]]:
    """Along one axis: each window's first pixel, its own part in the image, and that part within the window."""
    spans = []
    done = 0
    while done < size:
        first = min(max(done - halo, 0), size - window)
        end = size if first + window == size else first + window - halo
        spans.append((first, slice(done, end), slice(done - first, end - first)))
        done = end
    return spans


def _traceable(weighting: Weighting) -> Weighting:
    """The weighting with its numbers as float32 arrays, so that a program serves every value."""
    return jax.tree.map(lambda leaf: np.float32(leaf) if isinstance(leaf, float | np.floating) else leaf, weighting)
