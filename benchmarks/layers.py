"""Where a fusion by BandNet spends its time, part by part, and what of it XLA gives to more than one core.

``python -m benchmarks.layers`` profiles the compiled program of a grey pair and sums up its operations by the part of
the network that they come from. An operation counts as shared where XLA has split it into pieces for several threads,
or calls a matrix product that splits itself. Whether its library shares out a convolution, the program does not tell.
"""

import argparse
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from ttd_jax import Fuser

PARTS = {
    "convolutions of the component": r"component/component/(entrance|block_\d)/conv",
    "what lies between them": r"component/component/(entrance|block_\d|head|add|slice|stack)",
    "what the component sees, and makes": r"judge\._component",
    "layers of the decision": r"_decision/decision/",
    "facts for the decision": r"judge\._decision",
    "local means of the judge": r"/judge/",
    "mosaics": r"BandNetwork\._judged",
    "pyramids and noise": r"BandNetwork\.(encode|decode)",
    "weights by band, and the rest": r"",
}
"""Parts by the first pattern that is found in the name of an operation."""


def traced(run: Callable[[], object], times: int) -> Counter[str]:
    """Milliseconds of every operation, the mean over some runs."""
    folder = tempfile.mkdtemp()
    try:
        with jax.profiler.trace(folder):
            for _ in range(times):
                run()
        data = jax.profiler.ProfileData.from_file(str(next(Path(folder).rglob("*.xplane.pb"))))
        found: Counter[str] = Counter()
        for plane in data.planes:
            for line in plane.lines:
                for event in line.events:
                    found[event.name] += event.duration_ns / 1e6 / times
        return found
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    fuser = Fuser(image_only=True)
    stack = np.random.default_rng(0).random((2, *options.size, 1)).astype(np.float32)
    programs = fuser._programs
    program = programs.compile(stack.shape, "gray")

    def run() -> None:
        jax.block_until_ready(program(programs._variables, programs.weighting, stack, np.zeros(2, bool)))

    run()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(options.times):
        run()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    lines = re.findall(r'^\s+(?:ROOT )?%?([\w.-]+) = (.*?op_name="([^"]*)".*)$', program.as_text(), re.MULTILINE)
    known = {name: (scope, '_partitions":["' in text or " dot(" in text) for name, text, scope in lines}
    spent, told, shared = Counter[str](), Counter[str](), Counter[str]()
    for name, milliseconds in traced(run, options.times).items():
        scope, split = known.get(name, (None, False))
        if scope is None or name.startswith(("while", "call")):
            continue
        part = next(part for part, pattern in PARTS.items() if re.search(pattern, scope))
        spent[part] += milliseconds
        if not name.startswith("ynn_"):
            told[part] += milliseconds
            shared[part] += split * milliseconds
    total = sum(spent.values())
    height, width = options.size
    seconds, busy = wall / options.times, processor / options.times
    print(f"a grey pair of {width} x {height}: {seconds:.3f} s, {busy:.3f} processor s")
    print("\n| part | share of all operations | of that, split over cores |\n|---|---|---|")
    for part in PARTS:
        share = f"{shared[part] / told[part]:.0%}" if told[part] else "not told"
        print(f"| {part} | {spent[part] / total:.0%} | {share} |")


if __name__ == "__main__":
    main()
