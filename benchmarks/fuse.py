"""Seconds and memory of IFCNN: layer by layer, folded, and in plain PyTorch (where it is installed), in turns.

``python -m benchmarks.fuse [PART ...] [--repeat 5] [--clock wall] [--figure FILE]`` with the parts

- ``paths``: 640x480 pairs, grey and RGB, static and TTD, and the parts of TTD;
- ``package``: a warm ``Fuser`` of the package's network beside TTD of IFCNN, a grey 640x480 pair;
- ``sizes``: seconds per megapixel from 0.1 to 12 megapixels;
- ``sources``: two to eight sources;
- ``batches``: one to sixteen pairs in one call;
- ``memory``: peak memory at 0.3 and 12 megapixels, each in a process of its own;
- ``first``: the first call, compilation included, in a process of its own;
- ``networks``: CDDFuse, PIAFusion and MGDN beside a convolution in PyTorch that scales their authors' times.

*plain* computes layer by layer with XLA, *fast* is what ``fuse`` runs; both through the same colour and strips as
``fuse``. Medians of interleaved runs; ``--clock processor`` counts the time of all cores, which is the steadier figure
on a machine that others use (PyTorch then has one thread, since its threads spin while they wait for each other).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.charts import Measured, draw
from benchmarks.contenders import (
    CLOCKS,
    HAS_TORCH,
    contender,
    interleaved,
    matmul_peak,
    names,
    noise,
    operations,
)
from ttd_jax import Fuser
from ttd_jax.options import Component, choices

WEIGHTS = {"static": False, "TTD": True}
MEGAPIXELS = (0.1, 0.3, 1.0, 3.0, 12.0)
CHARTED = ("fast", "PyTorch, channels last")
TORCH_MOST = 1.0  # megapixels up to which PyTorch is timed, to keep a part below three minutes

UPSTREAM = {
    "cddfuse": ("ivf", {"static": 39.0, "TTD": 62.0}, 3.0),
    "piafusion": ("default", {"static": 5.6, "TTD": 13.5}, 1.5),
    "mgdn": ("focus", {"static": 25.7}, 5.0),
}
"""Preset, seconds of the authors' PyTorch code per 640x480 pair on two cores of another machine, and the goal."""

UPSTREAM_CONVOLUTION = 0.74
"""Seconds there of ``reference_convolution``."""


def row(*cells: object) -> None:
    print("| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.3g}" for cell in cells) + " |", flush=True)


def head(*cells: str) -> None:
    print()
    row(*cells)
    print("|---" * len(cells) + "|")


def medians(shape: tuple[int, ...], dynamic: bool, options, among: list[str] | None = None) -> dict[str, float]:
    """Median seconds of each contender."""
    sources = noise(*shape)
    runs = {name: contender(name, sources, dynamic, options.component) for name in among or names()}
    return {n: statistics.median(s) for n, s in interleaved(runs, options.repeat, options.clock).items()}


def paths(options) -> None:
    peak = matmul_peak(options.clock)
    height, width = options.height, options.width
    print(f"\nmatrix product: {peak / 1e9:.0f} GFLOP in a second of the {options.clock} clock; {width} x {height}")
    head("sources", "weights", *names(), "plain / fast", "best PyTorch / fast", "share of the peak", "TTD / static")
    for kind, channels in (("2 grey", 1), ("2 RGB", 3)):
        static = None
        for weights, dynamic in WEIGHTS.items():
            shape = (2, height, width, channels)
            found = medians(shape, dynamic, options)
            torch = [s for name, s in found.items() if "PyTorch" in name]
            share = operations(shape, dynamic, options.component) / found["fast"] / peak
            ratio = f"{found['fast'] / static:.2f}" if static else ""
            static = found["fast"]
            best = f"{min(torch) / found['fast']:.2f}" if torch else ""
            row(kind, weights, *found.values(), f"{found['plain'] / found['fast']:.2f}", best, f"{share:.0%}", ratio)
    _differences(options.component)
    _parts(options)


def package(options) -> None:
    sources = noise(2, options.height, options.width, 1)
    fuser = Fuser(image_only=True)
    runs = {"BandNet": lambda: fuser([*sources[..., 0]]).image}
    runs |= {f"IFCNN, {name}": contender(name, sources, True, options.component) for name in names()[1:]}
    found = {n: statistics.median(s) for n, s in interleaved(runs, options.repeat, options.clock).items()}
    torch = [seconds for name, seconds in found.items() if "PyTorch" in name]
    head(*found, "best PyTorch / BandNet")
    row(*found.values(), f"{min(torch) / found['BandNet']:.2f}" if torch else "")


