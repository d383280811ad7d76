"""Seconds and peak memory of every backbone on one pair (or triple), static and with test-time weights.

``python -m benchmarks.backbones [NAME ...] [--height 480] [--width 640] [--repeat 3]``

Parameters are random, since time and memory do not depend on them. Each line is measured in a process of its own, on
grey or RGB noise. *seconds* is the fastest of the runs after compilation, *processor s* the processor time of the run
that took least (over all cores; on a shared machine the steadier figure), *compile s* tracing and compilation, *arrays
MB* what XLA sets aside for intermediate arrays, *peak MB* the most memory the process held, the interpreter included.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from functools import partial

CASES = {
    "bandnet": ("bandnet", "general", 2),
    "ifcnn": ("ifcnn", "max", 2),
    "cddfuse": ("cddfuse", "ivf", 2),
    "piafusion": ("piafusion", "default", 2),
    "mgdn-focus": ("mgdn", "focus", 2),
    "mgdn-exposure": ("mgdn", "exposure", 2),
    "mgdn-depth": ("mgdn", "depth", 2),
    "mgdn-deghost": ("mgdn", "deghost", 3),
    "densefuse": ("densefuse", "gray", 2),
    "didfuse": ("didfuse", "ivf", 2),
    "auif": ("auif", "ivf", 2),
    "pfcfuse": ("pfcfuse", "ivf", 2),
}
"""Backbone, preset and number of sources."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(CASES)}; default: all")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--repeat", type=int, default=3, help="runs to take the fastest of")
    parser.add_argument("--one", choices=("static", "loss"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(CASES):
        parser.error(f"names are {', '.join(CASES)}; got {', '.join(sorted(unknown))}")
    if options.one:
        print(json.dumps(measure(options.names[0], options.one, options.height, options.width, options.repeat)))
        return
    sizes = ["--height", str(options.height), "--width", str(options.width), "--repeat", str(options.repeat)]
    print(f"{options.width} x {options.height}, fastest of {options.repeat}")
    print(f"{'':14} {'weights':8}" + "".join(f"{c:>13}" for c in ("seconds", "processor s", "compile s")), end="")
    print("".join(f"{c:>11}" for c in ("arrays MB", "peak MB")) + "   time / static")
    for name in options.names or CASES:
        seconds: dict[str, float] = {}
        for weighting in ("static", "loss"):
            command = [sys.executable, "-m", "benchmarks.backbones", name, "--one", weighting, *sizes]
            row = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            if not row:
                continue
            seconds[weighting] = row["processor"]
            print(
                f"{name:14} {weighting:8}{row['seconds']:13.2f}{row['processor']:13.2f}{row['compile']:13.1f}", end=""
            )
            print(f"{row['arrays']:11.0f}{row['peak']:11.0f}", end="", flush=True)
            print(f"{seconds['loss'] / seconds['static']:16.2f}" if weighting == "loss" else "", flush=True)


def measure(name: str, weighting: str, height: int, width: int, repeat: int) -> dict[str, float] | None:
    """One line of the table; None if the backbone has no test-time weights."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks.parameters import random_backbone
    from ttd_jax.core import fusion
    from ttd_jax.core.weighting import StaticWeighting

    network, preset, count = CASES[name]
    backbone = random_backbone(network, preset)
    if weighting == "loss" and not backbone.recipes:
        return None
    model, variables = backbone.model, backbone.variables
    rng = np.random.default_rng(0)
    sources = jnp.asarray(rng.random((count, height, width, backbone.spec.channels)), jnp.float32)
    chosen = StaticWeighting() if weighting == "static" else backbone.recipes["default"]
    fuse = partial(fusion.fuse, weighting=chosen)
    started = time.perf_counter()
    compiled = jax.jit(lambda v, s: fuse(model, v, s).image).lower(variables, sources).compile()
    compiling = time.perf_counter() - started
    seconds, processor = [], []
    for _ in range(repeat):
        started, spent = time.perf_counter(), time.process_time()
        jax.block_until_ready(compiled(variables, sources))
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - spent)
    return {
        "seconds": min(seconds),
        "processor": min(processor),
        "compile": compiling,
        "arrays": compiled.memory_analysis().temp_size_in_bytes / 1e6,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


if __name__ == "__main__":
    main()
