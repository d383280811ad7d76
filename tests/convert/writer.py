"""Writes files as ``torch.save`` does, in both of its layouts, and files that no ``torch.save`` would write.

What goes into the pickle is described by plain values, and by the classes here for what plain values cannot say.
"""

import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_keys = count()


@dataclass(frozen=True)
class Global:
    """An object that the reader shall import by name."""

    module: str
    name: str


@dataclass(frozen=True)
class Reduce:
    """The result of a call that the reader shall make."""

    function: Any
    arguments: tuple


@dataclass(frozen=True)
class Build:
    """A node whose state the reader shall set."""

    node: Any
    state: Any


@dataclass(frozen=True)
class Raw:
    """Opcodes as they are."""

    code: bytes


class StateDict(dict):
    """An ``OrderedDict`` with the ``_metadata`` attribute that modules give theirs."""


@dataclass
class Storage:
    """A flat array that tensors look into; ``size`` is what the file says of it."""

    data: np.ndarray
    size: Any = None
    kind: str = ""
    key: str = field(default_factory=lambda: str(next(_keys)))

    def __post_init__(self):
        self.size = self.data.size if self.size is None else self.size
        self.kind = self.kind or KINDS[self.data.dtype.name]


@dataclass
class Tensor:
    """A strided view into a storage."""

    storage: Storage
    shape: Any
    strides: Any
    offset: Any = 0
    parameter: bool = False


def tensor(array: np.ndarray, **options: Any) -> Tensor:
    """A contiguous tensor with a storage of its own."""
    array = np.array(array, order="C")
    strides = tuple(s // array.itemsize for s in array.strides)
    return Tensor(Storage(array.reshape(-1)), array.shape, strides, **options)


def encode(node: Any, legacy: bool = False) -> bytes:
    """Opcodes that leave the node on the reader's stack."""

    def each(nodes: Sequence[Any]) -> bytes:
        return b"(" + b"".join(encode(n, legacy) for n in nodes)

    match node:
        case Raw(code):
            return code
        case None:
            return b"N"
        case bool():
            return b"\x88" if node else b"\x89"
        case int():
            number = pickle.encode_long(node)
            return b"\x8a" + bytes([len(number)]) + number
        case str():
            text = node.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case tuple():
            return each(node) + b"t"
        case list():
            return b"]" + each(node) + b"e"
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Reduce(function, arguments):
            return encode(function, legacy) + encode(arguments, legacy) + b"R"
        case Build(inner, state):
            return encode(inner, legacy) + encode(state, legacy) + b"b"
        case StateDict():
            items = each([x for item in node.items() for x in item]) + b"u"
            empty = encode(Reduce(Global("collections", "OrderedDict"), ()))
            return empty + items + encode({"_metadata": {"": {"version": 1}}}) + b"b"
        case dict():
            return b"}" + each([x for item in node.items() for x in item]) + b"u"
        case Storage():
            pid = ("storage", Global("torch", node.kind), node.key, "cuda:0" if legacy else "cpu", node.size)
            return encode((*pid, None) if legacy else pid) + b"Q"
        case Tensor():
            hooks = Reduce(Global("collections", "OrderedDict"), ())
            parts = (node.storage, node.offset, node.shape, node.strides, False, hooks)
            built = Reduce(Global("torch._utils", "_rebuild_tensor_v2"), parts)
            if node.parameter:
                built = Reduce(Global("torch._utils", "_rebuild_parameter"), (built, True, hooks))
            return encode(built, legacy)
    raise TypeError(node)


def pickled(node: Any, legacy: bool = False) -> bytes:
    """A whole pickle."""
    return b"\x80\x02" + encode(node, legacy) + b"."


def storages_in(node: Any) -> dict[str, Storage]:
    """All storages, by key."""
    match node:
        case Storage():
            return {node.key: node}
        case Tensor():
            return {node.storage.key: node.storage}
        case Reduce(_, arguments):
            return storages_in(arguments)
        case Build(inner, _):
            return storages_in(inner)
        case dict():
            return storages_in(list(node.values()))
        case list() | tuple():
            return {key: storage for n in node for key, storage in storages_in(n).items()}
    return {}


def save_zip(path: Path, root: Any, byteorder: str = "little", compression: int = zipfile.ZIP_STORED) -> Path:
    """A file as PyTorch writes it since version 1.6."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(root))
        archive.writestr("archive/byteorder", byteorder)
        for key, storage in storages_in(root).items():
            archive.writestr(f"archive/data/{key}", storage.data.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def save_legacy(path: Path, root: Any, little_endian: bool = True, keys: Any = None) -> Path:
    """A file as PyTorch wrote it before, with storages of a GPU; ``keys`` in place of its list of them."""
    storages = storages_in(root)
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}}
    file = io.BytesIO()
    for node in (0x1950A86A20F9469CFC6C, 1001, system, root, keys or sorted(storages)):
        file.write(pickled(node, legacy=True))
    for key in sorted(storages):
        file.write(struct.pack("<q", storages[key].data.size) + storages[key].data.tobytes())
    path.write_bytes(file.getvalue())
    return path


SAVERS = {"zip": save_zip, "legacy": save_legacy}
assert sys.byteorder == "little"


def ifcnn_state_dict(variables: Any, prefix: str = "") -> StateDict:
    """The state dict that PyTorch's IFCNN would have with these flax variables."""
    params, statistics = variables["params"], variables["batch_stats"]
    arrays = {"conv1.weight": params["conv1"]["kernel"].transpose(3, 2, 0, 1)}
    for block in ("conv2", "conv3"):
        arrays |= {
            f"{block}.conv.weight": params[block]["conv"]["kernel"].transpose(3, 2, 0, 1),
            f"{block}.bn.weight": params[block]["bn"]["scale"],
            f"{block}.bn.bias": params[block]["bn"]["bias"],
            f"{block}.bn.running_mean": statistics[block]["bn"]["mean"],
            f"{block}.bn.running_var": statistics[block]["bn"]["var"],
            f"{block}.bn.num_batches_tracked": np.array(7, np.int64),
        }
    arrays |= {
        "conv4.weight": params["conv4"]["kernel"].transpose(3, 2, 0, 1),
        "conv4.bias": params["conv4"]["bias"],
    }
    return StateDict({prefix + key: tensor(array) for key, array in arrays.items()})
