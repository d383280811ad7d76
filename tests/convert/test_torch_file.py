"""Reading of PyTorch files: every kind of tensor comes out as it went in, in both layouts."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from convert.from_torch import main
from convert.torch_file import read_torch_file
from tests.convert.reading import refused
from tests.convert.writer import (
    KINDS,
    SAVERS,
    Global,
    Reduce,
    StateDict,
    Storage,
    Tensor,
    save_legacy,
    save_zip,
    tensor,
)
from ttd_jax.errors import CheckpointError
from ttd_jax.io.images import write_image

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", KINDS)
def test_number_types(save, dtype):
    numbers = (RNG.normal(size=(3, 4)) * 9).astype(getattr(ml_dtypes, dtype, dtype))
    read = read_torch_file(save(StateDict(a=tensor(numbers))))["a"]
    assert read.dtype == numbers.dtype
    np.testing.assert_array_equal(read, numbers)


@given(array=arrays(np.float32, array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)))
@pytest.mark.parametrize("layout", SAVERS)
def test_any_shape(tmp_path_factory, layout, array):
    path = SAVERS[layout](tmp_path_factory.mktemp("pth") / "a.pth", {"a": tensor(array)})
    np.testing.assert_array_equal(read_torch_file(path)["a"], array)


def test_names_come_from_nested_mappings(save):
    one, two, three = (tensor(RNG.random(n).astype(np.float32)) for n in (1, 2, 3))
    root = {"encoder": StateDict({"module.conv1.weight": one}), "decoder": {"a": {"b": two}}, 7: three}
    tensors = read_torch_file(save(root))
    assert list(tensors) == ["encoder.module.conv1.weight", "decoder.a.b", "7"]
    np.testing.assert_array_equal(tensors["7"], three.storage.data)


def test_what_is_no_tensor_is_left_out(save):
    root = {"epoch": 3, "note": "text", "rates": [1, 2], "done": True, "none": None, "weight": tensor(np.ones(2, "f4"))}
    assert list(read_torch_file(save(root))) == ["weight"]


def test_parameters_are_tensors(save):
    values = RNG.random((2, 3)).astype(np.float32)
    np.testing.assert_array_equal(read_torch_file(save(StateDict(p=tensor(values, parameter=True))))["p"], values)


def test_views_into_one_storage(save):
    data = np.arange(24, dtype=np.float32)
    shared = Storage(data)
    root = StateDict(
        plain=Tensor(shared, (4, 6), (6, 1)),
        transposed=Tensor(shared, (6, 4), (1, 6)),
        slice=Tensor(shared, (2, 3), (6, 2), 7),
        expanded=Tensor(shared, (50, 3), (0, 1), 2),
        number=Tensor(shared, (), (), 23),
        overlapping=Tensor(shared, (5, 4), (1, 1)),
        odd=Tensor(shared, (1, 3), (10**30, 1), 21),  # a stride that is never taken may be anything
        empty=Tensor(shared, (0, 6), (6, 1), 24),
    )
    tensors = read_torch_file(save(root))
    grid = data.reshape(4, 6)
    expected = {
        "plain": grid,
        "transposed": grid.T,
        "slice": grid[1:3, 1::2],
        "expanded": np.tile(data[2:5], (50, 1)),
        "number": data[23],
        "overlapping": np.stack([data[i : i + 4] for i in range(5)]),
        "odd": data[np.newaxis, 21:],
        "empty": np.zeros((0, 6)),
    }
    assert list(tensors) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array, err_msg=name)


def test_arrays_cannot_be_written_to(save):
    read = read_torch_file(save({"a": tensor(np.ones(3, np.float32))}))["a"]
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 2


def test_the_oldest_way_to_name_a_tensor(tmp_path):
    storage = Storage(np.arange(3, dtype=np.float32))
    old = Reduce(Global("torch._utils", "_rebuild_tensor"), (storage, 0, (3,), (1,)))
    path = save_legacy(tmp_path / "old.pth", {"old": old})
    np.testing.assert_array_equal(read_torch_file(path)["old"], [0, 1, 2])


@pytest.mark.shared_data
def test_every_file_of_the_reference_data_is_read(shared_data):
    files = sorted(shared_data.glob("**/*.pth"))
    assert len(files) >= 10
    for path in files:
        assert all(np.isfinite(array).all() for array in read_torch_file(path).values()), path


@pytest.fixture(scope="module", params=SAVERS)
def sample(request, tmp_path_factory):
    """The bytes of a small file, and a path to write to."""
    path = tmp_path_factory.mktemp("sample") / "a.pth"
    root = StateDict(a=tensor(RNG.random((3, 4)).astype(np.float32)), b=tensor(np.arange(5)))
    return SAVERS[request.param](path, root).read_bytes(), path


def test_a_file_cut_anywhere_is_refused(sample):
    content, path = sample
    for size in range(len(content)):
        path.write_bytes(content[:size])
        refused(path)


@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=200)
def test_a_damaged_file_is_refused_or_gives_arrays(sample, changes):
    content, path = bytearray(sample[0]), sample[1]
    for place, value in changes:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        arrays = read_torch_file(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "begins with b'hell'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), r"begins with b'\x89PNG'"),
        (b"II*\0" + bytes(50), r"begins with b'II*\x00'"),
        (b"}q\0.", r"begins with b'}q\x00.'"),
        (b"PK\3\4" + bytes(50), "BadZipFile"),
        (b"\x80", "IndexError"),
    ],
)
def test_files_of_other_kinds(tmp_path, content, reason):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert refused(path) == f"{path} is damaged, truncated or no PyTorch file ({reason}): download it again"


def test_a_picture_called_pth(tmp_path, capsys):
    path = tmp_path / "IFCNN-MAX.pth"
    write_image(tmp_path / "a.png", np.zeros((6, 8), np.uint8))
    (tmp_path / "a.png").rename(path)
    assert main(["ifcnn", str(path), "--output", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err.startswith(
        f"ttd-jax-convert: error: {path} is damaged, truncated or no PyTorch file ("
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"\x80\x02}.", b"\x80\x02K\x05."])
def test_pickles_of_other_kinds(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert refused(path) == f"{path}: not a PyTorch file: its first entries are not PyTorch's"


def test_missing_files_and_folders(tmp_path):
    path = tmp_path / "no.pth"
    assert refused(path) == f"{path} cannot be read: No such file or directory"
    assert refused(tmp_path) == f"{tmp_path}: no file: expected a .pth file"


@pytest.mark.parametrize("root", [{}, [], 5, "text", {"epoch": 3}, [tensor(np.ones(2, np.float32))]])
def test_not_a_state_dict(save, root):
    path = save(root)
    assert refused(path) == (
        f"{path} holds no tensors by name ({type(root).__name__}): expected a state dict, "
        "what torch.save(model.state_dict(), ...) writes"
    )


def test_a_tensor_alone_is_no_state_dict(save):
    assert "holds no tensors by name (Tensor): expected a state dict" in refused(save(tensor(np.ones(2, np.float32))))


def test_big_endian_files(tmp_path):
    root = {"a": tensor(np.ones(2, np.float32))}
    assert "big-endian" in refused(save_zip(tmp_path / "a.pth", root, byteorder="big"))
    assert "big-endian" in refused(save_legacy(tmp_path / "b.pth", root, little_endian=False))
