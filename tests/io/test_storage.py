"""Files on other storage, by fsspec's memory: found, read and written as those of this machine are."""

import uuid
from pathlib import Path

import fsspec
import numpy as np
import pandas
import pytest
from PIL import Image

from ttd_jax import InputError, fuse
from ttd_jax.io.folders import match_patterns, match_stems, read_manifest
from ttd_jax.io.images import declared_size, read_image, write_image
from ttd_jax.io.outputs import plan, refuse_clashes
from ttd_jax.io.storage import Address, existing, exists, files_in, place, remove, whole_file

RNG = np.random.default_rng(0)


@pytest.fixture
def folder():
    """A folder of its own in the memory of this process."""
    return Address(f"memory://{uuid.uuid4().hex}")


def fill(folder, *names):
    for name in names:
        write_image(folder / name, RNG.integers(0, 65536, (6, 8), dtype=np.uint16))


def test_names():
    assert place("s3://bucket/a.b/c.png").suffix == ".png" and place("s3://bucket/a/").name == "a"
    assert isinstance(place("C://x"), Address) is False and not isinstance(place("http://a/b.png"), Address)
    assert Address("s3://b/day/1.png").relative_to(Address("s3://b")).as_posix() == "day/1.png"


def test_sixteen_bits_orientation_and_limits_hold_there_too(folder, tmp_path, monkeypatch):
    pixels = RNG.integers(0, 65536, (6, 8, 3), dtype=np.uint16)
    for ending in (".png", ".tif"):
        write_image(folder / f"a{ending}", pixels)
        np.testing.assert_array_equal(read_image(folder / f"a{ending}").pixels, pixels)
        assert declared_size(folder / f"a{ending}") == (6, 8, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "turned.png", exif=exif)
    fsspec.filesystem("memory").pipe_file(f"{folder}/turned.png", (tmp_path / "turned.png").read_bytes())
    np.testing.assert_array_equal(read_image(f"{folder}/turned.png").pixels, read_image(tmp_path / "turned.png").pixels)
    monkeypatch.setenv("TTD_JAX_MAX_PIXELS", "40")
    with pytest.raises(InputError, match=rf"^{folder}/a\.png says it has 8 x 6 pixels, and no more than 40 are read"):
        read_image(folder / "a.png")


def test_a_size_is_found_in_the_first_bytes(folder, monkeypatch):
    write_image(folder / "a.png", RNG.integers(0, 65536, (300, 400), dtype=np.uint16))  # more than 64 kB
    memory, asked = fsspec.filesystem("memory"), []
    cat_file = type(memory).cat_file
    monkeypatch.setattr(type(memory), "get_file", lambda *_, **__: pytest.fail("the whole file was fetched"))
    monkeypatch.setattr(type(memory), "cat_file", lambda *a, **k: asked.append(k["end"]) or cat_file(*a, **k))
    assert declared_size(folder / "a.png") == (300, 400, 1) and max(asked) <= 65536


def test_a_folder_is_listed_as_it_is_now(folder, monkeypatch):
    fill(folder, "a.png")
    asked = []
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "invalidate_cache", lambda *_: asked.append(1))
    assert files_in(folder) == [folder / "a.png"] and asked  # what a storage remembers may be old


def test_an_output_is_no_source_by_another_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("a.png", RNG.integers(0, 256, (6, 8), dtype=np.uint8))
    Path("link.png").symlink_to("a.png")
    for name in ("link.png", str(tmp_path / "a.png"), "./a.png"):
        with pytest.raises(InputError, match="is also a source or another output"):
            refuse_clashes([Path(name)], [Path("a.png")])


def test_a_list_with_an_open_quote_is_refused(tmp_path):
    (tmp_path / "sets.csv").write_text('near,far\na.png,"b.png"c\n')
    with pytest.raises(InputError, match=r"sets\.csv is a list of sets as CSV, JSON .*; it cannot be read"):
        read_manifest(tmp_path / "sets.csv")


def test_a_fusion_names_the_files_as_it_does_here(folder, tmp_path):
    fill(folder, "a.png", "b.png")
    result = fuse([str(folder / "a.png"), folder / "b.png"], backbone="pyramid")
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, read_image(folder / name).pixels)
    here = fuse([tmp_path / "a.png", tmp_path / "b.png"], backbone="pyramid")
    assert result.report["sources"] == here.report["sources"] == ["a.png", "b.png"]
    np.testing.assert_array_equal(result.image, here.image)
    result.save(folder / "fused.png")
    np.testing.assert_array_equal(read_image(folder / "fused.png").pixels, here.image)
    with pytest.raises(InputError, match=r"output .*/fused\.png exists already"):
        result.save(folder / "fused.png")


