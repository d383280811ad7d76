"""Files made to harm: nothing in them runs, nothing beyond their bytes is read, and what they asked for is named."""

import copyreg
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from convert.torch_file import read_torch_file
from tests.convert.reading import refused
from tests.convert.writer import (
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


@pytest.fixture
def canary(tmp_path):
    """A command that would leave a trace."""
    yield f"touch {tmp_path / 'ran'}"
    assert not (tmp_path / "ran").exists()


def good():
    return tensor(np.ones(3, np.float32))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "subprocess.Popen",
        "builtins.eval",
        "builtins.exec",
        "builtins.getattr",
        "builtins.__import__",
        "__builtin__.eval",
        "importlib.import_module",
        "functools.partial",
        "operator.attrgetter",
        "codecs.encode",
        "copyreg._reconstructor",
        "numpy.core.multiarray._reconstruct",
        "torch.load",
        "torch.hub.load",
        "torch.storage._load_from_bytes",
        "torch.jit.load",
        "torch.nn.modules.linear.Linear",
        "__torch__.models.IFCNN",
        "myNetwork.myIFCNN",
        "collections.OrderedDict.fromkeys",
        "collections.OrderedDict.__init__.__globals__",
        "torch._utils._rebuild_tensor_v2.__call__",
        "torch.FloatStorage.__class__",
        "torch.UnknownStorage",
        "torch._utils.importlib",
    ],
)
@pytest.mark.parametrize("opcode", ["GLOBAL", "STACK_GLOBAL", "INST", "OBJ"])
def test_whatever_is_asked_for_is_refused_by_name(save, canary, name, opcode):
    # the longest known module first, the rest is a nested attribute
    module, attribute = next(
        (m, name[len(m) + 1 :])
        for m in ("collections", "torch._utils", "torch", name.rpartition(".")[0])
        if name.startswith(m + ".")
    )
    arguments = (canary,)
    attack = {
        "GLOBAL": Reduce(Global(module, attribute), arguments),
        "STACK_GLOBAL": Raw(encode(module) + encode(attribute) + b"\x93" + encode(arguments) + b"R"),
        "INST": Raw(b"(" + encode(canary) + f"i{module}\n{attribute}\n".encode()),
        "OBJ": Raw(b"(" + encode(Global(module, attribute)) + encode(canary) + b"o"),
    }[opcode]
    message = refused(save(StateDict(a=good(), b=attack)))
    assert f"refused: the file asks for {name}, which a state dict does not need; nothing of it was run" in message


def test_a_real_exploit_is_refused(tmp_path, canary):
    class Exploit:
        def __reduce__(self):
            return os.system, (canary,)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / "exploit.pth"
        path.write_bytes(pickle.dumps({"weight": Exploit()}, protocol))
        assert (".system" if protocol >= 2 else "no PyTorch file (begins with ") in refused(path)


