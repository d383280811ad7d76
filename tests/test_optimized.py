"""Numbers that must hold hold in programs as users compile them: the other tests leave most optimizations out."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_golden_numbers_hold_with_all_optimizations():
    plain = {
        name: value for name, value in os.environ.items() if name not in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
    }
    files = [p for p in sorted(TESTS.rglob("test_*.py")) if "pytest.mark.optimized" in p.read_text()]
    files.remove(Path(__file__))  # to collect all tests takes longer than to run these
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
            *map(str, files),
        ],
        cwd=TESTS.parent,
        env=plain | {"TESTS": "optimized"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 3, done.stdout
