"""DenseFuse, DIDFuse, AUIF and PFCFuse beside their authors' layers in PyTorch, and at 12 megapixels.

``python -m benchmarks.encoders [NAME ...] [--side 320] [--repeat 5]`` prints processor seconds (over all cores) of one
grey pair, static and with the default weights: medians of interleaved runs, a convolution among them (3x3, 64 channels,
three maps of 640x480) that says how fast the machine was. Where PyTorch is installed it is PyTorch's, and the layers of
the local three are timed in PyTorch too, static, in the authors' order and without anything folded.

``python -m benchmarks.encoders --megapixels 12`` prints seconds and the peak memory of a process each, the interpreter
included, of the local three. Parameters are random.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import HAS_TORCH, Run, interleaved
from benchmarks.parameters import random_backbone
from ttd_jax import Fuser
from ttd_jax.ops.conv import zero_conv

LOCAL = ("densefuse", "didfuse", "auif")
NAMES = (*LOCAL, "pfcfuse")
AUTHORS = {"densefuse": 0.23, "didfuse": 1.18, "auif": 1.29, "pfcfuse": 10.7}
"""Processor seconds of the authors' PyTorch code for a static pair of 320x320, measured once on a busy machine."""


def ours(name: str, weighting: str, pair: Sequence[np.ndarray]) -> Run:
    """One fusion, files left out."""
    fuser = Fuser(random_backbone(name), weighting=weighting)
    return lambda: fuser(pair)


def reference() -> Run:
    """The convolution that measures the machine."""
    if HAS_TORCH:
        from benchmarks.torch_ifcnn import reference_convolution

        return reference_convolution()
    maps, kernel = jnp.ones((3, 480, 640, 64)), jnp.ones((3, 3, 64, 64))
    convolve = jax.jit(zero_conv)
    return lambda: jax.block_until_ready(convolve(maps, kernel))


def in_torch(name: str, side: int) -> Run:
    """The layers of a local network in PyTorch, static, on a random pair."""
    import torch

    torch.manual_seed(0)
    layers = {"densefuse": _densefuse, "didfuse": _didfuse, "auif": _auif}[name]()
    pair = [torch.rand(1, 1, side, side) for _ in range(2)]

    def run():
        with torch.inference_mode():
            return layers(pair)

    return run


def _layer(channels: int, features: int, norm: bool, pad: str = "reflect", then: str = "ReLU") -> Callable:
    from torch import nn

    parts = [nn.Conv2d(channels, features, 3, padding=1, padding_mode=pad)]
    parts += [nn.BatchNorm2d(features)] * norm + [getattr(nn, then)()] * bool(then)
    return nn.Sequential(*parts).eval()


def _densefuse() -> Callable:
    import torch

    first, *dense = [_layer(n, 16, False) for n in (1, 16, 32, 48)]
    out = [_layer(n, m, False) for n, m in ((64, 64), (64, 32), (32, 16), (16, 1))]

    def encode(image):
        x = first(image)
        for layer in dense:
            x = torch.cat([x, layer(x)], 1)
        return x

    def fuse(pair):
        x = (encode(pair[0]) + encode(pair[1])) / 2
        for layer in out:
            x = layer(x)
        return x

    return fuse


def _didfuse() -> Callable:
    import torch

    zeros = {"norm": True, "pad": "zeros"}
    first, second = _layer(1, 64, True, then="PReLU"), _layer(64, 64, then="PReLU", **zeros)
    split = [_layer(64, 64, then="Tanh", **zeros) for _ in range(2)]
    join = [_layer(128, 64, then="PReLU", **zeros) for _ in range(2)]
    last = _layer(128, 1, True, then="Sigmoid")

    def encode(image):
        one = first(image)
        two = second(one)
        return one, two, *(layer(two) for layer in split)

    def fuse(pair):
        one, two, base, detail = (a + b for a, b in zip(*map(encode, pair), strict=True))
        x = join[1](torch.cat([join[0](torch.cat([base, detail], 1)), two], 1))
        return last(torch.cat([x, one], 1))

    return fuse


