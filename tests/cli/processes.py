"""Runs the command as a process of its own, at home where nothing else is."""

import os
import subprocess
import sys

import numpy as np

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


def run(arguments, environment, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False, **options
    )
