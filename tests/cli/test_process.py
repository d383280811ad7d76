"""The command as a process of its own: what it imports, its pipes and signals, and its compile cache."""

import json
import os
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ttd_jax
from ttd_jax.device import compile_cache_folder
from ttd_jax.io.images import write_image

COMMAND = [sys.executable, "-m", "ttd_jax"]
CONVERT = [sys.executable, "-m", "ttd_jax_convert.from_torch"]
RNG = np.random.default_rng(0)


def environment_of(home):
    """A home of its own, so that no cache is shared with the user's, and buffered output as users have it."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return inherited | {"XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home), "JAX_PLATFORMS": "cpu"}


def write_pair(folder):
    names = [folder / "a.png", folder / "b.png"]
    for name in names:
        write_image(name, RNG.integers(0, 256, (20, 24), dtype=np.uint8))
    return names


@pytest.fixture
def environment(tmp_path):
    return environment_of(tmp_path)


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path)


def run(arguments, environment, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, **options
    )


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path, pair):
    script = """
import sys
from ttd_jax.cli import main

def heavy(arguments, code):
    try:
        got = main(arguments)
    except SystemExit as stop:
        got = stop.code
    assert got == code, (arguments, got)
    return sorted({"jax", "flax", "orbax", "optax"} & set(sys.modules))

a, b = sys.argv[1:]
print([
    heavy(["--help"], 0), heavy(["--version"], 0), heavy(["fuse", "--help"], 0), heavy(["fuse", a], 2),
    heavy(["fuse", a, "missing.png", "-o", "o.png"], 2), heavy(["fuse", a, b, "-o", a], 2),
    heavy(["explain", "--help"], 0), heavy(["explain", a, "missing.png"], 2), heavy(["explain", a, b, "-o", a], 2),
], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, pair)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr.splitlines()[-1] == str([[]] * 9), done.stderr


def test_help_and_version(environment):
    for arguments in ([], ["fuse"], ["info"]):
        done = run([*arguments, "--help"], environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: ttd-jax")
    assert run(["--version"], environment).stdout == f"ttd-jax {ttd_jax.__version__}\n"
    assert run([], environment).returncode == 2


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


@pytest.mark.parametrize(
    "command", ["ttd-jax info --no-compile-cache", "ttd-jax --completion bash", "ttd-jax-convert -h"]
)
def test_a_reader_that_leaves(environment, command):
    name, *arguments = command.split()
    process = subprocess.Popen(
        [*(CONVERT if name == "ttd-jax-convert" else COMMAND), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    errors = process.stderr.read()
    assert (process.wait(), errors) == (1, "")
    process.stderr.close()


def test_ctrl_c(environment, pair, checkpoint, tmp_path):
    script = """
import os, signal, sys, time
import ttd_jax.inputs
from ttd_jax.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

def interrupted(sources, **options):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

ttd_jax.inputs.check_sources = interrupted
sys.exit(main(sys.argv[1:]))
"""
    arguments = ["fuse", *pair, "-o", tmp_path / "out.png", "--checkpoint", checkpoint]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "ttd-jax: error: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("platform", ["cuda", "abacus"])
def test_a_platform_that_is_not_there(environment, pair, tmp_path, platform):
    done = run(["fuse", *pair, "-o", tmp_path / "out.png"], environment | {"JAX_PLATFORMS": platform})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ttd-jax: error: jax finds no device with JAX_PLATFORMS={platform}, only cpu:0: set another, or unset it\n"
    )


def test_ctrl_c_while_the_command_is_being_imported(monkeypatch, capsys):
    from ttd_jax.__main__ import main

    class Interrupted:
        def find_spec(self, name, *_):
            if name == "ttd_jax.cli":
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "ttd_jax.cli")
    monkeypatch.delattr(ttd_jax, "cli")
    assert main() == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("device", "extra"), [("gpu", "cuda12"), ("tpu", "tpu")])
def test_a_device_that_is_not_there(environment, pair, checkpoint, tmp_path, device, extra):
    arguments = ["fuse", *pair, "-o", tmp_path / "out.png", "--checkpoint", checkpoint, "--device", device]
    done = run(arguments, environment | {"CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ttd-jax: error: no {device} device found, only cpu:0: install the extra for it "
        f"(pip install 'ttd-jax[{extra}]') or leave --device out\n"
    )
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "no gpu device found: install the extra for it (pip install 'ttd-jax[cuda12]') or leave --device out"),
        ("cpu", "no cpu device found: leave --device out"),
        ("auto", "jax finds no device with JAX_PLATFORMS=abacus: set another, or unset it"),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend"), AssertionError()])
def test_devices_that_jax_does_not_find(ttd_jax, monkeypatch, device, message, error):
    def fail():
        raise error

    monkeypatch.setattr("jax.default_backend", fail)
    monkeypatch.setattr("jax.devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    assert ttd_jax("info", "--device", device) == (2, "", f"ttd-jax: error: {message}\n")


def test_info(ttd_jax):
    done = ttd_jax("info")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("versions   ttd-jax ") and "jax" in lines[0]
    assert lines[1].startswith("devices    cpu:0")
    assert "backbone   ifcnn: IFCNN (Zhang et al., Information Fusion 2020)" in lines
    assert any("83,587 parameters, 3 channel(s), looks 5 pixels far; presets max, mean, sum" in line for line in lines)


def test_info_as_json(ttd_jax):
    facts = json.loads(ttd_jax("info", "--json").out)
    assert set(facts) == {"versions", "devices", "backbones", "checkpoints"}
    ifcnn = next(row for row in facts["backbones"] if row["name"] == "ifcnn")
    assert (ifcnn["parameters"], ifcnn["channels"], ifcnn["presets"]) == (83_587, 3, ["max", "mean", "sum"])


def test_what_is_to_be_done_at_the_end_is_done(environment, pair, tmp_path):
    """The process ends without taking modules down, and not before its threads and what was registered."""
    script = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from ttd_jax import cli
from ttd_jax.__main__ import command

fuse = cli.main

def main():
    code = fuse()
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    return code

cli.main = main
pool = ThreadPoolExecutor(1)  # whose thread waits for work until it is told that there will be none
pool.submit(print, "pool").result()
atexit.register(print, "registered")
command()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "fuse", *map(str, pair), "-o", str(tmp_path / "o.png"), "--backbone", "pyramid"],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["thread", "registered"]


def test_timings_add_up_to_the_process(environment, pair, tmp_path):
    arguments = ["fuse", *pair, "-o", tmp_path / "o.png", "--backbone", "pyramid", "--timings", "--json"]
    started = time.monotonic()
    done = run(arguments, environment)
    seconds = time.monotonic() - started
    assert done.returncode == 0
    found = json.loads(done.stdout)["timeline"]
    steps = [row["step"] for row in found["steps"]]
    assert steps == ["start", "imports", "read", "jax", "network", "program", "fuse", "write"]
    assert sum(row["seconds"] for row in found["steps"]) == pytest.approx(found["seconds"], abs=0.01)
    assert 0 < found["seconds"] <= seconds + 0.02 and min(row["seconds"] for row in found["steps"]) >= -0.02
    assert found["peak_mb"] > 50
    told = [line.split()[0] for line in done.stderr.splitlines()]
    assert told == ["step", *steps, "all", "most"]
