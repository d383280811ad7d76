"""What ``benchmarks.fuse`` times: IFCNN layer by layer, folded, and in PyTorch, as functions of the sources."""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parameters import random_backbone
from ttd_jax.backbones.ifcnn import IFCNN, SPEC
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.engine.pipeline import fuse_pixels, fuse_pixels_batch
from ttd_jax.options import Component

HAS_TORCH = find_spec("torch") is not None

Run = Callable[[], Any]

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""Seconds that pass, and seconds that all cores together work: the steadier figure where others share them."""


def names() -> list[str]:
    """The contenders on this machine."""
    return ["plain", "fast", *(["PyTorch", "PyTorch, channels last"] if HAS_TORCH else [])]


def noise(*shape: int) -> np.ndarray:
    """Sources."""
    return np.random.default_rng(1).random(shape, np.float32)


def contender(name: str, sources: np.ndarray, dynamic: bool, component: Component = "black") -> Run:
    """One way to fuse (M, H, W, C), or a batch (N, M, H, W, C), into arrays of this machine's memory."""
    variables = random_backbone("ifcnn").variables
    if name.startswith("PyTorch"):
        from benchmarks.torch_ifcnn import TorchIFCNN

        network = TorchIFCNN(variables, "channels last" in name, component)
        if sources.ndim == 5:
            return lambda: [network(one, dynamic) for one in sources]
        return lambda: network(sources, dynamic)
    model = replace(IFCNN(), plain=name == "plain")
    weighting = StaticWeighting()
    if dynamic:
        weighting = replace(SPEC.recipes["fitted"], scale=np.float32(1), component=component)
    program = jax.jit(fuse_pixels if sources.ndim == 4 else fuse_pixels_batch, static_argnums=0, static_argnames="rule")
    grey = sources.shape[-1] == 1
    colored = np.full(sources.shape[-4], not grey)
    return lambda: np.asarray(
        program(model, variables, weighting, sources, colored, rule="gray" if grey else "rgb").image
    )


def interleaved(runs: dict[str, Run], repeat: int, clock: str = "wall") -> dict[str, list[float]]:
    """Seconds of each run, taken in turns after one of each to warm up."""
    now = CLOCKS[clock]
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            started = now()
            run()
            seconds[name].append(now() - started)
    return seconds


def matmul_peak(clock: str) -> float:
    """Floating point operations in a second of this clock, of a product of two 2048 x 2048 matrices, the best of five.

    By the processor clock this is what one core does.
    """
    a = jnp.asarray(noise(2048, 2048))
    product = jax.jit(jnp.matmul)
    seconds = interleaved({"": lambda: jax.block_until_ready(product(a, a))}, 5, clock)
    return 2 * 2048**3 / min(seconds[""])


def operations(sources: tuple[int, ...], dynamic: bool, component: Component = "black") -> float:
    """Floating point operations of the folded network's convolutions for (M, H, W, C) sources."""
    count, height, width, channels = sources
    encode, decode = 2 * 81 * channels * 64, 2 * (9 * 64 * 64 + 64 * 3)
    components = (1 if component == "fused" else count) if dynamic else 0
    return height * width * (count * encode + (components + 1) * decode)
