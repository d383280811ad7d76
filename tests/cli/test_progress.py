"""How far a run is: a bar on a terminal, lines elsewhere, and nothing of either in what a command prints."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ttd_jax.cli import fuse, pace, progress
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


def test_one_long_piece_of_work_is_followed(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr(progress, "_TICK", 0.02)
    assert progress.awaited(lambda: time.sleep(0.3) or 7, expected=1000.0, what="fusing") == 7
    assert re.match(r"ttd-jax: fusing: \d+ s, about \d+ s left\n", capsys.readouterr().err)
    progress.awaited(lambda: time.sleep(0.3), expected=0.001, what="fusing")
    assert re.match(r"ttd-jax: fusing: \d+ s, longer than the last one took\n", capsys.readouterr().err)
    with pytest.raises(ZeroDivisionError):
        progress.awaited(lambda: 1 / 0, expected=None, what="fusing")


def test_the_pace_of_the_last_fusion_is_remembered(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert pace.expected_seconds("a network", 10) is None
    pace.remember_pace("a network", 20, 5.0)
    pace.remember_pace("a network", 0.1, 5.0)  # mostly compiling
    assert pace.expected_seconds("a network", 10) == 2.5 and pace.expected_seconds("another", 10) is None
    (tmp_path / "ttd-jax" / "pace.json").write_text('{"a network": "fast"')
    assert pace.expected_seconds("a network", 10) is None
    (tmp_path / "ttd-jax" / "pace.json").write_text('{"a network": "fast"}')
    assert pace.expected_seconds("a network", 10) is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    pace.remember_pace("a network", 20, 5.0)  # says nothing


def test_memory_that_is_given_back_changes_nothing(monkeypatch):
    assert list(progress.trimmed("abcdef", every=2)) == list("abcdef")
    monkeypatch.setattr(progress.sys, "platform", "somewhere")
    assert list(progress.trimmed("abc", every=1)) == list("abc")


def test_a_large_set_is_fused_all_the_same(ttd_jax, folders, checkpoint, monkeypatch):
    monkeypatch.setattr(fuse, "_LONG", 0)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    done = ttd_jax("fuse", "vis/1.png", "ir/1.png", "-o", "out.png", "--checkpoint", checkpoint)
    assert done.code == 0 and done.out.startswith("out.png: 2 images, ")
    assert done.err == "" or done.err.startswith("ttd-jax: fusing 2 sources of 8 x 6: ")


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
