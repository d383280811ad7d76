"""Where a fusion spends its time, part by part, and what of it XLA gives to more than one core.

``python -m benchmarks.layers [NAME]`` profiles the compiled program of a pair and sums up its operations by the part of
the network that they come from: of BandNet by what it does, of others by layer. An operation counts as shared where XLA
has split it into pieces for several threads, or calls a matrix product that splits itself. Whether its library shares
out a convolution, the program does not tell; processor seconds beside those of the clock do.
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

from benchmarks.parameters import random_backbone
from ttd_jax import Fuser
from ttd_jax.backbones import BACKBONES

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
"""Parts of BandNet by the first pattern that is found in the name of an operation."""

LEAST = 0.03
"""Share of all operations from which on a layer has a line of its own."""

_NO_LAYER = re.compile(r"jit\([^)]*\)/|while/(body|cond)/|closed_call/|cond/|branch_\w+/|vmap\([^)]*\)/|\w+Network\.")


def part_of(scope: str, network: str) -> str:
    """The part of a network that an operation comes from: two layers within ``encode`` or ``decode``, or what it is."""
    if network == "bandnet":
        return next(part for part, pattern in PARTS.items() if re.search(pattern, scope))
    *layers, kind = _NO_LAYER.sub("", scope).split("/")
    return "/".join(layers[:3]) or kind


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", default="bandnet", choices=sorted(BACKBONES), metavar="NAME")
    parser.add_argument("--static", action="store_true", help="without test-time weights")
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    backbone = None if options.name == "bandnet" else random_backbone(options.name)
    fuser = Fuser(backbone, weighting="static" if options.static else "loss", image_only=True)
    channels = fuser.backbone.spec.channels
    stack = np.random.default_rng(0).random((2, *options.size, channels)).astype(np.float32)
    programs = fuser._programs
    program = programs.compile(stack.shape, "gray" if channels == 1 else "rgb")
    colored = np.full(2, channels == 3)

    def run() -> None:
        jax.block_until_ready(program(programs._variables, programs.weighting, stack, colored))

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
        part = part_of(scope, options.name)
        spent[part] += milliseconds
        if not scope.endswith("conv_general_dilated"):
            told[part] += milliseconds
            shared[part] += split * milliseconds
    total = sum(spent.values())
    height, width = options.size
    seconds, busy = wall / options.times, processor / options.times
    print(f"{options.name}, a pair of {width} x {height}: {seconds:.3f} s, {busy:.3f} processor s")
    print("\n| part | share of all operations | of what tells, split over cores |\n|---|---|---|")
    large = [part for part, milliseconds in spent.most_common() if milliseconds >= LEAST * total]
    for part in PARTS if options.name == "bandnet" else large:
        share = f"{shared[part] / told[part]:.0%}" if told[part] else "not told"
        print(f"| {part} | {spent[part] / total:.0%} | {share} |")


if __name__ == "__main__":
    main()
