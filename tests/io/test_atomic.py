"""Files and folders appear whole or not at all, and nothing is replaced without being asked."""

import os
import resource
import stat
from contextlib import contextmanager

import numpy as np
import pytest

from tests.io.files import RGB8
from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file, atomic_folder, check_output
from ttd_jax.io.images import formats, read_image, write_image

NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)


@contextmanager
def full_disk(size):
    """No file may grow beyond ``size`` bytes: writing fails as on a full disk, in C code too."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("name", [*(f"a{suffix}" for suffix in formats.suffixes(writable=True)), "deep.png"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_full_disk_leaves_no_half_file_and_keeps_the_old_one(tmp_path, name, exists):
    path = tmp_path / name
    if exists:
        write_image(path, RGB8)
        before = path.read_bytes()
    with full_disk(5000), pytest.raises(OSError):
        write_image(path, NOISE.astype(np.uint16) * 257 if name == "deep.png" else NOISE, overwrite=True)
    assert os.listdir(tmp_path) == ([name] if exists else [])
    if exists:
        assert path.read_bytes() == before


def test_an_existing_file_is_kept_unless_overwriting_is_asked(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, RGB8)
    with pytest.raises(InputError) as caught:
        write_image(path, 255 - RGB8)
    assert str(caught.value) == (
        f"output {path} exists already: choose another name or pass --overwrite (overwrite=True)"
    )
    np.testing.assert_array_equal(read_image(path).pixels, RGB8)
    write_image(path, 255 - RGB8, overwrite=True)
    np.testing.assert_array_equal(read_image(path).pixels, 255 - RGB8)


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError) as caught:
        write_image(tmp_path / "no" / "a.png", RGB8)
    assert str(caught.value) == f"output folder {tmp_path / 'no'} does not exist: create it first"


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # permissions mean nothing to a superuser
    with pytest.raises(InputError) as caught:
        check_output(tmp_path / "a.png")
    assert str(caught.value) == f"output folder {tmp_path} is not writable: choose another one"


def test_a_folder_is_not_a_file_nor_the_other_way_round(tmp_path):
    (tmp_path / "a.png").mkdir()
    with (
        pytest.raises(InputError, match=r"a\.png is a folder: name a file"),
        atomic_file(tmp_path / "a.png", overwrite=True),
    ):
        pass
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="file is a file: name a folder"),
        atomic_folder(tmp_path / "file", overwrite=True),
    ):
        pass
    assert sorted(os.listdir(tmp_path)) == ["a.png", "file"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    old = os.umask(0o027)
    try:
        write_image(tmp_path / "a.png", RGB8)
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "x").touch()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_a_name_of_the_longest_kind(tmp_path):
    name = "n" * 251 + ".png"
    write_image(tmp_path / name, RGB8)
    assert os.listdir(tmp_path) == [name]


def test_a_name_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("a.png", RGB8)
    np.testing.assert_array_equal(read_image("a.png").pixels, RGB8)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path, exists, error):
    path = tmp_path / "folder"
    if exists:
        path.mkdir()
        (path / "old").write_text("old")
    with pytest.raises(error), atomic_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
        raise error
    assert os.listdir(tmp_path) == (["folder"] if exists else [])
    assert not exists or os.listdir(path) == ["old"]


def test_a_folder_whose_last_rename_fails_is_put_back(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    rename = os.rename

    def fail(source, target):
        if str(target) == str(path) and not str(source).endswith(".old"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no"), atomic_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(path) == ["old"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "folder"
    for name in ("one", "two"):
        with atomic_folder(path, overwrite=True) as folder:
            (folder / name).write_text(name)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(path) == ["two"]
    with pytest.raises(InputError, match="exists already"), atomic_folder(path):
        pass
