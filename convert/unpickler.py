"""An unpickler that knows the parts of a state dict and nothing else.

A pickle names the callables it wants; here each name is looked up in a closed list of what a state dict is made of, and
answered with a stand-in of ours. Everything else is refused by name. What comes from the file is looked at before it
is hashed, compared, copied or printed: keys are text or whole numbers (a tuple that holds itself twice, sixty deep,
takes longer to hash than anyone lives), shapes have few sides, names are short.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ttd_jax.errors import CheckpointError, shown

_MOST_ITEMS = 200_000  # that mappings get when they are made; one list could be named, and copied, again and again
_MOST_SIDES = 16  # of a shape
_LONGEST = 512  # bits of a size or stride: a stride that is never taken may be anything
_LARGEST = 2**63

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
class StorageType(_Inert):
    """Stands for ``torch.FloatStorage`` and its like."""

    dtype: np.dtype


@dataclass
class Storage(_Inert):
    """A flat run of numbers; the legacy layout names storages first and stores their bytes at the end."""

    dtype: np.dtype
    size: int
    data: np.ndarray | None = None


@dataclass(frozen=True)
class Tensor(_Inert):
    """A strided view into a storage, made into an array once all bytes are read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor(_Inert):
    """Stands for ``torch._utils._rebuild_tensor_v2``."""

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        if not isinstance(storage, Storage):
            raise CheckpointError("a tensor without a storage: the file is damaged")
        return Tensor(storage, checked_size(offset), _sides(size), _sides(stride))


class _RebuildParameter(_Inert):
    """Stands for ``torch._utils._rebuild_parameter``: a parameter is its tensor."""

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


class _RebuildMapping(_Inert):
    """Stands for ``collections.OrderedDict``; Python 2 handed it its items, Python 3 sets them afterwards."""

    def __init__(self) -> None:
        self._left = _MOST_ITEMS

    def __call__(self, items: Any = ()) -> "_Mapping":
        self._left -= len(items)
        if not isinstance(items, (tuple, list)) or self._left < 0:
            raise CheckpointError(f"mappings of more than {_MOST_ITEMS} items: not a state dict")
        mapping = _Mapping()
        for key, value in items:
            mapping[checked_key(key)] = value
        return mapping


class _Size(_Inert):
    """Stands for ``torch.Size``."""

    def __call__(self, sides: Any = ()) -> tuple[int, ...]:
        return _sides(sides)


class _Mapping(OrderedDict[Any, Any]):
    """A mapping whose attributes, such as the ``_metadata`` of modules, are not kept."""

    def __setstate__(self, state: Any) -> None:
        pass


def checked_key(key: Any) -> str | int:
    """A mapping's key, which is looked at before it is hashed."""
    if type(key) is str or (type(key) is int and abs(key) < _LARGEST):
        return key
    raise CheckpointError(f"a key that is neither text nor a number ({type(key).__name__}): not a state dict")


def checked_size(number: Any) -> int:
    """A size, stride or offset; a number of a million digits would take its time when multiplied."""
    if type(number) is int and number.bit_length() <= _LONGEST:
        return number
    raise CheckpointError("a size or offset that is no whole number of a sane length: the file is damaged")


def _sides(sides: Any) -> tuple[int, ...]:
    """A shape or strides, looked at before they are copied."""
    if not isinstance(sides, (tuple, list)) or len(sides) > _MOST_SIDES:
        raise CheckpointError(f"a shape that is not of at most {_MOST_SIDES} sides: the file is damaged")
    for side in sides:
        checked_size(side)
    return tuple(sides)  # a tuple stays the same one


class StateDictUnpickler(pickle._Unpickler):
    """Reads a state dict; asks ``storage_of`` for the storages that the pickle names.

    It is Python's own in Python, not the one in C, which sets aside as much memory as a number in the file says.
    """

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO, storage_of: Callable[[Any], Storage]):
        super().__init__(file, encoding="utf-8")
        self._storage_of = storage_of
        self._stand_ins: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): _RebuildMapping(),
            ("torch", "Size"): _Size(),
            ("torch._utils", "_rebuild_tensor"): _RebuildTensor(),
            ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
            ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a callable that a state dict needs."""
        if module == "torch" and name in _STORAGE_DTYPES:
            return StorageType(_STORAGE_DTYPES[name])
        if (module, name) in self._stand_ins:
            return self._stand_ins[module, name]
        raise CheckpointError(
            f"refused: the file asks for {shown(f'{module}.{name}')}, which a state dict does not need; nothing of it "
            "was run. Save model.state_dict() instead of the whole model, or do not trust this file"
        )

    def get_extension(self, code: int) -> None:
        """Refuses callables by number."""
        raise CheckpointError("refused: the file asks for a callable by number, which a state dict does not need")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that is meant."""
        return self._storage_of(pid)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _set_items(self) -> None:
        self._fill(self.pop_mark())

    def _make_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._fill(items)

    def _fill(self, items: list[Any]) -> None:
        mapping = self.stack[-1]
        if not isinstance(mapping, dict) or len(items) % 2:
            raise CheckpointError("items of what is no mapping: the file is damaged")
        for key, value in zip(items[::2], items[1::2], strict=True):
            mapping[checked_key(key)] = value

    def _set_state(self) -> None:
        state, node = self.stack.pop(), self.stack[-1]
        if not isinstance(node, (_Mapping, _Inert)):
            raise CheckpointError("refused: the file tries to alter what is no tensor; do not trust it")
        node.__setstate__(state)

    def _refuse(self, *_: Any) -> None:
        raise CheckpointError("refused: the file has sets or objects, which a state dict does not need")

    _instantiate = _refuse
    dispatch = pickle._Unpickler.dispatch | {  # type: ignore[assignment]  # of this class
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _make_dict,
        pickle.BUILD[0]: _set_state,
        **dict.fromkeys(pickle.EMPTY_SET + pickle.ADDITEMS + pickle.FROZENSET, _refuse),
        **dict.fromkeys(pickle.NEWOBJ + pickle.NEWOBJ_EX + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER, _refuse),
    }
