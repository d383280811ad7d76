"""What became slower: this checkout beside another one, or beside ratios that were stored.

``python -m benchmarks.compare 0fd21bc`` compares with a commit, ``python -m benchmarks.compare ../other`` with another
checkout, ``python -m benchmarks.compare --store FILE`` keeps this one's figures, each as a multiple of a convolution
that is timed in the same run, and ``--against FILE`` compares with them, on another machine too. ``--cases`` picks
among the cases, ``--list`` names them.

Every case runs in a process of its own for each side, on the same random input; the sides take turns (first one, then
the other is first), so that whatever else the machine does hits both. Counted are processor seconds of all threads:
the wall clock of a shared machine says little. A line is the medians of both sides, and the median of the ratios of
neighbouring runs with the middle half of them. A case whose median ratio is above 1.05 and whose middle half lies above
1 counts as slower; one that is new, or fails on one side only, is told. The exit code is 1 if something is slower or
fails here. Peak memory is told for the commands, which are processes from start to end; for others, what their
fusions hold between arguments and results as the compiler plans it. *compiled* are the programs of all runs of a case.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.compare_cases import CASES, REFERENCE

HERE = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("compare_cases.py")
SLOWER = 1.05


class Side:
    """One case in one checkout: a process that runs it on demand."""

    def __init__(self, checkout: Path, case: str, size: tuple[int, int], folder: Path):
        environment = os.environ | {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder)}
        command = [sys.executable, str(WORKER), str(checkout), case, *map(str, size)]
        self._process: Any = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.failed = self._answer() is None

    def run(self) -> dict[str, float]:
        """Processor seconds of one run, and the peak memory in MB if it is told."""
        print("run", file=self._process.stdin, flush=True)
        answer = self._answer()
        if answer is None:
            raise RuntimeError("a case failed after its first run")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> Any:
        """The next line that is for us; None if the process has ended."""
        for line in self._process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", nargs="?", metavar="COMMIT_OR_FOLDER", help="what to compare with")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with stored figures")
    parser.add_argument("--store", type=Path, metavar="FILE", help="store this checkout's figures")
    parser.add_argument("--cases", nargs="+", choices=[*CASES], metavar="CASE", help="default: all but the long ones")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each side (default: 7)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    options = parser.parse_args()
    if options.list:
        for name, case in CASES.items():
            print(f"{name:20} {case.what}{' (long)' if case.long else ''}")
        return 0
    if sum(given is not None for given in (options.before, options.against, options.store)) != 1:
        parser.error("name one of: a commit or folder to compare with, --against FILE, --store FILE")
    cases = options.cases or [name for name, case in CASES.items() if not case.long]
    if options.before is not None:
        with checkout(options.before) as before:
            return compare(before, cases, options)
    figures = {case: found for case in cases if (found := multiple(case, options)) is not None}
    if options.store:
        options.store.write_text(json.dumps({"size": list(options.size), "figures": figures}, indent=2) + "\n")
        return 0
    stored = json.loads(options.against.read_text())
    if stored["size"] != list(options.size):
        parser.error(f"the figures are of --size {' '.join(map(str, stored['size']))}")
    return told(cases, stored["figures"], figures)


@contextmanager
def checkout(name: str) -> Iterator[Path]:
    """The folder of this name, or the files of a commit in a temporary one."""
    if Path(name).is_dir():
        yield Path(name).resolve()
        return
    archive = subprocess.run(["git", "-C", str(HERE), "archive", name], stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def in_turns(sides: list[Side], repeat: int) -> list[list[dict[str, float]]]:
    """Runs of every side, one after the other, each time from the other end."""
    found: list[list[dict[str, float]]] = [[] for _ in sides]
    for turn in range(repeat):
        for index in range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides))):
            found[index].append(sides[index].run())
    return found


@contextmanager
def started(*which: tuple[Path, str], size: tuple[int, int]) -> Iterator[list[Side]]:
    """A side for each checkout and case, in folders of their own."""
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(index) for index in range(len(which))]
        sides = []
        for place, (path, case) in zip(places, which, strict=True):
            place.mkdir()
            sides.append(Side(path, case, size, place))
        try:
            yield sides
        finally:
            for side in sides:
                side.close()


def compare(before: Path, cases: list[str], options: argparse.Namespace) -> int:
    """A line for each case, processor seconds before and now; the exit code."""
    heads = f"{'before, s':>12}{'now, s':>10}{'now / before':>14}{'middle half':>16}{'MB':>16}{'compiled':>12}"
    print(f"{'case':20}{heads}")
    worse = []
    for case in cases:
        with started((before, case), (HERE, case), size=options.size) as (old, new):
            if old.failed or new.failed:
                print(f"{case:20}{'fails' if old.failed else 'runs':>12}{'fails' if new.failed else 'runs':>10}")
                worse += [case] * new.failed
                continue
            first, second = in_turns([old, new], options.repeat)
        ratios = [b["processor"] / a["processor"] for a, b in zip(first, second, strict=True)]
        verdict, line = judged(ratios)
        seconds = [statistics.median(run["processor"] for run in runs) for runs in (first, second)]
        counts = _both(first, second, "peak", "between") + _both(first, second, "programs", width=12)
        print(f"{case:20}{seconds[0]:12.3f}{seconds[1]:10.3f}{line}{counts} {verdict}", flush=True)
        worse += [case] * (verdict == "slower")
    return _last(worse)


def judged(ratios: list[float]) -> tuple[str, str]:
    """``slower``, ``faster`` or nothing, and the median ratio with the middle half of all."""
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else (middle,) * 3
    verdict = "slower" if middle > SLOWER and low > 1 else "faster" if middle < 1 / SLOWER and high < 1 else ""
    return verdict, f"{middle:14.3f}{f'{low:.3f} to {high:.3f}':>16}"


def _both(first: list[dict[str, float]], second: list[dict[str, float]], *names: str, width: int = 16) -> str:
    """The first of these figures that is there, before and now: of peaks the median, of counts the last."""
    for name in names:
        if any(runs[-1].get(name) for runs in (first, second)):
            middle = statistics.median if name == "peak" else max
            told = [middle([run[name] for run in runs]) for runs in (first, second)]
            return " to ".join(f"{figure:.3g}" for figure in told).rjust(width)
    return " " * width


def multiple(case: str, options: argparse.Namespace) -> float | None:
    """Processor seconds of a case in this checkout, as a multiple of the reference convolution's; None if it fails."""
    with started((HERE, REFERENCE), (HERE, case), size=options.size) as (reference, side):
        if side.failed:
            print(f"{case:20}{'fails':>10}", flush=True)
            return None
        convolution, runs = in_turns([reference, side], options.repeat)
    ratio = statistics.median(b["processor"] / a["processor"] for a, b in zip(convolution, runs, strict=True))
    print(f"{case:20}{ratio:10.2f} convolutions", flush=True)
    return ratio


def told(cases: list[str], stored: dict[str, float], figures: dict[str, float]) -> int:
    """A line for each case that is stored; the exit code."""
    worse = [case for case in cases if case in stored and case not in figures]
    print(f"\n{'case':20}{'stored':>10}{'now':>10}{'now / stored':>14}")
    for case, now in figures.items():
        if case not in stored:
            print(f"{case:20}{'new':>10}{now:10.2f}")
            continue
        ratio = now / stored[case]
        print(f"{case:20}{stored[case]:10.2f}{now:10.2f}{ratio:14.3f} {'slower' if ratio > SLOWER else ''}")
        worse += [case] * (ratio > SLOWER)
    return _last(worse)


def _last(worse: list[str]) -> int:
    print(f"slower by more than {SLOWER - 1:.0%}, or failing: {', '.join(worse)}" if worse else "nothing is slower")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
