"""Reads PyTorch ``.pth`` files without PyTorch and without running anything that is in them.

Both layouts are read: the zip archive of PyTorch 1.6 and later, and the stream of pickles before it. A pickle
names the callables it wants; here each name is looked up in a closed list of what a state dict is made of, and
answered with a stand-in of ours. Everything else is refused by name. Tensors are read-only views into storages that
are checked to lie within the file's own bytes, so that a small file cannot fill the memory.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ttd_jax.errors import CheckpointError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LONGEST_NAME = 200

_STORAGE_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Inert:
    """What a pickle may hold but not change: its request to set an object's state is refused."""

    def __setstate__(self, state: Any) -> None:
        raise CheckpointError("refused: the file tries to alter a tensor's description; do not trust it")


@dataclass(frozen=True)
class _StorageType(_Inert):
    """Stands for ``torch.FloatStorage`` and its like."""

    dtype: np.dtype


@dataclass
class _Storage(_Inert):
    """A flat run of numbers; the legacy layout names storages first and stores their bytes at the end."""

    dtype: np.dtype
    size: int
    data: np.ndarray | None = None


@dataclass(frozen=True)
class _Tensor(_Inert):
    """A strided view into a storage, made into an array once all bytes are read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor(_Inert):
    """Stands for ``torch._utils._rebuild_tensor_v2``."""

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise CheckpointError("a tensor without a storage: the file is damaged")
        return _Tensor(storage, int(offset), tuple(int(n) for n in size), tuple(int(n) for n in stride))


class _RebuildParameter(_Inert):
    """Stands for ``torch._utils._rebuild_parameter``: a parameter is its tensor."""

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a ``.pth`` file by their dotted names.

    Nested mappings, as in files with several networks, give names such as ``encoder.conv1.weight``. Entries that
    are not tensors (an epoch number, say) are left out.

    Args:
        path: File written by ``torch.save``.

    Returns:
        Read-only arrays.

    Raises:
        CheckpointError: The file is missing, truncated or no PyTorch file, names a callable that a state dict does
            not need, or holds no tensors by name.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError("no file: expected a .pth file")
        data = path.read_bytes()
        root = _read_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _read_legacy(data)
        tensors: dict[str, np.ndarray] = {}
        _collect(root, "", tensors, set())
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever damaged bytes happen to break
        raise CheckpointError(
            f"{path} is damaged, truncated or no PyTorch file ({type(error).__name__}): download it again"
        ) from None
    if not tensors:
        raise CheckpointError(
            f"{path} holds no tensors by name ({type(root).__name__.lstrip('_')}): expected a state dict, "
            "what torch.save(model.state_dict(), ...) writes"
        )
    return tensors


def _collect(node: Any, prefix: str, tensors: dict[str, np.ndarray], seen: set[int]) -> None:
    if isinstance(node, dict):
        if id(node) in seen:  # mappings that share mappings would double the work with every level
            raise CheckpointError(f"the mapping {prefix} stands in two places: not a state dict")
        seen.add(id(node))
        for key, value in node.items():
            name = _shown(str(key))
            _collect(value, f"{prefix}.{name}" if prefix else name, tensors, seen)
    elif isinstance(node, _Tensor) and prefix:
        tensors[prefix] = _to_array(node, prefix)


def _shown(name: str) -> str:
    """A name from the file as it may be printed: on one line, without control characters, not too long."""
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _to_array(tensor: _Tensor, name: str) -> np.ndarray:
    data, shape, strides = tensor.storage.data, tensor.shape, tensor.strides
    if len(shape) != len(strides) or min((tensor.offset, *shape, *strides)) < 0:
        raise CheckpointError(f"{name} has an impossible shape: the file is damaged")
    if 0 in shape:
        return np.zeros(shape, tensor.storage.dtype)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if data is None or last >= data.size:
        raise CheckpointError(f"{name} reaches beyond its stored bytes: the file is damaged or truncated")
    in_bytes = [s * data.itemsize if n > 1 else 0 for n, s in zip(shape, strides, strict=True)]
    return np.lib.stride_tricks.as_strided(data[tensor.offset :], shape, in_bytes, writeable=False)


class _StateDictUnpickler(pickle._Unpickler):
    """An unpickler that knows the parts of a state dict and nothing else.

    It is Python's own in Python, not the one in C, which sets aside as much memory as a number in the file says.
    """

    def __init__(self, file: io.BytesIO, storage_of: Callable[[Any], _Storage]):
        super().__init__(file, encoding="utf-8")
        self._storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGE_DTYPES:
            return _StorageType(_STORAGE_DTYPES[name])
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise CheckpointError(
            f"refused: the file asks for {_shown(f'{module}.{name}')}, which a state dict does not need; nothing of it "
            "was run. Save model.state_dict() instead of the whole model, or do not trust this file"
        )

    def get_extension(self, code: int) -> None:
        raise CheckpointError("refused: the file asks for a callable by number, which a state dict does not need")

    def persistent_load(self, pid: Any) -> _Storage:
        return self._storage_of(pid)


_STAND_INS: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _RebuildTensor(),
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
}


def _read_zip(data: bytes) -> Any:
    budget = len(data)  # PyTorch does not compress, so that all entries together are smaller than the file

    def read(name: str) -> bytes:
        nonlocal budget
        entry = archive.getinfo(name)
        budget -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or budget < 0:
            raise CheckpointError(f"{_shown(name)} is compressed or overlaps others: not a PyTorch checkpoint")
        return archive.read(entry)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("a zip archive, but without PyTorch's data.pkl: not a PyTorch checkpoint")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and read(f"{folder}byteorder") != b"little":
            raise CheckpointError("written on a big-endian machine, which is not supported")
        storages: dict[str, _Storage] = {}

        def storage_of(pid: Any) -> _Storage:
            kind, storage_type, key, _location, size = pid
            if kind != "storage" or not isinstance(storage_type, _StorageType):
                raise CheckpointError("an entry that is not a tensor's storage: not a state dict")
            if key not in storages:
                raw = read(f"{folder}data/{key}")
                if len(raw) != int(size) * storage_type.dtype.itemsize:
                    raise CheckpointError(f"storage {_shown(str(key))} has {len(raw)} bytes, not those of its numbers")
                storages[key] = _Storage(storage_type.dtype, int(size), np.frombuffer(raw, storage_type.dtype))
            return storages[key]

        return _StateDictUnpickler(io.BytesIO(read(pickles[0])), storage_of).load()


def _read_legacy(data: bytes) -> Any:
    file = io.BytesIO(data)
    storages: dict[str, _Storage] = {}

    def storage_of(pid: Any) -> _Storage:
        kind, storage_type, key, _location, size, view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or view is not None:
            raise CheckpointError("an entry that is not a tensor's own storage: not a state dict")
        return storages.setdefault(str(key), _Storage(storage_type.dtype, int(size)))

    def load() -> Any:
        return _StateDictUnpickler(file, storage_of).load()

    if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
        raise CheckpointError("not a PyTorch file: its first entries are not PyTorch's")
    if load().get("little_endian") is not True:
        raise CheckpointError("written on a big-endian machine, which is not supported")
    root = load()
    for key in load():
        storage = storages[str(key)]
        (size,) = struct.unpack("<q", file.read(8))
        raw = file.read(max(storage.size, 0) * storage.dtype.itemsize)
        if size != storage.size or len(raw) != storage.size * storage.dtype.itemsize:
            raise CheckpointError("ends before its last number: truncated, download it again")
        storage.data = np.frombuffer(raw, storage.dtype)
    return root
