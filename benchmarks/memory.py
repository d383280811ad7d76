"""Memory that a fusion is said to need against what its process grew by, and what an exported one needs.

``python -m benchmarks.memory [NAME ...] [--side 400]``

*told* is what ``ttd_jax.engine.memory`` compares with the free memory (arguments, results and intermediate arrays as
the compiler reports them), *grew* how much more memory the process held at most after one run than before it,
*exported* what the compiler reports for the export for any size at this size, without strips. One process for
each line; squares of random pixels, a pair with the default weighting, random parameters.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {
    "bandnet": "general",
    "ifcnn": "max",
    "cddfuse": "ivf",
    "piafusion": "default",
    "mgdn": "focus",
    "densefuse": "gray",
    "didfuse": "ivf",
    "auif": "ivf",
    "pfcfuse": "ivf",
}
"""Backbone and preset."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(CASES)}; default: all")
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.names[0], options.side)))
        return
    print(f"{'':12}{'told MB':>10}{'grew MB':>10}{'exported MB':>13}")
    for name in options.names or CASES:
        command = [sys.executable, "-m", "benchmarks.memory", name, "--one", "--side", str(options.side)]
        row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        exported = "-" if row["exported"] is None else f"{row['exported']:.0f}"
        print(f"{name:12}{row['told']:10.0f}{row['grew']:10.0f}{exported:>13}", flush=True)


def measure(name: str, side: int) -> dict[str, float | None]:
    """One line of the table, in MB."""
    import jax
    import numpy as np

    from benchmarks.parameters import random_backbone
    from ttd_jax import Fuser
    from ttd_jax.engine.memory import needed_memory
    from ttd_jax.errors import InputError
    from ttd_jax.export import export_fuser

    backbone = random_backbone(name, CASES[name])
    fuser = Fuser(backbone)
    stack = np.random.default_rng(0).random((2, side, side, 1)).astype(np.float32)
    program = fuser.compile((2, side, side))._programs.compile(stack.shape, "gray")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    jax.block_until_ready(program(backbone.variables, fuser._programs.weighting, stack, np.zeros(2, bool)))
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    exported = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program"
        try:
            export_fuser(fuser, path, platforms=["cpu"])
            called = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call).lower(stack).compile()
            exported = (needed_memory(called) or 0) / 1e6
        except InputError:  # this network must know the size
            pass
    return {"told": (needed_memory(program) or 0) / 1e6, "grew": grew, "exported": exported}


if __name__ == "__main__":
    main()