def _auif() -> Callable:
    import torch
    from torch import nn
    from torch.nn import functional

    kernels = torch.randn(2, 10, 64, 1, 3, 3) / 30
    rest = nn.Sequential(nn.BatchNorm2d(1), nn.PReLU()).eval()
    last = _layer(1, 1, True, then="Sigmoid")

    def around(x, reach):
        return functional.pad(x, (reach,) * 4, mode="reflect")

    def branch(x, image, layers):
        for kernel in layers:
            y = functional.conv2d(around(functional.conv2d(around(x, 1), kernel), 1), kernel.flip(2, 3).transpose(0, 1))
            x = x - 0.1 * (rest(y) - 0.001 * (image - x))
        return x

    def fuse(pair):
        total = 0
        for image in pair:
            starts = [functional.conv2d(around(image, n // 2), torch.ones(1, 1, n, n) / n**2) for n in (11, 19)]
            total = total + sum(branch(start, image, layers) for start, layers in zip(starts, kernels, strict=True))
        return last(total)

    return fuse


def print_speed(names: Sequence[str], side: int, repeat: int) -> None:
    """Markdown, a row for each network."""
    pair = list(np.random.default_rng(1).random((2, side, side)).astype(np.float32))
    print(f"grey pairs of {side} x {side}, processor seconds, medians of {repeat}\n")
    print(
        "| network | static | default weights | in PyTorch, static | PyTorch / static | convolution | authors, once |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        runs = {"static": ours(name, "static", pair), "loss": ours(name, "loss", pair), "reference": reference()}
        if HAS_TORCH and name in LOCAL:
            runs["torch"] = in_torch(name, side)
        found = {key: statistics.median(s) for key, s in interleaved(runs, repeat, "processor").items()}
        torch = f"{found['torch']:.2f} | {found['torch'] / found['static']:.1f}" if "torch" in found else " | "
        print(
            f"| {name} | {found['static']:.3f} | {found['loss']:.3f} | {torch} | {found['reference']:.2f} | "
            f"{AUTHORS[name]} |",
            flush=True,
        )


def print_large(names: Sequence[str], megapixels: float) -> None:
    """Markdown, a row for each network and weighting, a process each."""
    print(f"grey pairs of {megapixels:g} megapixels\n\n| network | weights | seconds | peak GB |\n|---|---|---|---|")
    for name in names:
        for weighting in ("static", "loss"):
            command = [sys.executable, "-m", "benchmarks.encoders", name, "--one", weighting]
            done = subprocess.run([*command, "--megapixels", str(megapixels)], stdout=subprocess.PIPE, check=True)
            row = json.loads(done.stdout)
            print(f"| {name} | {weighting} | {row['seconds']:.1f} | {row['peak']:.2f} |", flush=True)


def large(name: str, weighting: str, megapixels: float) -> dict[str, float]:
    """Seconds of the first call, compilation included, and the process's peak in GB."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    rng = np.random.default_rng(1)
    pair = [rng.integers(0, 256, (height, height * 4 // 3), dtype=np.uint8) for _ in range(2)]
    started = time.perf_counter()
    ours(name, weighting, pair)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": time.perf_counter() - started, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(NAMES)}; default: all that fit")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--repeat", type=int, default=5, help="runs to take the median of")
    parser.add_argument("--megapixels", type=float, help="measure large images instead")
    parser.add_argument("--one", choices=("static", "loss"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(LOCAL if options.megapixels else NAMES):
        parser.error(f"names are {', '.join(LOCAL if options.megapixels else NAMES)}; got {', '.join(sorted(unknown))}")
    if options.one:
        print(json.dumps(large(options.names[0], options.one, options.megapixels)))
    elif options.megapixels:
        print_large(options.names or LOCAL, options.megapixels)
    else:
        print_speed(options.names or NAMES, options.side, options.repeat)


if __name__ == "__main__":
    main()
