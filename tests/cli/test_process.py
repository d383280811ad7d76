"""The command as a process of its own: what it imports, its pipes and signals, and how it ends."""

import json
import os
import subprocess
import sys
import time

import pytest

import ttd_jax
from tests.cli.processes import COMMAND, CONVERT, run


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


def test_a_kept_program_needs_no_flax(environment, pair, tmp_path):
    script = """
import sys
from ttd_jax.cli import main
assert main(sys.argv[1:]) == 0
print([name for name in ("flax", "optax", "orbax") if name in sys.modules])
"""
    for found in (["flax"], []):
        arguments = ["fuse", *map(str, pair), "-o", str(tmp_path / "o.png"), "--overwrite"]
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.stdout.splitlines()[-1:] == [str(found)], done.stderr
