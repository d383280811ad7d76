"""Every line that was promised for an accelerator, measured where this runs, as a page in Markdown.

``python -m benchmarks.device [--height 1024] [--width 1280] [--batch 16] [--repeat 10] [--only NAME ...]``

Milliseconds a pair, medians of batches in turns, wall clock; the goal is 2 ms for IFCNN with test-time weights at
1280x1024. Programs run on arrays that lie on the device; ``copied`` counts the way there and back. Where PyTorch is
installed its IFCNN, eager and compiled, takes part on the same device. Parameters of IFCNN are random.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.contenders import HAS_TORCH, interleaved
from benchmarks.parameters import random_backbone
from ttd_jax import Fuser, __version__
from ttd_jax.options import Precision

GOAL = 2.0
"""Milliseconds for a pair of 1280x1024, IFCNN, test-time weights, in a batch."""

Run = Callable[[], Any]


def ours(network: str, weighting: Any, precision: Precision, stacks: np.ndarray, devices: int) -> Run:
    """A batch on the device, and nothing that comes back from there."""
    backbone = None if network == "bandnet" else random_backbone("ifcnn")
    fuser = Fuser(backbone, weighting=weighting, precision=precision)
    fuse = fuser.body()
    colored = np.zeros(stacks.shape[1], bool)

    def in_turn(part: jax.Array) -> jax.Array:
        return jax.lax.map(lambda stack: fuse(stack, colored).image, part)

    if devices == 1:
        program, placed = jax.jit(in_turn), jax.device_put(stacks, jax.devices()[0])
    else:
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("batch",))
        shares = jax.sharding.PartitionSpec("batch")
        program = jax.jit(jax.shard_map(in_turn, mesh=mesh, in_specs=shares, out_specs=shares, check_vma=False))
        placed = jax.device_put(stacks, jax.sharding.NamedSharding(mesh, shares))
    return lambda: jax.block_until_ready(program(placed))


def copied(stacks: np.ndarray) -> Run:
    """``Fuser.batch`` as users call it: arrays of NumPy in and out, weights too."""
    fuser = Fuser(random_backbone("ifcnn"), weighting="loss")
    return lambda: fuser.batch(stacks[..., 0])


def torch_runs(stacks: np.ndarray) -> dict[str, Run]:
    """IFCNN in PyTorch on the same kind of device; pairs one after another, as its authors' code takes them."""
    import torch

    from benchmarks.torch_ifcnn import TorchIFCNN

    name = "cuda" if torch.cuda.is_available() else "cpu"
    network = TorchIFCNN(random_backbone("ifcnn").variables, channels_last=True).to(name)
    network.mean, network.std = network.mean.to(name), network.std.to(name)
    pairs = torch.from_numpy(stacks[..., 0]).to(name)[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()

    def fuse(pair: Any) -> Any:
        features = network.encode(pair)
        black = network.encode(torch.zeros_like(pair[:1]))
        parts = network.decode(torch.maximum(features, black))
        losses = ((parts - network.mean) / network.std - pair).abs().mean(1, keepdim=True)
        weights = torch.softmax(torch.exp(-losses), dim=0)
        return network.decode((weights * features).sum(0, keepdim=True))

    def run(function: Callable[[Any], Any]) -> Run:
        def every() -> None:
            with torch.inference_mode():
                for pair in pairs:
                    function(pair)
            if name == "cuda":
                torch.cuda.synchronize()

        return every

    return {f"PyTorch eager, {name}": run(fuse), f"torch.compile, {name}": run(torch.compile(fuse))}


def lines(stacks: np.ndarray) -> dict[str, Callable[[], dict[str, Run]]]:
    """What is measured, by name; each gives runs that are taken in turns."""

    def kinds(network: str, weighting: Any) -> dict[str, Run]:
        floats: tuple[Precision, ...] = ("float32", "bfloat16")
        return {one: ours(network, weighting, one, stacks, 1) for one in floats}

    found = {
        "ifcnn-ttd": lambda: {**kinds("ifcnn", "loss"), "float32, copied": copied(stacks)},
        "ifcnn-static": lambda: kinds("ifcnn", "static"),
        "bandnet": lambda: kinds("bandnet", "loss"),
    }
    count = max(n for n in range(1, jax.device_count() + 1) if len(stacks) % n == 0)
    if count > 1:
        found["devices"] = lambda: {f"{n} devices": ours("ifcnn", "loss", "float32", stacks, n) for n in (1, count)}
    if HAS_TORCH:
        found["pytorch"] = lambda: {"float32": ours("ifcnn", "loss", "float32", stacks, 1), **torch_runs(stacks)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--batch", type=int, default=16, help="pairs at once")
    parser.add_argument("--repeat", type=int, default=10, help="batches to take the median of")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some lines (default: all there are here)")
    options = parser.parse_args()
    shape = options.batch, 2, options.height, options.width, 1
    stacks = np.random.default_rng(0).random(shape).astype(np.float32)
    every = lines(stacks)
    if unknown := set(options.only or ()) - set(every):
        parser.error(f"lines here are {', '.join(every)}; got {', '.join(sorted(unknown))}")
    device = jax.devices()[0]
    print(f"{jax.device_count()} x {device.device_kind} ({device.platform}), jax {jax.__version__}, ", end="")
    print(
        f"ttd-jax {__version__}, Python {platform.python_version()}: batches of {options.batch} grey pairs of ", end=""
    )
    print(f"{options.width} x {options.height}, medians of {options.repeat}\n")
    print("| line | how | ms a pair | times the first |\n|---|---|---|---|")
    for name in options.only or every:
        seconds = interleaved(every[name](), options.repeat)
        first = next(iter(seconds.values()))
        for how, own in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(own, first, strict=True))
            pair = 1000 * statistics.median(own) / options.batch
            goal = f" (goal {GOAL:g}: {'met' if pair <= GOAL else 'missed'})"
            told = goal if (name, how, *shape[2:4]) == ("ifcnn-ttd", "float32", 1024, 1280) else ""
            print(f"| {name} | {how} | {pair:.2f}{told} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
