"""How far results move when networks multiply in bfloat16, and what that costs or gains here.

``python -m benchmarks.precision [--ifcnn FOLDER ...] [--height 240] [--width 320] [--repeat 3]``

*image dB* and *8-bit dB* are the PSNR of the fused image against the float32 one, as it is and both rounded to 8 bits;
*largest* the largest difference; *weights* the largest difference of a fusion weight. Seconds are processor seconds of
the run that took least, in interleaved runs. IFCNN needs converted checkpoints, one folder each.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ttd_jax import Fuser, load_backbone

EXAMPLES = Path(__file__).parents[1] / "examples"
SETS = {
    "focus": ("focus_near.png", "focus_far.png"),
    "exposure": ("exposure_under.png", "exposure_normal.png", "exposure_over.png"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ifcnn", nargs="*", default=[], metavar="FOLDER", help="converted checkpoints of IFCNN")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    sets = {name: example(files, options.height, options.width) for name, files in SETS.items()}
    sets["random"] = list(np.random.default_rng(0).random((2, options.height, options.width)).astype(np.float32))
    backbones = [load_backbone(), *(load_backbone("ifcnn", folder) for folder in options.ifcnn)]
    print(f"{options.width} x {options.height}, grey")
    columns = ("image dB", "8-bit dB", "largest", "weights", "float32 s", "bfloat16 s")
    print(" " * 35 + "".join(f"{column:>11}" for column in columns))
    for backbone in backbones:
        for weighting in ("loss", "static"):
            fusers = [
                Fuser(backbone, weighting=weighting, color="gray", dtype="float32", precision=precision)
                for precision in ("float32", "bfloat16")
            ]
            for name, sources in sets.items():
                plain, half = (fuser(sources) for fuser in fusers)
                difference = np.abs(plain.image - half.image).max()
                weights = np.nan if plain.weights is None else np.abs(plain.weights - half.weights).max()
                seconds = [
                    min(times) for times in zip(*(run(fusers, sources) for _ in range(options.repeat)), strict=True)
                ]
                label = f"{backbone.name} {backbone.manifest.get('preset')}"
                eight = psnr(*(np.rint(one.image * 255) / 255 for one in (plain, half)))
                print(
                    f"{label:15}{weighting:10}{name:10}{psnr(plain.image, half.image):11.1f}{eight:11.1f}"
                    f"{difference:11.4f}{weights:11.4f}{seconds[0]:11.2f}{seconds[1]:11.2f}",
                    flush=True,
                )


def run(fusers: list[Fuser], sources: list[np.ndarray]) -> list[float]:
    seconds = []
    for fuser in fusers:
        started = time.process_time()
        fuser(sources)
        seconds.append(time.process_time() - started)
    return seconds


def example(files: tuple[str, ...], height: int, width: int) -> list[np.ndarray]:
    return [np.asarray(Image.open(EXAMPLES / name).resize((width, height)).convert("L")) for name in files]


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    error = np.mean(np.square(x.astype(float) - y.astype(float)))
    return float("inf") if error == 0 else -10 * np.log10(error)


if __name__ == "__main__":
    main()
