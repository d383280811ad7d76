"""Compiled programs in a folder, so that the next process neither traces nor compiles.

jax's own cache spares compilation alone: its key is the traced program, and tracing takes the longer time. Here the key
is what a program is made of: the package's source files, the model, the weighting, shapes, versions of jax, the
processor. So a model or a weighting that is not of the package, whose code nobody knows, is never kept.

An entry is machine code. Its folder must be one that nobody else can write to.

What XLA read from jax's own cache it cannot write again: such a program lacks functions when it runs. So programs that
are kept here are kept out of that cache, one that comes from there is not kept, and the first run of one that was read
shows whether it is whole; if not, it is compiled.
"""

import hashlib
import io
import json
import os
import pickle
import platform
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import serialize_executable

from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file

MOST = 64
"""Programs in a folder; those that were used longest ago are removed. One takes about 1 MB."""

_SUFFIX = ".program"
_SHORTEST = "jax_persistent_cache_min_compile_time_secs"  # compilations that jax's own cache takes
_HIT = "/jax/compilation_cache/cache_hits"
_hits: list[str] = []
_PACKAGE = Path(__file__).parents[1]
_PLAIN = (str, int, float, bool, type(None))
_ARRAYS = (np.generic, np.ndarray, jax.Array, jax.ShapeDtypeStruct)
_ELSEWHERE = ("jax_compilation_cache_dir", "jax_platforms", _SHORTEST)  # settings that change no program


def key_of(model: Any, arguments: tuple[Any, ...], *facts: Any) -> str | None:
    """The name under which a program is kept; None if it must not be.

    Args:
        model: The fusion network.
        arguments: What the program takes, arrays or their shapes and dtypes; the weighting among them.
        facts: What else makes the program what it is, such as a rule.
    """
    leaves, tree = jax.tree.flatten(arguments)
    if not (is_known(model) and all(is_known(argument, arrays=True) for argument in arguments)):
        return None
    shapes = [(tuple(np.shape(leaf)), str(np.result_type(leaf))) for leaf in leaves]
    parts = repr((model, str(tree), shapes, facts)), sources_hash(), *_machine()
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_known(value: Any, *, arrays: bool = False) -> bool:
    """Whether a value is plain data or a record of this package, through and through.

    Args:
        value: Anything.
        arrays: Whether there may be arrays in it, of which a name tells shape and dtype alone.
    """
    if isinstance(value, _PLAIN) or (arrays and isinstance(value, _ARRAYS)):
        return True
    if isinstance(value, Mapping):
        inside: list[Any] = [*value, *value.values()]
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif is_dataclass(value) and type(value).__module__.partition(".")[0] == "ttd_jax":
        inside = [getattr(value, field.name) for field in fields(value)]
    else:
        return False
    return all(is_known(one, arrays=arrays) for one in inside)


class Sizes(NamedTuple):
    """Bytes that a program takes; to ask one that was read takes 30 ms."""

    argument_size_in_bytes: int
    output_size_in_bytes: int
    temp_size_in_bytes: int


class Read(NamedTuple):
    """What is in an entry."""

    compiled: Any
    sizes: Sizes | None


class Kept:
    """A program that was read, with the way to another one if it turns out not to run.

    Args:
        program: What was read.
        otherwise: Compiles it.
    """

    def __init__(self, program: Read, otherwise: Callable[[], Any]):
        self._program, self._sizes = program.compiled, program.sizes
        self._otherwise, self._proved = otherwise, False

    def __call__(self, *arguments: Any) -> Any:
        """What the program gives; of the first run, once it is there."""
        if self._proved:
            return self._program(*arguments)
        try:
            result = jax.block_until_ready(self._program(*arguments))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise
            self._program = self._otherwise()
            result = self._program(*arguments)
        self._proved = True
        return result

    def memory_analysis(self) -> Sizes | None:
        """As the program's when it was written."""
        return self._sizes


@contextmanager
def fresh() -> Iterator[Callable[[], bool]]:
    """While a program is compiled that is to be kept; says afterwards whether it was, and not read from jax's cache."""
    if not _hits:
        jax.monitoring.register_event_listener(lambda event, **_: _hits.append(event) if event == _HIT else None)
        _hits.append("listening")
    before, shortest = len(_hits), jax.config.values[_SHORTEST]
    jax.config.update(_SHORTEST, float("inf"))
    try:
        yield lambda: len(_hits) == before
    finally:
        jax.config.update(_SHORTEST, shortest)


def load(folder: Path, key: str) -> Read | None:
    """The program of this name, ready to be called; None if there is none that can be read."""
    path = folder / (key + _SUFFIX)
    try:
        data = path.read_bytes()
        digest, packed = data[:32], data[32:]
        if hashlib.sha256(packed).digest() != digest:
            return None  # of a disk that was full
        sizes, program = pickle.load(io.BytesIO(zlib.decompress(packed)))
        found = Read(serialize_executable.deserialize_and_load(*program), sizes and Sizes(*sizes))
        os.utime(path)  # it is used
        return found
    except Exception:  # whatever another jax makes of it: then it is compiled, and written anew
        return None


def keep(folder: Path, key: str, program: Any) -> None:
    """Writes a compiled program; where that cannot be, nothing happens."""
    try:
        told = program.memory_analysis()
        sizes = told and tuple(getattr(told, name) for name in Sizes._fields)
        packed = zlib.compress(pickle.dumps((sizes, serialize_executable.serialize(program))), 1)
        with atomic_file(folder / (key + _SUFFIX), overwrite=True) as path:
            path.write_bytes(hashlib.sha256(packed).digest() + packed)
        entries = sorted(folder.glob("*" + _SUFFIX), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[:-MOST]:
            entry.unlink(missing_ok=True)
    except (InputError, OSError, ValueError, NotImplementedError, RuntimeError, TypeError, AttributeError):
        return  # a program that jax cannot write, a full disk: the next process compiles, as this one did


@cache
def sources_hash() -> str:
    """The hash of all source files of the package: what is computed changes with them, and with nothing else."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _machine() -> list[str]:
    """What a program is compiled for, and by what."""
    devices = jax.devices()
    settings = {name: str(value) for name, value in jax.config.values.items() if name not in _ELSEWHERE}
    return [
        *(f"{name} {version(name)}" for name in ("jax", "jaxlib", "flax")),
        devices[0].client.platform_version,
        *(f"{device.platform} {device.device_kind}" for device in devices),
        _processor(),
        *(f"{name}={os.environ.get(name, '')}" for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")),
        json.dumps(settings, sort_keys=True),
    ]


@cache
def _processor() -> str:
    """What the processor can do: a folder may be shared by machines, and a program uses all there is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    told = [line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))]
    return "\n".join([platform.machine(), *sorted(set(told))])