def test_sets_by_folders_patterns_and_lists(folder):
    fill(folder, "vis/1.png", "vis/2.png", "ir/1.tif", "ir/deep/2.png", "vis/.3.png")
    sets = match_stems([folder / "vis", folder / "ir"])
    assert sets.complete == {"1": [folder / "vis/1.png", folder / "ir/1.tif"]}
    assert sets.incomplete == {"2": [folder / "ir"]}
    assert match_stems([folder, folder], recursive=True).complete.keys() == {"vis/1", "vis/2", "ir/1", "ir/deep/2"}
    sets = match_patterns([f"{folder}/vis/{{}}.png", f"{folder}/ir/**/{{}}.*"])
    assert sets.complete.keys() == {"1", "2"} and sets.complete["2"][1] == folder / "ir/deep/2.png"
    storage = fsspec.filesystem("memory")
    storage.pipe_file(f"{folder}/sets.csv", b"visible,infrared\nvis/1.png,ir/1.tif\nvis/2.png,/data/2.png\n")
    roles, listed = read_manifest(folder / "sets.csv")
    assert roles == ["visible", "infrared"]
    assert listed.complete["1"] == [folder / "vis/1.png", folder / "ir/1.tif"]
    assert str(listed.complete["2"][1]) == "/data/2.png"
    with whole_file(folder / "sets.parquet") as temporary:
        pandas.DataFrame({"name": ["x"], "a": ["vis/1.png"], "b": [f"{folder}/ir/1.tif"]}).to_parquet(temporary)
    assert read_manifest(folder / "sets.parquet")[1].complete == {"x": [folder / "vis/1.png", folder / "ir/1.tif"]}
    storage.pipe_file(f"{folder}/bad.parquet", b"PAR1 and no more")
    with pytest.raises(InputError, match=r"bad\.parquet is a list of sets as CSV, JSON lines or Parquet; it cannot be"):
        read_manifest(folder / "bad.parquet")


def test_what_is_there_is_left_alone(folder):
    fill(folder, "a/1.png", "a/2.png", "b/1.png", "b/2.png", "out/1.png")
    sets = match_stems([folder / "a", folder / "b"])
    planned = plan(sets, [folder / "out", None, None])
    assert planned.kept == ["1"] and list(planned.wanted) == ["2"] and not planned.failures
    planned = plan(sets, [folder / "out", folder / "weights", None])
    assert planned.failures["1"].endswith(f"exists already without {folder}/weights/1.png: pass --overwrite")
    assert list(plan(sets, [folder / "out", folder / "weights", None], complete=True).wanted) == ["1", "2"]
    assert list(plan(sets, [folder / "out", None, None], overwrite=True).wanted) == ["1", "2"]


def test_a_file_is_written_whole_or_not_at_all(folder):
    fill(folder, "a.png")
    with pytest.raises(RuntimeError), whole_file(folder / "b.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files_in(folder) == [folder / "a.png"]
    with whole_file(folder / "b.txt") as temporary:
        temporary.write_text("all")
    assert files_in(folder) == [folder / "a.png", folder / "b.txt"] and exists(folder / "b.txt")
    there = existing(folder)
    assert there(folder / "b.txt") and not there(folder / "c.txt")
    remove(folder / "b.txt")
    remove(folder / "b.txt")
    assert not exists(folder / "b.txt")


class Failing(fsspec.AbstractFileSystem):
    """A storage whose every answer is an error."""

    protocol = "failing"
    error: Exception

    def get_file(self, path, file, **options):
        raise self.error

    def ls(self, path, **options):
        raise self.error


class NoCredentialsError(Exception):
    """As botocore calls it."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError("a"), "there is no such file or folder"),
        (PermissionError("Forbidden"), r"access is denied \(Forbidden\): check credentials and what they allow"),
        (NoCredentialsError("Unable"), "no credentials were found: set them as its storage wants them"),
        (RuntimeError("one\ntwo"), "one$"),
    ],
)
def test_what_a_storage_raises_is_one_line(error, told, monkeypatch):
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(Failing, "error", error, raising=False)
    with pytest.raises(InputError, match=f"^cannot read failing://a/b.png: {told}"):
        read_image("failing://a/b.png")
    with pytest.raises(InputError, match=f"^cannot read failing://a: {told}"):
        match_stems(["failing://a", "failing://b"])


def test_a_storage_that_there_is_not():
    with pytest.raises(InputError, match=r"fsspec knows no storage called nothing; got nothing://a/b\.png"):
        read_image("nothing://a/b.png")
