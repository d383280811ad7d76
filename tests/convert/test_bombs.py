"""Small files that would take for ever, all memory or the process: refused in a second, with keys looked at first."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convert
from tests.convert.reading import refused
from tests.convert.writer import (
    SAVERS,
    Build,
    Global,
    Raw,
    Reduce,
    StateDict,
    Storage,
    Tensor,
    encode,
    save_legacy,
    save_zip,
    tensor,
)

GOOD = tensor(np.ones(3, np.float32))
SHARED = Raw(b")q\x00" + b"h\x00\x86q\x00" * 60)  # (t, t) of (t, t) of ..., 2**60 leaves
DEEP = Raw(b")" + b"\x85" * 200_000)
NUMBER = Raw(b"\x8b" + struct.pack("<i", 400_000) + b"\x7f" * 400_000)
NUMBERS = Raw(b"(" + encode(NUMBER) + b"q\1" + b"h\1" * 100_000 + b"t")
MAPPING, SIZE = Global("collections", "OrderedDict"), Global("torch", "Size")
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def storage(kind="storage", key="0", size=3):
    return {"a": Raw(encode((kind, Global("torch", "FloatStorage"), key, "cpu", size)) + b"Q")}


def many(function, arguments, times):
    """Calls with one list of arguments, again and again, at five bytes a call."""
    return {"a": Raw(encode(function) + b"q\x05" + encode(arguments) + b"q\x06" + b"h\x05h\x06R" * times)}


def bombs():
    found = {}
    for name, node in {"shared": SHARED, "deep": DEEP}.items():
        found |= {
            f"{name} key": {"a": Raw(b"}(" + encode(node) + encode(1) + b"u")},
            f"{name} key, set singly": {"a": Raw(b"}" + encode(node) + encode(1) + b"s")},
            f"{name} key of a marked dict": {"a": Raw(b"(" + encode(node) + encode(1) + b"d")},
            f"{name} key of an ordered dict": Reduce(MAPPING, ([(node, 1)],)),
            f"{name} member of a set": {"a": Raw(b"\x8f(" + encode(node) + b"\x90")},
            f"{name} member of a frozen set": {"a": Raw(b"(" + encode(node) + b"\x91")},
            f"{name} storage kind": storage(kind=node),
            f"{name} storage key": storage(key=node),
            f"{name} storage size": storage(size=node),
            f"{name} shape": {"a": Tensor(Storage(np.ones(3, np.float32)), node, (1,))},
            f"{name} state": Build(StateDict(a=1), {"b": node}),
            f"{name} callable": {"a": Raw(encode(node) + encode(node) + b"\x93")},
            f"{name} root": node,
        }
    return found | {
        "number as key": {"a": Raw(b"}(" + encode(NUMBER) + encode(1) + b"u")},
        "numbers as shape": {"a": Tensor(Storage(np.ones(3, np.float32)), NUMBERS, (1,))},
        "copies of mappings": many(MAPPING, ([(str(i), 1) for i in range(5000)],), 100_000),
        "copies of shapes": many(SIZE, (list(range(60_000)),), 100_000),
        "tensors": many(REBUILD, (Storage(np.ones(3, np.float32)), 0, [1] * 16, [1] * 16), 150_000),
        "marks": {"a": Raw(b"(" * 900_000)},
        "mappings": {"a": Raw(b"}" * 900_000)},
        "memo": {"a": Raw(b"}" + b"\x94" * 900_000)},
    }


READ_ALL = """
import json, resource, sys, time
from CONVERT.torch_file import read_torch_file
from ttd_jax.errors import CheckpointError

found = {}
for path in sys.argv[1:]:
    print(path, file=sys.stderr, flush=True)
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_torch_file(path)
        said = ""
    except CheckpointError as error:
        said = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found[path] = said, time.process_time() - started, grown / 1024
print(json.dumps(found))
""".replace("CONVERT", convert.__name__)


@pytest.mark.parametrize("layout", SAVERS)
def test_bombs_are_refused_in_a_second(tmp_path, layout):
    names = {}
    for index, (name, root) in enumerate(bombs().items()):
        names[str(SAVERS[layout](tmp_path / f"{index}.pth", root))] = name
    for name, node in {"shared": SHARED, "deep": DEEP}.items():  # the list of storages that stands behind the tensors
        names[str(save_legacy(tmp_path / f"{name}.pth", {"a": GOOD}, keys=[node]))] = f"{name} key of the list"
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, f"killed by {names.get(done.stderr.splitlines()[-1])}"
    for path, (said, seconds, grown) in json.loads(done.stdout).items():
        assert said.startswith(path) and "\n" not in said and len(said) < len(path) + 300, (names[path], said)
        assert seconds < 5, (names[path], seconds)  # one on a machine that does nothing else
        assert grown < 200, (names[path], grown)


def test_a_legacy_storage_that_is_a_view_of_another_is_refused(tmp_path):
    # PyTorch 0.3 wrote (key of the view, offset, size): read as a storage of its own it would give other numbers
    whole = Storage(np.arange(6, dtype=np.float32), key="0")
    pid = ("storage", Global("torch", "FloatStorage"), "0", "cpu", 6, ("1", 2, 3))
    arguments = b"(" + encode(pid) + b"Q" + encode(0) + encode((3,)) + encode((1,)) + b"t"
    view = Raw(encode(REBUILD) + arguments + b"R")
    path = save_legacy(tmp_path / "a.pth", {"whole": Tensor(whole, (6,), (1,)), "view": view})
    assert ": a storage that is a view of another" in refused(path)


@pytest.mark.parametrize("save", SAVERS.values(), ids=SAVERS)
def test_one_storage_described_twice_is_refused(tmp_path, save):
    a = Storage(np.arange(4, dtype=np.float32), key="0")
    b = Storage(np.arange(4, dtype=np.float32), key="0", kind="IntStorage")
    path = save(tmp_path / "a.pth", {"a": Tensor(a, (4,), (1,)), "b": Tensor(b, (4,), (1,))})
    assert refused(path) == f"{path}: storage 0 has two descriptions: which one is meant cannot be known"


@pytest.mark.parametrize("root", [{"a": {"b": GOOD}, "a.b": GOOD}, {1: GOOD, "1": GOOD}, {"a\n": GOOD, "a\\n": GOOD}])
def test_two_tensors_of_one_name_are_refused(tmp_path, root):
    assert ": two tensors are called " in refused(save_zip(tmp_path / "a.pth", root))


def test_mappings_in_mappings(tmp_path):
    root = GOOD
    for _ in range(20):
        root = {"k": root}
    assert ": mappings stand in mappings, more than 16 deep" in refused(save_zip(tmp_path / "a.pth", root))


def test_a_state_dict_of_python_2(tmp_path):
    from convert.torch_file import read_torch_file

    path = save_legacy(tmp_path / "a.pth", Reduce(MAPPING, ([["a", GOOD], ["b", GOOD]],)))
    tensors = read_torch_file(path)
    assert list(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["b"], np.ones(3, np.float32))
