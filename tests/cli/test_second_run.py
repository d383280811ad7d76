"""A second run over folders: it keeps what is complete, completes the rest, and removes what a killed run left."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ttd_jax.io.images import write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("vis", "ir"):
        Path(folder).mkdir()
        for name in ("1.png", "2.png", "3.png"):
            write_image(f"{folder}/{name}", RNG.integers(0, 256, (16, 20), dtype=np.uint8))
    return tmp_path


def test_a_second_run_completes_the_first(ttd_jax, folders, checkpoint):
    arguments = ["fuse", "vis", "ir", "-o", "out", "--save-weights", "w", "--checkpoint", checkpoint]
    assert ttd_jax(*arguments).out == "out: 3 fused, 0 failed\n"
    whole = {path: path.read_bytes() for path in [*Path("out").iterdir(), *Path("w").iterdir()]}
    kept = Path("out/1.png").stat().st_mtime_ns
    Path("out/2.png").unlink()  # killed between weights and image
    Path("out/3.png").unlink()
    Path("w/3.png").unlink()
    done = ttd_jax(*arguments)
    assert (done.code, done.out) == (0, "out: 2 fused, 0 failed\n")
    assert "note: 1 existed already and were kept: --overwrite replaces them" in done.err
    assert {path: path.read_bytes() for path in [*Path("out").iterdir(), *Path("w").iterdir()]} == whole
    assert Path("out/1.png").stat().st_mtime_ns == kept


def test_an_image_without_its_weights_is_said(ttd_jax, folders, checkpoint):
    arguments = ["fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint]
    assert ttd_jax(*arguments).code == 0
    done = ttd_jax(*arguments, "--save-weights", "w")
    assert (done.code, done.out) == (1, "out: 0 fused, 3 failed\n")
    assert "failed: 1: out/1.png exists already without w/1.png: pass --overwrite" in done.err


def test_what_a_killed_run_left_is_removed(ttd_jax, folders, checkpoint):
    from ttd_jax.io import atomic

    Path("out").mkdir()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = Path(f"out/.1-{atomic._machine()}-{process.pid}-abcd1234.png")
    alive = Path(f"out/.1-{atomic._machine()}-{os.getpid()}-abcd1234.png")
    elsewhere = Path(f"out/.1-00000000-{process.pid}-abcd1234.png")
    others = [Path("out/.hidden.png"), Path("out/.1-5.png"), Path("out/1-abcdabcd-1-abcd1234.txt")]
    for path in (dead, alive, elsewhere, *others):
        path.touch()
    assert ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint).code == 0
    assert not dead.exists()
    assert all(path.exists() for path in (alive, elsewhere, *others))


def test_folders_in_folders_are_cleaned_too(tmp_path):
    from ttd_jax.io import atomic
    from ttd_jax.io.outputs import Planned, make_folders

    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / "day").mkdir()
    left = tmp_path / "day" / f".1-{atomic._machine()}-{process.pid}-abcd1234.png"
    left.touch()
    make_folders([tmp_path], Planned({"day/1": ([], [tmp_path / "day" / "1.png"])}, {}, []))
    assert not list((tmp_path / "day").iterdir())


def test_a_killed_writer_leaves_what_is_removed(tmp_path):
    from ttd_jax.io.atomic import remove_leavings

    script = """
import os, sys
from ttd_jax.io.atomic import atomic_file
with atomic_file(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""
    for name in ("a.png", "no-ending", "x" * 100 + ".tif"):
        subprocess.run([sys.executable, "-c", script, tmp_path / name], check=False)
    assert len(list(tmp_path.iterdir())) == 3
    assert remove_leavings(tmp_path) == 3
    assert not list(tmp_path.iterdir())
