"""Runs the command in this process, and remembers what lay in the folder before."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.cli.processes import environment_of, write_pair
from ttd_jax.cli import main
from ttd_jax.io.images import write_image


class Done(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def ttd_jax(capsys, monkeypatch):
    """The command without its compile cache, which would outlive the test."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def run(*arguments) -> Done:
        uncached = ["--no-compile-cache"] if arguments[0] in ("fuse", "explain", "evaluate", "export", "info") else []
        try:
            code = main([*map(str, arguments), *uncached])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def environment(tmp_path):
    """Of a process at a home of its own."""
    return environment_of(tmp_path)


@pytest.fixture
def pair(tmp_path):
    """Two small images."""
    return write_pair(tmp_path)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two source folders and the results of two methods: a copy of the first source, and the mean."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("vis", "ir", "copy", "mean"):
        Path(folder).mkdir()
    for name in ("1", "2", "3"):
        sources = np.clip(rng.normal(128, 40, (2, 40, 48)), 0, 255).astype(np.uint8)
        write_image(f"vis/{name}.png", sources[0])
        write_image(f"ir/{name}.bmp", sources[1])
        write_image(f"copy/{name}.png", sources[0])
        write_image(f"mean/{name}.tif", sources.mean(axis=0).round().astype(np.uint8))
    return tmp_path
