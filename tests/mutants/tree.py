"""A scratch copy of the checkout, in which one module at a time is changed, and a worker that runs tests in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("ttd_jax/core", "ttd_jax/engine", "ttd_jax/io", "ttd_jax/ops", "ttd_jax/metrics", "convert")

_HITS = """
import atexit, json, os, pathlib
seen = set()
folder = pathlib.Path(__file__).parent / "hits"
owner = os.environ.setdefault("MUTANT_OWNER", str(os.getpid()))
def hit(path, line):
    seen.add((path, line))
def collect():
    found = set()
    for file in folder.glob("*.json"):
        found |= {tuple(pair) for pair in json.loads(file.read_text())}
        file.unlink()
    return found
def _write():
    folder.mkdir(exist_ok=True)
    (folder / f"{os.getpid()}.json").write_text(json.dumps(sorted(seen)))
if str(os.getpid()) != owner:
    atexit.register(_write)
"""


def modules() -> list[str]:
    """The modules that are changed, by their path in the checkout."""
    return sorted(str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


class Tree:
    """A copy of the checkout without its history, and the process that runs tests in it."""

    def __init__(self, folder: Path, cache: Path):
        self.folder = folder / "tree"
        shutil.rmtree(self.folder, ignore_errors=True)
        skipped = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "site")
        shutil.copytree(ROOT, self.folder, ignore=skipped)
        (self.folder / "ttd_jax_convert").symlink_to("convert")  # as it is installed, for tests that start processes
        (self.folder / "mutant_hits.py").write_text(_HITS)
        cache.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONPATH": str(self.folder)}
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.worker"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._changed = 0

    def run(self, **task: Any) -> dict[str, Any]:
        """What the worker answers."""
        assert self._worker.stdin is not None and self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(task) + "\n")
        self._worker.stdin.flush()
        return json.loads(self._worker.stdout.readline())

    def write(self, path: str, source: str) -> None:
        """Changes a module; its time is one that no compiled file has."""
        self._changed += 1
        (self.folder / path).write_text(source)
        original = (ROOT / path).stat().st_mtime
        os.utime(self.folder / path, (original + self._changed, original + self._changed))

    def restore(self, path: str) -> None:
        """The module as it is in the checkout, and its compiled file valid again."""
        shutil.copy2(ROOT / path, self.folder / path)

    def close(self) -> None:
        """Ends the worker."""
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait()
