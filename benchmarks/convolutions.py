"""Convolutions of padded maps on CPU: without padding of their own, and zero-padded with the border cut off.

``python -m benchmarks.convolutions``. Both give the same numbers; on CPU ``ttd_jax.ops.conv.conv`` is the first way for
maps of one channel and the second for all others. Medians of alternating runs, 3x3 kernels.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = (
    (1, 482, 642, 1, 32),
    (16, 82, 82, 32, 32),
    (1, 482, 642, 32, 32),
    (1, 482, 642, 64, 64),
    (1, 482, 642, 128, 16),
)
"""Images, height and width with padding, channels in and out."""


def convolve(padding):
    layout = ("NHWC", "HWIO", "NHWC")

    @jax.jit
    def run(padded, kernel):
        y = jax.lax.conv_general_dilated(padded, kernel, (1, 1), padding, dimension_numbers=layout)
        return y if padding == "VALID" else y[:, 1:-1, 1:-1]

    return run


def main() -> None:
    print("| images, size, channels | unpadded, ms | padded and cut, ms | ratio |\n|---|---|---|---|")
    for count, height, width, channels, features in SHAPES:
        rng = np.random.default_rng(0)
        padded = jnp.asarray(rng.normal(size=(count, height, width, channels)), jnp.float32)
        kernel = jnp.asarray(rng.normal(size=(3, 3, channels, features)) / 10, jnp.float32)
        ways = [convolve("VALID"), convolve("SAME")]
        first, second = (np.asarray(way(padded, kernel)) for way in ways)
        assert np.abs(first - second).max() < 1e-4 * np.abs(first).max()
        seconds: list[list[float]] = [[], []]
        for _ in range(7):
            for way, found in zip(ways, seconds, strict=True):
                started = time.perf_counter()
                jax.block_until_ready(way(padded, kernel))
                found.append(time.perf_counter() - started)
        slow, fast = (1e3 * float(np.median(found)) for found in seconds)
        size = f"{count} x {width - 2} x {height - 2}, {channels} to {features}"
        print(f"| {size} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} |")


if __name__ == "__main__":
    main()
