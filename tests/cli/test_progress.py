"""How far a run is: a bar on a terminal, lines elsewhere, and nothing of either in what a command prints."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ttd_jax.cli import progress
from ttd_jax.io.images import write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("vis", "ir"):
        Path(folder).mkdir()
        for name in ("1.png", "2.png", "3.png"):
            write_image(f"{folder}/{name}", RNG.integers(0, 256, (6, 8), dtype=np.uint8))
    return tmp_path


def test_lines_in_a_log(capsys, monkeypatch):
    seconds = iter((0, 20, 40, 61, 80, 150))  # the start, then every item
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    assert list(progress.followed("abcde", 5, "fusing")) == list("abcde")
    assert capsys.readouterr().err.splitlines() == [
        "ttd-jax: fusing: 2 of 5, 0.03 a second, 92 s left",
        "ttd-jax: fusing: 4 of 5, 0.03 a second, 38 s left",
    ]


def test_a_folder_run_is_followed(ttd_jax, folders, checkpoint, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    done = ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint)
    assert (done.code, done.out) == (0, "out: 3 fused, 0 failed\n")
    assert [line.partition(",")[0] for line in done.err.splitlines()] == [
        "ttd-jax: fusing: 1 of 3",
        "ttd-jax: fusing: 2 of 3",
    ]


def test_a_short_run_says_nothing(ttd_jax, folders, checkpoint):
    assert ttd_jax("fuse", "vis", "ir", "-o", "out", "--checkpoint", checkpoint).err == ""


def test_a_bar_on_a_terminal_that_is_gone_at_the_end(folders, checkpoint):
    ours, theirs = pty.openpty()
    arguments = ["fuse", "vis", "ir", "-o", "out", "--checkpoint", str(checkpoint), "--no-compile-cache"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "ttd_jax", *arguments], env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 1000)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.stdout.read() == "out: 3 fused, 0 failed\n"
    process.stdout.close()
    assert process.wait() == 0
    assert b"fusing" in shown and b"3/3" in shown and b"a second" in shown
    assert shown.endswith((b"\x1b[2K", b"\x1b[?25h"))  # the bar's line is erased, the cursor shown again
