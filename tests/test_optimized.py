"""Numbers that must hold hold in programs as users compile them: the other tests leave most optimizations out."""

import os
import re
import subprocess
import sys
from pathlib import Path


def test_golden_numbers_hold_with_all_optimizations():
    plain = {
        name: value for name, value in os.environ.items() if name not in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "0",
            "-q",
            "-m",
            "optimized",
            "-k",
            "small or focus-odd or max-mri_ct or bundled",
        ],
        cwd=Path(__file__).parents[1],
        env=plain | {"TESTS": "optimized"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 3, done.stdout
