"""Kills a folder run with weights at random moments, and asks what is there, and whether a second run completes it.

``python -m tests.cli.kill --count 100``; the exit code is 1 if a file was partial, or a second run did not mend it.
"""

import argparse
import importlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SETS = 30
Files = dict[str, bytes]


def main() -> int:
    """Kills as often as asked for; prints a line for every mistake, and one that counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first kill")
    options = parser.parse_args()
    started, tally = time.monotonic(), dict.fromkeys(("before", "between", "after", "left"), 0)
    mistakes: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _prepare(place)
        assert _wait(_start(place, place / "compiled")) == 0, (place / "said").read_text()
        began = time.monotonic()
        process = _start(place, place / "whole")
        _wait_for_files(place / "whole", process)
        first = time.monotonic() - began
        assert _wait(process) == 0, (place / "said").read_text()
        seconds = first, time.monotonic() - began
        whole = contents(place / "whole")
        for seed in range(options.first, options.first + options.count):
            mistakes += [f"seed {seed}: {said}" for said in _kill_once(place, seed, seconds, whole, tally)]
    print("\n".join(mistakes))
    print(
        f"{options.count} kills in {time.monotonic() - started:.0f} s: {tally['before']} before the first file, "
        f"{tally['between']} between, {tally['after']} after the last; {tally['left']} left something temporary; "
        f"{len(mistakes)} mistakes"
    )
    return 1 if mistakes else 0


def _prepare(place: Path) -> None:
    """Two folders of sources, and a compile cache of their own; what is slow to import is imported here, once."""
    os.environ |= {"XDG_CACHE_HOME": str(place / "cache"), "JAX_PLATFORMS": "cpu"}
    for slow in ("orbax.checkpoint", "ttd_jax.api"):
        importlib.import_module(slow)
    from ttd_jax.io.images import write_image

    rng = np.random.default_rng(0)
    for folder in ("vis", "ir"):
        (place / folder).mkdir()
        for number in range(SETS):
            write_image(place / folder / f"{number:02}.png", rng.integers(0, 256, (48, 64), dtype=np.uint8))


def _start(place: Path, output: Path) -> int:
    """The process of a run; a fork, which is safe as long as jax has not run here."""
    output.mkdir(exist_ok=True)
    process = os.fork()
    if process == 0:
        with (place / "said").open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        from ttd_jax.cli import main

        sources = [str(place / "vis"), str(place / "ir")]
        os._exit(main(["fuse", *sources, "-o", str(output / "out"), "--save-weights", str(output / "weights")]))
    return process


def _wait(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _wait_for_files(output: Path, process: int) -> None:
    while not contents(output) and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)


def _kill_once(place: Path, seed: int, seconds: tuple[float, float], whole: Files, tally: dict[str, int]) -> list[str]:
    """Mistakes after one kill; ``seconds`` are those to the first file and to the end of a run that is left alone."""
    draw, output = random.Random(seed), place / str(seed)
    process = _start(place, output)
    if seed % 2:  # while it writes, which is a small part of a run
        _wait_for_files(output, process)
        time.sleep(draw.uniform(0, seconds[1] - seconds[0]))
    else:
        time.sleep(draw.uniform(0, seconds[1]))
    os.kill(process, signal.SIGKILL)
    _wait(process)
    found = contents(output)
    visible = {name for name in found if not _hidden(name)}
    tally["after" if len(visible) == len(whole) else "between" if found else "before"] += 1
    tally["left"] += len(visible) < len(found)
    mistakes = wrong(found, whole, killed=True)
    written = {name: (output / name).stat().st_mtime_ns for name in visible if name.startswith("out/")}
    if code := _wait(_start(place, output)):
        mistakes.append(f"the second run gave {code}: {(place / 'said').read_text()}")
    mistakes += wrong(contents(output), whole, killed=False)
    mistakes += [f"{n} was written again" for n, t in written.items() if (output / n).stat().st_mtime_ns != t]
    return mistakes


def contents(folder: Path) -> Files:
    """All files below a folder, by their path in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
        except FileNotFoundError:  # a temporary one that got its name meanwhile
            pass
    return found


def wrong(found: Files, whole: Files, killed: bool) -> list[str]:
    """What may not be: a partial file, an image before its weights, and, of a run that was not killed, any difference.

    Args:
        found: The files of a run.
        whole: Those of a run that was left alone.
        killed: Whether the run was.
    """
    named = {name: data for name, data in found.items() if not (killed and _hidden(name))}
    mistakes = [f"{name} is not what it should be" for name, data in named.items() if whole.get(name) != data]
    mistakes += [f"{n} has no weights" for n in named if n.startswith("out/") and f"weights{n[3:]}" not in named]
    return mistakes + ([] if killed else [f"{name} is missing" for name in whole if name not in named])


def _hidden(name: str) -> bool:
    return Path(name).name.startswith(".")


if __name__ == "__main__":
    sys.exit(main())
