"""The compile cache of the command: its folder, what is damaged in it, and where there can be none."""

import os
import stat
import subprocess
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.processes import environment_of, run, write_pair
from ttd_jax.device import compile_cache_folder


class Cached(NamedTuple):
    """Runs of one command that share a cache, and what the first one left in it."""

    again: Callable[[], subprocess.CompletedProcess[str]]
    output: Path
    cache: Path
    image: bytes
    entries: dict[str, bytes]


@pytest.fixture(scope="module")
def cached(tmp_path_factory, checkpoint):
    """After a run without a cache and one with."""
    home = tmp_path_factory.mktemp("home")
    cache, output = home / "cache" / "ttd-jax" / "compiled", home / "out.png"
    arguments = ["fuse", *write_pair(home), "-o", output, "--checkpoint", checkpoint, "--overwrite"]
    assert run([*arguments, "--no-compile-cache"], environment_of(home)).returncode == 0
    assert not cache.exists()
    done = run(arguments, environment_of(home))
    assert (done.returncode, done.stderr) == (0, "")
    kept = sorted([*cache.glob("*-cache"), *cache.glob("*.program")])
    entries = {path.name: path.read_bytes() for path in kept}
    assert sum(name.endswith(".program") for name in entries) == 1
    return Cached(partial(run, arguments, environment_of(home)), output, cache, output.read_bytes(), entries)


def test_the_compile_cache(cached):
    assert stat.S_IMODE(cached.cache.stat().st_mode) == 0o700
    for name, content in cached.entries.items():
        (cached.cache / name).write_bytes(content)
    programs = {path: path.stat().st_ino for path in cached.cache.glob("*.program")}
    assert cached.again().returncode == 0
    assert {path: path.stat().st_ino for path in cached.cache.glob("*.program")} == programs  # not written again
    assert cached.output.read_bytes() == cached.image


DAMAGE = {"cut": lambda data: data[: len(data) // 2], "empty": lambda data: b"", "other": lambda data: b"other" * 100}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_no_error_and_mended(cached, damage):
    damaged = {name: damage(content) for name, content in cached.entries.items()}
    for name, content in damaged.items():
        (cached.cache / name).write_bytes(content)
    done = cached.again()
    assert (done.returncode, done.stderr, cached.output.read_bytes()) == (0, "", cached.image)
    kept = {entry.name: entry.read_bytes() for entry in cached.cache.iterdir()}
    assert sum(name.endswith(".program") for name in kept) == 1 and not {*kept.values()} & {*damaged.values()}


def test_other_warnings_are_shown(tmp_path, monkeypatch):
    from ttd_jax import device

    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        device._drop_what_cannot_be_read(tmp_path)
        (tmp_path / "jit_a-1-cache").touch()
        warnings.warn("something else", stacklevel=1)
        warnings.warn("Error writing persistent compilation cache entry for 'jit_a': full", stacklevel=1)
    assert shown == ["something else"]
    assert not list(tmp_path.iterdir())


def test_a_cache_folder_others_may_enter_is_closed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "ttd-jax" / "compiled"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    assert compile_cache_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_cache_where_there_can_be_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert compile_cache_folder() is None
    assert capsys.readouterr().err.startswith("ttd-jax: no compile cache (")


def test_a_cache_of_someone_else_is_not_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert compile_cache_folder() is None
    assert "belongs to someone else" in capsys.readouterr().err
