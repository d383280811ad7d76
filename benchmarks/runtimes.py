"""Exported fusions in ONNX Runtime beside our own programs, in turns.

``python -m benchmarks.runtimes [NAME ...] [--width 640] [--height 480] [--repeat 5] [--clock wall]`` prints, for a grey
pair with default weights, the file's size, the largest difference of image and weights from ours, and the seconds of
both: medians of interleaved runs. Networks but BandNet have random parameters.

Seconds that pass say most on an idle machine. Where others work too take ``--clock processor``, over all cores: ONNX
Runtime is then told to let threads sleep that wait, since waiting in a loop would count as work.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import jax
import numpy as np
import onnxruntime

from benchmarks.contenders import CLOCKS, interleaved
from benchmarks.parameters import random_backbone
from ttd_jax import Fuser
from ttd_jax.export import export_fuser

BY_SIZE = ("bandnet", "pyramid")
NAMES = (*BY_SIZE, "ifcnn", "densefuse", "didfuse", "auif", "piafusion", "cddfuse", "pfcfuse")


def measure(name: str, height: int, width: int, repeat: int, clock: str) -> str:
    """A row of the table."""
    fuser = Fuser(name if name in BY_SIZE else random_backbone(name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuse.onnx"
        export_fuser(fuser, path, format="onnx", size=(height, width) if name in BY_SIZE else None)
        size = path.stat().st_size
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if clock == "wall" else "0")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pair = np.random.default_rng(1).random((2, height, width)).astype(np.float32)
    feed = {"sources": pair[..., np.newaxis]}
    program, colored = jax.jit(fuser.body()), np.zeros(2, bool)
    ours = program(feed["sources"], colored)
    theirs = session.run(["image", "weights"], feed)
    errors = [float(np.abs(a - b).max()) for a, b in zip(theirs, (ours.image, ours.weights), strict=True)]
    runs = {
        "onnx": lambda: session.run(["image", "weights"], feed),
        "ours": lambda: jax.block_until_ready(program(feed["sources"], colored)),
    }
    seconds = interleaved(runs, repeat, clock)
    ratio = statistics.median(a / b for a, b in zip(seconds["onnx"], seconds["ours"], strict=True))
    onnx, own = (statistics.median(seconds[key]) for key in ("onnx", "ours"))
    return f"| {name} | {size / 1e6:.2f} | {errors[0]:.0e} | {errors[1]:.0e} | {onnx:.3f} | {own:.3f} | {ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(NAMES)}; default: all")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--repeat", type=int, default=5, help="runs to take the median of")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="seconds of what (default: wall)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"names are {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
    print(f"grey pairs of {options.width} x {options.height}, {options.clock} seconds, medians of {options.repeat}\n")
    print("| network | MB | image | weights | ONNX Runtime | ours | ratio |\n|---|---|---|---|---|---|---|")
    for name in options.names or NAMES:
        print(measure(name, options.height, options.width, options.repeat, options.clock), flush=True)


if __name__ == "__main__":
    main()
