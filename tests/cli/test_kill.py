"""A folder run that is killed leaves whole files only, and a second run completes it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.kill import wrong

WHOLE = {"out/1.png": b"image", "weights/1.png": b"weights"}


def test_killed_at_some_random_moments():
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.kill", "--count", "3", "--first", str(int.from_bytes(os.urandom(3)))],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^3 kills in .* 0 mistakes$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("found", "killed", "expected"),
    [
        (WHOLE, False, []),
        ({}, True, []),
        ({"weights/1.png": b"weights"}, True, []),
        ({"weights/1.png": b"weights", "out/.1-x.png": b"ima"}, True, []),
        ({"weights/1.png": b"weig"}, True, ["weights/1.png is not what it should be"]),
        ({"out/1.png": b"image"}, True, ["out/1.png has no weights"]),
        ({"weights/1.png": b"weights"}, False, ["out/1.png is missing"]),
        (
            WHOLE | {"out/.1-x.png": b"ima"},
            False,
            ["out/.1-x.png is not what it should be", "out/.1-x.png has no weights"],
        ),
    ],
)
def test_what_would_be_wrong(found, killed, expected):
    assert wrong(found, WHOLE, killed) == expected
