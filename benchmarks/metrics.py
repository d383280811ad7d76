"""Time of every standard metric, compiled, beside plain NumPy/SciPy in the same process.

``python -m benchmarks.metrics`` prints one line per metric: the best of several runs of each, taken in turns,
so that a busy moment of the machine hits both. Both read the same uint8 images and return a float. JAX runs
in float32 unless ``--float64`` is given, NumPy always in float64. The first call, which compiles, is timed
apart.
"""

import argparse
import os
import platform
import time

import jax
import numpy as np
from scipy import ndimage

from benchmarks.numpy_metrics import NUMPY_METRICS
from ttd_jax.metrics import METRICS, evaluate


def scene(width: int, height: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A fused image and its sources: textures of several scales, seeded."""
    rng = np.random.default_rng(0)
    sources = []
    for _ in range(count):
        layers = [ndimage.gaussian_filter(rng.normal(size=(height, width)), s) * s for s in (1, 4, 16)]
        sources.append(np.clip(128 + 40 * sum(layers), 0, 255).astype(np.uint8))
    stack = np.stack(sources)
    return stack.mean(axis=0).round().astype(np.uint8), stack


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(fused: np.ndarray, sources: np.ndarray, repeat: int) -> dict[str, tuple[float, float, float]]:
    """Seconds of the first JAX call, the best NumPy call and the best later JAX call, by metric."""
    found = {}
    for name in METRICS:

        def with_jax(name=name):
            return evaluate(fused, sources, metrics=[name])

        def with_numpy(name=name):
            return NUMPY_METRICS[name](fused, sources)

        first = timed(with_jax)
        runs = [(timed(with_numpy), timed(with_jax)) for _ in range(repeat)]
        found[name] = (first, min(run[0] for run in runs), min(run[1] for run in runs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--float64", action="store_true", help="run JAX in float64 too")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", options.float64)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    precision = "float64" if options.float64 else "float32"
    print(f"{options.width}x{options.height}, {options.sources} sources, best of {options.repeat}")
    print(f"{cores} cores, {platform.machine()}, jax {jax.__version__} ({jax.default_backend()}, {precision})")
    print(f"\n{'metric':10}{'NumPy ms':>10}{'JAX ms':>10}{'ratio':>8}{'first s':>10}")
    fused, sources = scene(options.width, options.height, options.sources)
    found = compare(fused, sources, options.repeat)
    for name, (first, plain, compiled) in found.items():
        print(f"{name:10}{plain * 1e3:10.2f}{compiled * 1e3:10.2f}{plain / compiled:8.1f}{first:10.2f}")

    def totals(label: str, left_out: tuple[str, ...]) -> None:
        kept = [times for name, times in found.items() if name not in left_out]
        first, plain, compiled = (sum(column) for column in zip(*kept, strict=True))
        print(f"{label:10}{plain * 1e3:10.2f}{compiled * 1e3:10.2f}{plain / compiled:8.1f}{first:10.2f}")

    totals("all", ())
    totals("no FMI", ("FMI",))
    together = min(timed(lambda: evaluate(fused, sources)) for _ in range(options.repeat))
    print(f"\nevaluate(fused, sources), all at once: {together * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