def _differences(component: Component) -> None:
    """The contenders' results on a small pair, which must agree."""
    for channels in (1, 3):
        for weights, dynamic in WEIGHTS.items():
            results = [contender(name, noise(2, 61, 83, channels), dynamic, component)() for name in names()]
            if channels == 1:  # PyTorch gives three channels, fuse their luma
                luma = np.array([0.299, 0.587, 0.114], np.float32)
                results = [image @ luma if image.ndim == 3 else image for image in results]
            results = [np.clip(image, 0, 1) for image in results]
            worst = max(float(np.abs(image - results[0]).max()) for image in results[1:])
            print(f"largest difference to plain, {channels} channel(s), {weights}: {worst:.1e}")


def _parts(options) -> None:
    """Encoding and one decoding alone."""
    import jax
    import jax.numpy as jnp

    from benchmarks.parameters import random_backbone
    from ttd_jax.backbones.ifcnn import IFCNN

    variables = random_backbone("ifcnn").variables
    encode = jax.jit(lambda model, v, s: model.encode(v, s), static_argnums=0)
    decode = jax.jit(lambda model, v, x: model.decode(v, x), static_argnums=0)
    height, width = options.height, options.width
    grey, rgb = (jnp.asarray(noise(1, height, width, channels)) for channels in (1, 3))
    latent = jnp.asarray(noise(height, width, 64))
    stages = (("encode a grey source", encode, grey), ("encode RGB", encode, rgb), ("decode", decode, latent))
    head("part", "plain", "fast", "plain / fast")
    for part, stage, argument in stages:
        runs = {
            str(plain): lambda plain=plain, stage=stage, argument=argument: jax.block_until_ready(
                stage(IFCNN(plain=plain), variables, argument)
            )
            for plain in (True, False)
        }
        plain, fast = (statistics.median(s) for s in interleaved(runs, options.repeat, options.clock).values())
        row(part, plain, fast, f"{plain / fast:.2f}")


def sizes(options) -> Measured:
    head("megapixels", "weights", *(f"{name}, s per megapixel" for name in names()))
    measured: Measured = {}
    for megapixels in MEGAPIXELS:
        if megapixels > options.most:
            continue
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
        width = round(megapixels * 1e6 / height)
        among = [name for name in names() if not name.startswith("PyTorch") or megapixels <= TORCH_MOST]
        among = [name for name in among if name != "plain" or megapixels <= TORCH_MOST]
        for weights, dynamic in WEIGHTS.items():
            options_here = argparse.Namespace(
                clock=options.clock, repeat=max(1, round(options.repeat / max(1, megapixels)))
            )
            found = medians((2, height, width, 1), dynamic, options_here, among)
            row(f"{megapixels:g}", weights, *(found[n] / megapixels if n in found else "" for n in names()))
            for name, seconds in found.items():
                if name in CHARTED:
                    measured.setdefault(f"{name}, {weights}", []).append((megapixels, seconds / megapixels))
    return measured


def sources(options) -> Measured:
    head("sources, 320 x 240", "weights", *names(), "fast, ms per source")
    measured: Measured = {}
    for count in (2, 3, 4, 6, 8):
        for weights, dynamic in WEIGHTS.items():
            found = medians((count, 240, 320, 1), dynamic, options)
            row(str(count), weights, *found.values(), 1e3 * found["fast"] / count)
            for name, seconds in found.items():
                if name in CHARTED:
                    measured.setdefault(f"{name}, {weights}", []).append((count, seconds))
    return measured


def batches(options) -> None:
    head("pairs of 256 x 256", "weights", *(f"{name}, ms a pair" for name in names()))
    for count in (1, 4, 16):
        for weights, dynamic in WEIGHTS.items():
            found = medians((count, 2, 256, 256, 1), dynamic, options)
            row(str(count), weights, *(1e3 * seconds / count for seconds in found.values()))


