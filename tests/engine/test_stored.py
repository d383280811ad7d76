"""Programs that are kept in a folder: a process that finds its own computes the same, and no other one is taken."""

import hashlib
import pickle
import shutil
import zlib
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

from tests import analytic
from tests.engine.test_compile import counted
from ttd_jax import Fuser, LossWeighting
from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.pyramid import Pyramid
from ttd_jax.engine import stored
from ttd_jax.engine.memory import needed_memory

SHAPE = (2, 21, 26)


@pytest.fixture(autouse=True, scope="module")
def _nothing_comes_from_the_cache_of_jax():
    shortest = jax.config.values[stored._SHORTEST]
    jax.config.update(stored._SHORTEST, float("inf"))
    yield
    jax.config.update(stored._SHORTEST, shortest)


@pytest.fixture
def rng():
    return np.random.default_rng()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with the program of grey pairs of one size."""
    folder = tmp_path_factory.mktemp("programs")
    make(folder)([*np.random.default_rng(0).random(SHAPE)])
    return folder


def make(folder, **options):
    """A fuser that shares nothing with those before but the folder."""
    jax.clear_caches()
    return Fuser(load_backbone("pyramid"), program_folder=folder, **options)


def compiled(run, *arguments):
    """How many fusions were compiled, and the result."""
    with counted() as programs:
        result = run(*arguments)
    return len(programs), result


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_read_computes_what_is_compiled(filled, rng):
    sources = [*rng.random(SHAPE).astype(np.float32)]
    plain = Fuser(load_backbone("pyramid"))(sources)
    count, kept = compiled(make(filled), sources)
    assert count == 0 and len(entries(filled)) == 1
    for name in ("image", "weights", "losses", "components"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(plain, name))
    assert kept.report["weighting"] == plain.report["weighting"]


def test_numbers_are_not_part_of_the_name(filled, rng):
    sources = [*rng.random(SHAPE).astype(np.float32)]
    weighting = LossWeighting(saliency=2.5)
    plain = Fuser(load_backbone("pyramid"), weighting=weighting)(sources)
    count, kept = compiled(make(filled, weighting=weighting), sources)
    assert count == 0
    np.testing.assert_array_equal(kept.image, plain.image)


def arguments(weighting, shape=(2, 8, 8, 1)):
    return {}, weighting, jax.ShapeDtypeStruct(shape, np.float32), np.zeros(shape[0], bool)


def test_whatever_makes_another_program_has_another_name(monkeypatch):
    weighting = load_backbone("pyramid").recipes["default"]
    usual = arguments(weighting)
    names = [
        stored.key_of(Pyramid(), usual, "gray"),
        stored.key_of(Pyramid(), usual, "luma"),
        stored.key_of(Pyramid(), arguments(weighting, (3, 8, 8, 1)), "gray"),
        stored.key_of(Pyramid(), arguments(weighting, (2, 8, 9, 1)), "gray"),
        stored.key_of(Pyramid(), arguments(replace(weighting, form="exp")), "gray"),
        stored.key_of(load_backbone().model, usual, "gray"),
    ]
    assert stored.key_of(Pyramid(), usual, "gray") == names[0]
    with jax.enable_x64(True):
        names.append(stored.key_of(Pyramid(), usual, "gray"))
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    names.append(stored.key_of(Pyramid(), usual, "gray"))
    monkeypatch.setattr(stored, "_processor", lambda: "another")
    names.append(stored.key_of(Pyramid(), usual, "gray"))
    monkeypatch.setattr(stored, "sources_hash", lambda: "changed")
    names.append(stored.key_of(Pyramid(), usual, "gray"))
    assert None not in names and len(set(names)) == len(names)


def test_any_change_of_a_source_file_is_seen(tmp_path, monkeypatch):
    package = shutil.copytree(stored._PACKAGE, tmp_path / "ttd_jax", ignore=shutil.ignore_patterns("checkpoints"))
    monkeypatch.setattr(stored, "_PACKAGE", package)
    before = stored.sources_hash.__wrapped__()
    assert before == stored.sources_hash()
    path = package / "ops" / "pyramid.py"
    path.write_text(path.read_text().replace("3 / 8", "2 / 8"))
    assert stored.sources_hash.__wrapped__() != before


@dataclass(frozen=True)
class Halved(Pyramid):
    """A model of a user's, which may change without a trace in the package."""


def test_what_is_not_of_the_package_is_never_kept(tmp_path, rng):
    weighting = load_backbone("pyramid").recipes["default"]
    assert stored.key_of(Halved(), arguments(weighting), "gray") is None
    own = replace(weighting, bands=1, loss=lambda component, source: abs(component - source)[..., 0])
    assert stored.key_of(Pyramid(), arguments(own), "gray") is None
    Fuser(analytic.backbone("sum"), program_folder=tmp_path)([*rng.random(SHAPE)])
    assert not entries(tmp_path)


def _signed(data):
    packed = zlib.compress(data)
    return hashlib.sha256(packed).digest() + packed


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "no program": lambda data: _signed(pickle.dumps(("a", "b", "c"))),
    "another program": lambda data: _signed(b"other" * 100),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_compiled_and_written_anew(filled, tmp_path, rng, damage):
    folder = shutil.copytree(filled, tmp_path / "programs")
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    sources = [*rng.random(SHAPE).astype(np.float32)]
    result = make(folder)(sources)
    np.testing.assert_array_equal(result.image, Fuser(load_backbone("pyramid"))(sources).image)
    assert entries(folder) == [path.name] and path.read_bytes() != damaged
    assert compiled(make(folder), sources)[0] == 0


def test_a_program_that_does_not_run_is_compiled(filled, tmp_path, monkeypatch, rng):
    class Broken:
        def __call__(self, *arguments):
            raise jax.errors.JaxRuntimeError("NOT_FOUND: Function fusion.9 not found")

    folder = shutil.copytree(filled, tmp_path / "programs")
    monkeypatch.setattr(stored, "load", lambda *_: stored.Read(Broken(), None))
    sources, fuser = [*rng.random(SHAPE).astype(np.float32)], make(folder)
    count, result = compiled(fuser, sources)
    assert count == 1 and compiled(fuser, sources)[0] == 0
    np.testing.assert_array_equal(result.image, Fuser(load_backbone("pyramid"))(sources).image)


def test_what_comes_from_the_cache_of_jax_is_not_kept(tmp_path, monkeypatch, rng):
    """XLA writes such a program without some of its functions."""
    with stored.fresh() as was_fresh:
        jax.monitoring.record_event(stored._HIT)
    assert not was_fresh()
    with stored.fresh() as was_fresh:
        assert jax.config.values[stored._SHORTEST] == float("inf")
    assert was_fresh()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, rng):
    assert make(tmp_path / "missing")([*rng.random(SHAPE)]).image.shape == SHAPE[1:]


def test_an_entry_says_what_memory_the_program_takes(filled):
    found = stored.load(filled, filled.glob("*").__next__().stem)
    asked = found.compiled.memory_analysis()
    assert found.sizes == tuple(getattr(asked, name) for name in stored.Sizes._fields)
    assert found.sizes.output_size_in_bytes > 0
    assert needed_memory(stored.Kept(found, lambda: None)) == sum(found.sizes)


def test_those_used_longest_ago_are_removed(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "MOST", 2)
    program = stored.load(filled, filled.glob("*").__next__().stem).compiled
    for name in ("a", "b", "c"):
        stored.keep(tmp_path, name, program)
        (tmp_path / f"{name}.program").touch()
    assert entries(tmp_path) == ["b.program", "c.program"]
