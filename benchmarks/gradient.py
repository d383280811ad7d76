"""What weights from gradients cost beside weights from losses, and what a convolution's derivative costs in a loop.

``python -m benchmarks.gradient [NAME ...] [--height 480] [--width 640] [--repeat 3]``

Processor seconds over all cores, the least of some runs that take turns, since a shared machine is noisy. *whole* is
the image at once (``core.fusion.ttd``); *fuse* is what ``fuse`` runs, which for large images works in strips and finds
the channels' means in a pass of its own. Parameters of IFCNN are random: time does not depend on them.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parameters import random_backbone
from ttd_jax import GradientWeighting, load_backbone
from ttd_jax.backbones.layers import conv
from ttd_jax.core import fusion
from ttd_jax.engine.pipeline import fuse_pixels
from ttd_jax.ops.padding import zero_pad


def network(name: str):
    """Model, parameters and default recipe."""
    backbone = load_backbone() if name == "bandnet" else random_backbone(name)
    return backbone.model, backbone.variables, backbone.recipes["default"]


def in_turn(programs: dict, repeat: int) -> dict[str, float]:
    """Least processor seconds of each program, after one run to compile it."""
    spent: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(repeat + 1):
        for name, program in programs.items():
            started = time.process_time()
            jax.block_until_ready(program())
            if turn:
                spent[name].append(time.process_time() - started)
    return {name: min(seconds) for name, seconds in spent.items()}


def report(name: str, height: int, width: int, repeat: int) -> None:
    model, variables, recipe = network(name)
    stack = jnp.asarray(np.random.default_rng(0).random((2, height, width, 1)), jnp.float32)
    weightings = {"loss": recipe}
    for channel in (np.array(3, np.int32), "mean", "auto"):
        label = f"gradient, {channel}" if isinstance(channel, str) else "gradient, index"
        weightings[label] = replace_numbers(GradientWeighting(channel=channel).complete(recipe))
    whole = jax.jit(lambda v, s, w: fusion.fuse(model, v, s, w).image)
    run = jax.jit(partial(fuse_pixels, model, variables, rule="gray"))
    programs = {("whole", label): partial(whole, variables, stack, w) for label, w in weightings.items()}
    grey = np.array([False, False])
    programs |= {("fuse", label): partial(run, w, stack, grey) for label, w in weightings.items()}
    seconds = in_turn(programs, repeat)
    for (how, label), value in seconds.items():
        print(f"{name:8} {how:6} {label:16}{value:8.2f} s{value / seconds[how, 'loss']:8.2f} x loss", flush=True)


def replace_numbers(weighting: GradientWeighting) -> GradientWeighting:
    """As ``fuse`` passes it on."""
    return replace(weighting, scale=np.float32(weighting.scale))


def report_loop(repeat: int) -> None:
    """The derivative of two dilated 3x3 convolutions of 32 channels at 120x160, for two images in a loop."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((2, 120, 160, 32)), jnp.float32)
    kernel = jnp.asarray(rng.normal(0, 0.05, (3, 3, 32, 32)), jnp.float32)

    def plain(padded, kernel, *, dilation):
        y = jax.lax.conv_general_dilated(
            padded[None],
            kernel,
            (1, 1),
            "SAME",
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0]
        return y[dilation:-dilation, dilation:-dilation]

    def slope(convolve):
        def value(image, kernel):
            for _ in range(2):
                image = jax.nn.relu(convolve(zero_pad(image, 2), kernel, dilation=2))
            return jnp.sum(image**2)

        return jax.jit(lambda x, k: jax.lax.map(lambda image: jax.grad(value)(image, k), x))

    programs = {name: partial(slope(f), x, kernel) for name, f in {"jax's own": plain, "conv": conv}.items()}
    for name, seconds in in_turn(programs, repeat).items():
        print(f"derivative of convolutions in a loop, {name:10}{seconds:8.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="backbones (default: bandnet ifcnn)")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--repeat", type=int, default=3, help="runs to take the least of")
    options = parser.parse_args()
    print(f"two sources, {options.width} x {options.height}")
    for name in options.names or ("bandnet", "ifcnn"):
        report(name, options.height, options.width, options.repeat)
    report_loop(options.repeat)


if __name__ == "__main__":
    main()
