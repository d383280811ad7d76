"""Tries mutated files in processes of their own, and says which seeds broke something, hung or were killed.

``python -m tests.fuzz images --count 100000``; a seed can be tried again with ``--first SEED --count 1``.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.targets import KINDS, cases

_ROUND = 1000  # files of one process
_SLOW = 5.0  # seconds for one file
_LARGE = 200_000  # kilobytes above what was held before


def main() -> int:
    """Runs the fuzzer; the exit code is 1 if it found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _try_all(options.kind, options.first, options.count)
    started, broken, done = time.time(), [], options.first
    end = options.first + options.count
    while done < end:
        count = min(_ROUND, end - done)
        command = [sys.executable, "-m", "tests.fuzz", options.kind, "--child"]
        command += ["--first", str(done), "--count", str(count)]
        with tempfile.TemporaryFile("w+") as said:
            code = _wait(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT), count)
            said.seek(0)
            lines = said.read().splitlines()
        broken += [line for line in lines if line.startswith("broken")]
        tried = [int(line.split()[1]) for line in lines if line.startswith("trying")]
        if code != 0:
            broken.append(f"killed or hung with {code}: seed {tried[-1] if tried else done}")
            done = (tried[-1] if tried else done) + 1
        else:
            done += count
    print(f"{options.count} {options.kind} in {time.time() - started:.0f} s: {len(broken)} broke something")
    print("\n".join(broken))
    return 1 if broken else 0


def _wait(process: subprocess.Popen, count: int) -> int | str:
    try:
        return process.wait(timeout=60 + count)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "timeout"


def _most_held() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _try_all(kind: str, first: int, count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        for seed, name, attempt in cases(kind, Path(folder), first, count):
            print(f"trying {seed} {name}", flush=True)
            started, held = time.process_time(), _most_held()
            try:
                attempt()
            except Exception:
                print(f"broken {seed} {name}: {traceback.format_exc().splitlines()[-1]}", flush=True)
            if (seconds := time.process_time() - started) > _SLOW:
                print(f"broken {seed} {name}: took {seconds:.1f} s", flush=True)
            if seed > first and (more := _most_held() - held) > _LARGE:
                print(f"broken {seed} {name}: took {more // 1000} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