def memory(options) -> None:
    head("megapixels", "weights", *(f"{name}, peak MB" for name in names()))
    for megapixels, (height, width) in {0.3: (480, 640), 12.0: (3000, 4000)}.items():
        if megapixels > options.most:
            continue
        for weights in WEIGHTS:
            peaks = []
            for name in names():
                found = _alone("memory", name, weights, str(height), str(width))
                peaks.append(f"{found['peak']:.0f}" if found else "out of memory")
            row(f"{megapixels:g}", weights, *peaks)


def first(options) -> None:
    head("pair", "weights", *(f"{name}, first call, s" for name in names()))
    for weights in WEIGHTS:
        found = [_alone("first", name, weights, str(options.height), str(options.width)) for name in names()]
        row(f"{options.width} x {options.height}", weights, *(one[options.clock] if one else "failed" for one in found))


def networks(options) -> None:
    if not HAS_TORCH:
        print("\nnetworks: needs PyTorch, whose convolution scales the authors' times")
        return
    from benchmarks.torch_ifcnn import reference_convolution

    print(f"\npairs of {options.width} x {options.height}; the authors' seconds are of 640 x 480")
    head("network", "weights", "seconds", "convolution, s", "authors' seconds here", "times as fast", "goal")
    for name, (preset, authors, goal) in UPSTREAM.items():
        if name not in options.networks:
            continue
        for weights, there in authors.items():
            runs = {"ours": _network(name, preset, WEIGHTS[weights], options), "reference": reference_convolution()}
            found = {n: statistics.median(s) for n, s in interleaved(runs, options.few, options.clock).items()}
            here = there * found["reference"] / UPSTREAM_CONVOLUTION
            row(name, weights, found["ours"], found["reference"], here, here / found["ours"], f"{goal:g}")


def _network(name: str, preset: str, dynamic: bool, options) -> Callable[[], object]:
    import jax
    import jax.numpy as jnp

    from benchmarks.parameters import random_backbone
    from ttd_jax.core import fusion
    from ttd_jax.core.weighting import StaticWeighting

    backbone = random_backbone(name, preset)
    pair = jnp.asarray(noise(2, options.height, options.width, backbone.spec.channels))
    weighting = backbone.recipes["default"] if dynamic else StaticWeighting()
    fuse = jax.jit(lambda v, s: fusion.fuse(backbone.model, v, s, weighting).image)
    return lambda: jax.block_until_ready(fuse(backbone.variables, pair))


def _alone(part: str, *arguments: str) -> dict[str, float] | None:
    """One measurement in a process of its own; None if it did not end well."""
    command = [sys.executable, "-m", "benchmarks.fuse", "--alone", part, *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def alone(part: str, name: str, weights: str, height: str, width: str) -> dict[str, float]:
    """Peak megabytes of a process that fuses one pair, or seconds of its first call."""
    run = contender(name, noise(2, int(height), int(width), 1), WEIGHTS[weights])
    started = {clock: now() for clock, now in CLOCKS.items()}
    run()
    spent = {clock: now() - started[clock] for clock, now in CLOCKS.items()}
    return spent | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


PARTS: dict[str, Callable] = {
    part.__name__: part for part in (paths, package, sizes, sources, batches, memory, first, networks)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"among {', '.join(PARTS)}; default: all")
    parser.add_argument("--repeat", type=int, default=5, help="runs to take the median of")
    parser.add_argument("--height", type=int, default=480, help="of the pairs of paths, first and networks")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument(
        "--component", choices=choices(Component), default="black", help="that stands for a source in TTD"
    )
    parser.add_argument("--few", type=int, default=2, help="the same for networks that take seconds")
    parser.add_argument("--networks", nargs="*", choices=UPSTREAM, default=list(UPSTREAM))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--most", type=float, default=12.0, help="megapixels up to which sizes and memory are measured")
    parser.add_argument("--figure", help="where to draw the chart of sizes and sources")
    parser.add_argument("--alone", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(alone(*options.alone)))
        return
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}; got {', '.join(sorted(unknown))}")
    if HAS_TORCH and options.clock == "processor":
        import torch

        torch.set_num_threads(1)
    found = {}
    for part in options.parts or PARTS:
        started = time.perf_counter()
        found[part] = PARTS[part](options)
        print(f"({part}: {time.perf_counter() - started:.0f} s)", flush=True)
    if options.figure:
        draw(found.get("sizes") or {}, found.get("sources") or {}, options.figure)


if __name__ == "__main__":
    main()