@pytest.mark.parametrize("code", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"])
def test_callables_by_number_are_refused(save, canary, code):
    copyreg.add_extension("os", "system", 0xF0)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")  # somebody has used it before: pickle does not look it up again
        message = refused(save({"a": Raw(code + encode((canary,)) + b"R")}))
    finally:
        copyreg.remove_extension("os", "system", 0xF0)
        copyreg.clear_extension_cache()
    assert "asks for a callable by number" in message


@pytest.mark.parametrize(
    "stand_in",
    [
        Global("torch._utils", "_rebuild_tensor_v2"),
        Global("torch._utils", "_rebuild_parameter"),
        Global("torch", "FloatStorage"),
        good(),
        Storage(np.ones(3, np.float32)),
    ],
    ids=["rebuild", "parameter", "type", "tensor", "storage"],
)
@pytest.mark.parametrize("state", [{"offset": 10**9, "size": 10**9, "dtype": "O"}, (None, {"offset": 10**9})])
def test_the_state_of_a_stand_in_cannot_be_set(save, stand_in, state):
    assert "refused: the file tries to alter a tensor's description" in refused(save({"a": Build(stand_in, state)}))


@pytest.mark.parametrize(
    "attributes", [{"items": Global("torch._utils", "_rebuild_parameter")}, {"__class__": 5}, {"": 5}]
)
def test_the_state_of_an_ordered_dict_is_harmless(save, attributes):
    assert list(read_torch_file(save(Build(StateDict(a=good()), attributes)))) == ["a"]
    assert OrderedDict(a=1).items() and type(OrderedDict()) is OrderedDict


@pytest.mark.parametrize("name", [("collections", "OrderedDict"), ("torch", "Size")])
@pytest.mark.parametrize("state", [{"items": 5}, (None, {"items": 5}), ({}, {"__init__": 5})])
def test_classes_cannot_be_altered(save, name, state):
    assert "refused: the file tries to alter" in refused(save({"a": Build(Global(*name), state)}))
    assert list(OrderedDict(a=1).items()) == [("a", 1)]


def view(length, shape, strides, offset=0, **options):
    return {"weight": Tensor(Storage(np.arange(length, dtype=np.float32), **options), shape, strides, offset)}


@pytest.mark.parametrize(
    "root",
    [
        view(6, (7,), (1,)),
        view(6, (2, 3), (4, 1)),
        view(6, (6,), (1,), 1),
        view(6, (), (), 6),
        view(6, (1,), (1,), 10**6),
        view(6, (1,), (1,), 2**62),
        view(6, (2**40, 2**40), (1, 1)),
        view(6, (2,), (2**62,)),
        view(0, (1,), (1,)),
    ],
)
def test_nothing_beyond_a_storage_is_read(save, root):
    assert "weight reaches beyond its stored bytes: the file is damaged or truncated" in refused(save(root))


@pytest.mark.parametrize(
    "root",
    [
        view(6, (3,), (1,), -1),
        view(6, (3,), (-1,), 5),
        view(6, (-3,), (1,)),
        view(6, (-1, -1), (1, 1)),
        view(6, (2, 3), (3,)),
        view(6, (2,), (3, 1)),
    ],
)
def test_shapes_that_cannot_be(save, root):
    assert "weight has an impossible shape: the file is damaged" in refused(save(root))


@pytest.mark.parametrize("size", [5, 7, -6, 2**62, 2**80])
def test_a_storage_of_another_size_than_stated(save, size):
    message = refused(save(view(6, (2,), (1,), size=size)))
    assert "bytes, not those of its numbers" in message or "ends before its last number: truncated" in message


REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
FLOATS = Global("torch", "FloatStorage")


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (view(6, "ab", (1,)), "a shape that is not of at most 16 sides"),
        (view(6, ("x",), (1,)), "a size or offset that is no whole number"),
        (view(6, 6, 1), "a shape that is not of at most 16 sides"),
        (view(6, (3,), (1,), None), "a size or offset that is no whole number"),
        (view(6, (1,) * 100, (1,) * 100), "a shape that is not of at most 16 sides"),
        (view(6, (0, 2**62, 2**62), (1, 1, 1)), "no PyTorch file (ValueError)"),
        ({"weight": Reduce(REBUILD, ("no storage", 0, (1,), (1,)))}, "a tensor without a storage"),
        ({"weight": Reduce(REBUILD, ())}, "no PyTorch file (TypeError)"),
        ({"weight": Reduce(5, ())}, "no PyTorch file (TypeError)"),
        ({"weight": Reduce(FLOATS, ())}, "no PyTorch file (TypeError)"),
        (
            {"weight": Raw(encode(("module", FLOATS, "0", "cpu", 3)) + b"Q")},
            "an entry that is not a tensor's storage",
        ),
        ({"weight": Raw(encode(("storage", 5, "0", "cpu", 3)) + b"Q")}, "an entry that is not a tensor's storage"),
        ({"weight": Raw(encode(5) + b"Q")}, "an entry that is not a tensor's storage"),
        ({"weight": Raw(b"Pname\n")}, "an entry that is not a tensor's storage"),
        ({"weight": Raw(b"\x97")}, "the file has sets or objects, which a state dict does not need"),
        ({"weight": Raw(b"h\x07")}, "no PyTorch file (UnpicklingError)"),
    ],
)
def test_nonsense_is_refused(save, root, reason):
    assert reason in refused(save(root))


def test_names_cannot_write_to_the_terminal(save):
    message = refused(save({"a": good(), "b": Global("evil\x1b[2J", "x" * 1000)}))
    assert message.isprintable() and "evil\\x1b[2J.xxx" in message and len(message) < 700
    tensors = read_torch_file(save({"line\nbreak\x1b[0m": good(), "k" * 1000: good()}))
    assert list(tensors) == ["line\\nbreak\\x1b[0m", "k" * 200 + "..."]


def test_a_small_file_cannot_fill_the_memory(tmp_path):
    claims = {
        "memo": b"\x80\x02Nr\xff\xff\xff\x3f.",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**36) + b"x.",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**36) + b"x.",
        "array": b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"x.",
        "number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**36) + b"N.",
    }
    for name, content in claims.items():
        path = tmp_path / name
        path.write_bytes(content)
        tracemalloc.start()
        refused(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5e6, name


def test_many_large_views_share_their_bytes(tmp_path):
    storage = Storage(np.ones(1000, np.float32))
    path = save_zip(tmp_path / "a.pth", {str(i): Tensor(storage, (10**6, 1000), (0, 1)) for i in range(100)})
    tracemalloc.start()
    tensors = read_torch_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(tensors) == 100 and peak < 5e6


def test_mappings_that_share_mappings(save):
    twice = b"}(" + encode("a") + b"h\x00" + encode("b") + b"h\x00uq\x00"  # a mapping that holds the last one twice
    bomb = Raw(b"}q\x000" + b"0".join([twice] * 40))
    assert "mappings stand in mappings, more than 16 deep: not a state dict" in refused(save({"deep": bomb}))


def test_a_mapping_that_holds_itself(save):
    assert "stands in two places" in refused(save({"a": good(), "loop": Raw(b"}q\x00(" + encode("b") + b"h\x00u")}))


def test_depth_without_end(save):
    bomb = Raw((b"}(" + encode("k")) * 5000 + b"N" + b"u" * 5000)
    assert "mappings stand in mappings, more than 16 deep" in refused(save({"deep": bomb}))


def test_a_storage_that_is_not_there(tmp_path):
    lost = Storage(np.ones(3, np.float32))
    code = encode({"a": Tensor(lost, (3,), (1,))})
    assert "is damaged" in refused(save_zip(tmp_path / "a.pth", {"x": Raw(code)}))
    legacy = encode({"a": Tensor(lost, (3,), (1,))}, legacy=True)
    assert "reaches beyond its stored bytes" in refused(save_legacy(tmp_path / "b.pth", {"x": Raw(legacy)}))
