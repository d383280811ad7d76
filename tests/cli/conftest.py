"""Runs the command in this process, and remembers what lay in the folder before."""

from typing import NamedTuple

import pytest

from ttd_jax.cli import main


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
