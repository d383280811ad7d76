"""Reads PyTorch ``.pth`` files without PyTorch and without running anything that is in them.

Both layouts are read: the zip archive of PyTorch 1.6 and later, and the stream of pickles before it. Tensors are
read-only views into storages that are checked to lie within the file's own bytes, so that a small file cannot fill the
memory.
"""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ttd_jax.errors import CheckpointError, shown

from .unpickler import StateDictUnpickler, Storage, StorageType, Tensor, checked_key, checked_size

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MOST_PICKLED = 2**24  # bytes; PyTorch pickles some hundred for each tensor, whatever its size
_DEEPEST = 16  # mappings within mappings


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
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
        root = _read(data)
        tensors: dict[str, np.ndarray] = {}
        _collect(root, "", 0, tensors, set())
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever damaged bytes happen to break
        reason = error if isinstance(error, _OtherFormat) else type(error).__name__
        raise CheckpointError(
            f"{path} is damaged, truncated or no PyTorch file ({reason}): download it again"
        ) from None
    if not tensors:
        raise CheckpointError(
            f"{path} holds no tensors by name ({type(root).__name__.lstrip('_')}): expected a state dict, "
            "what torch.save(model.state_dict(), ...) writes"
        )
    return tensors


def _collect(node: Any, prefix: str, depth: int, tensors: dict[str, np.ndarray], seen: set[int]) -> None:
    if isinstance(node, dict):
        if id(node) in seen:  # mappings that share mappings would double the work with every level
            raise CheckpointError(f"the mapping {prefix} stands in two places: not a state dict")
        if depth == _DEEPEST:
            raise CheckpointError(f"mappings stand in mappings, more than {_DEEPEST} deep: not a state dict")
        seen.add(id(node))
        for key, value in node.items():
            name = shown(str(key))
            _collect(value, f"{prefix}.{name}" if depth else name, depth + 1, tensors, seen)
    elif isinstance(node, Tensor) and depth:
        if prefix in tensors:
            raise CheckpointError(f"two tensors are called {prefix}: which one is meant cannot be known")
        tensors[prefix] = _to_array(node, prefix)


def _to_array(tensor: Tensor, name: str) -> np.ndarray:
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


class _OtherFormat(Exception):
    """Bytes that begin as neither layout does; the message says how they begin."""


def _read(data: bytes) -> Any:
    """The root of either layout. Pickles of protocols 0 and 1 have no first byte of their own; PyTorch writes none."""
    if data.startswith(b"PK"):
        return _read_zip(data)
    if data.startswith(pickle.PROTO):
        return _read_legacy(data)
    raise _OtherFormat(f"begins with {data[:4]!r}" if data else "empty")


def _read_zip(data: bytes) -> Any:
    budget = len(data)  # PyTorch does not compress, so that all entries together are smaller than the file

    def read(name: str) -> bytes:
        nonlocal budget
        entry = archive.getinfo(name)
        budget -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or budget < 0:
            raise CheckpointError(f"{shown(name)} is compressed or overlaps others: not a PyTorch checkpoint")
        return archive.read(entry)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("a zip archive, but without PyTorch's data.pkl: not a PyTorch checkpoint")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and read(f"{folder}byteorder") != b"little":
            raise CheckpointError("written on a big-endian machine, which is not supported")
        storages: dict[str, Storage] = {}

        def storage_of(pid: Any) -> Storage:
            key, dtype, size, view = _described(pid)
            if view is not None:
                raise CheckpointError("a storage that is a view of another, which PyTorch does not write in archives")
            if key not in storages:
                raw = read(f"{folder}data/{key}")
                if len(raw) != size * dtype.itemsize:
                    raise CheckpointError(f"storage {shown(key)} has {len(raw)} bytes, not those of its numbers")
                storages[key] = Storage(dtype, size, np.frombuffer(raw, dtype))
            return _same(storages[key], key, dtype, size)

        return StateDictUnpickler(io.BytesIO(_limited(read(pickles[0]))), storage_of).load()


def _read_legacy(data: bytes) -> Any:
    file = io.BytesIO(data[:_MOST_PICKLED])
    storages: dict[str, Storage] = {}

    def storage_of(pid: Any) -> Storage:
        key, dtype, size, view = _described(pid)
        if view is not None:
            raise CheckpointError("a storage that is a view of another: save the state dict with PyTorch 1.6 or later")
        return _same(storages.setdefault(key, Storage(dtype, size)), key, dtype, size)

    def load() -> Any:
        return StateDictUnpickler(file, storage_of).load()

    if load() != _LEGACY_MAGIC or load() != _LEGACY_PROTOCOL:
        raise CheckpointError("not a PyTorch file: its first entries are not PyTorch's")
    if load().get("little_endian") is not True:
        raise CheckpointError("written on a big-endian machine, which is not supported")
    root = load()
    keys = load()
    at = file.tell()
    for key in keys:
        storage = storages[str(checked_key(key))]
        (size,) = struct.unpack_from("<q", data, at)
        length = storage.size * storage.dtype.itemsize
        if not 0 <= storage.size == size or len(data) < at + 8 + length:
            raise CheckpointError("ends before its last number: truncated, download it again")
        storage.data = np.frombuffer(data, storage.dtype, storage.size, at + 8)
        at += 8 + length
    return root


def _limited(pickled: bytes) -> bytes:
    if len(pickled) > _MOST_PICKLED:
        raise CheckpointError(f"its description of tensors is larger than {_MOST_PICKLED >> 20} MB: not a state dict")
    return pickled


def _described(pid: Any) -> tuple[str, np.dtype, int, Any]:
    """Key, number type, size and view of a storage as the pickle names it."""
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or type(pid[0]) is not str or pid[0] != "storage":
        raise CheckpointError("an entry that is not a tensor's storage: not a state dict")
    _, storage_type, key, _location, size, *view = pid
    if not isinstance(storage_type, StorageType):
        raise CheckpointError("an entry that is not a tensor's storage: not a state dict")
    return str(checked_key(key)), storage_type.dtype, checked_size(size), view[0] if view else None


def _same(storage: Storage, key: str, dtype: np.dtype, size: int) -> Storage:
    if (storage.dtype, storage.size) != (dtype, size):
        raise CheckpointError(f"storage {shown(key)} has two descriptions: which one is meant cannot be known")
    return storage
