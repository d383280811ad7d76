"""Programs that photographers use beside ``ttd-jax fuse``: quality and seconds of the same files, each as a process.

``python -m studies.other_tools [TASK ...] [--data DATA] [--repeat 3]``

Compared are those that are installed: ``enfuse`` (Debian: enfuse), OpenCV's Mertens fusion (the wheel
opencv-python-headless) and ``focus-stack`` (github.com/PetteriAimonen/focus-stack). Tasks:

- ``bracket``: the example exposures; MEF-SSIM of luma. With ``--data`` the sequences there too, long side 512.
- ``focus``: the example pair; PSNR to the sharp photograph that it was made from.
- ``stack``: twelve frames in focus at twelve depths, clean and with noise of standard deviation 20; PSNR.
- ``large``: the example exposures enlarged to 4000 x 3000; seconds alone.
- ``metrics``: SSIM and VIF of a blurred photograph by ours and by torchmetrics, where that is installed, and the
  milliseconds of a call after the first.

Seconds are of the whole process, the least of the repeats, after one run that is not counted (compiled programs are
then in the cache). The commands are printed first.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from studies.looks import focus_stack, luma, psnr, sharp_photo
from studies.pictures import sequences
from studies.weights import EXAMPLES

MERTENS = (
    "import sys, cv2; frames = [cv2.imread(path) for path in sys.argv[2:]]; "
    "fused = cv2.createMergeMertens({weights}).process(frames); "
    "cv2.imwrite(sys.argv[1], (fused * 255).clip(0, 255).round().astype('uint8'))"
)
OURS = [sys.executable, "-m", "ttd_jax", "fuse", "{sources}", "-o", "{output}", "--overwrite"]
EXPOSURE = {
    "ttd-jax": OURS,
    "ttd-jax, mertens": [*OURS, "--backbone", "mertens"],
    "enfuse": ["enfuse", "-o", "{output}", "{sources}"],
    "OpenCV": [sys.executable, "-c", MERTENS.format(weights=""), "{output}", "{sources}"],
}
SHARPEST = ["--exposure-weight=0", "--saturation-weight=0", "--contrast-weight=1", "--hard-mask"]
FOCUS = {
    "ttd-jax": OURS,
    "enfuse": ["enfuse", *SHARPEST, "-o", "{output}", "{sources}"],
    "OpenCV": [sys.executable, "-c", MERTENS.format(weights="1, 0, 0"), "{output}", "{sources}"],
    "focus-stack": ["focus-stack", "--align-keep-size", "--output={output}", "{sources}"],
}
TASKS = ("bracket", "focus", "stack", "large", "metrics")
Measure = Callable[[np.ndarray], float]


def filled(command: list[str], sources: list[Path], output: Path) -> list[str]:
    """A command with its files in place."""
    found: list[str] = []
    for word in command:
        found += map(str, sources) if word == "{sources}" else [word.replace("{output}", str(output))]
    return found


def seconds_of(command: list[str], repeat: int) -> float:
    """The least wall time of ``repeat`` runs after one that is not counted.

    Raises:
        subprocess.CalledProcessError: It fails.
    """
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times[1:] or times)


def installed(commands: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those whose program is on the path."""
    return {name: command for name, command in commands.items() if shutil.which(command[0])}


def print_rows(
    title: str, frames: np.ndarray, commands: dict[str, list[str]], measure: Measure | None, repeat: int
) -> None:
    """A row a tool of one set of frames (M, H, W[, 3]) uint8."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder) / f"{m:02}.png" for m in range(len(frames))]
        for path, frame in zip(sources, frames, strict=True):
            Image.fromarray(frame).save(path)
        for name, command in installed(commands).items():
            output = Path(folder) / f"{name}.png"
            seconds = seconds_of(filled(command, sources, output), repeat)
            fused = np.asarray(Image.open(output).convert("RGB" if frames.ndim == 4 else "L"))
            value = "" if measure is None else f"{measure(fused):.3f}"
            print(f"| {title} | {name} | {value} | {seconds:.2f} |", flush=True)


def similarity(frames: np.ndarray) -> Measure:
    """MEF-SSIM of luma against all frames."""
    from ttd_jax.metrics import multi_exposure_structural_similarity

    greys = np.rint(luma(frames)).astype(np.uint8)

    def measure(fused: np.ndarray) -> float:
        grey = np.rint(luma(fused)).astype(np.uint8)
        return float(multi_exposure_structural_similarity(grey, greys, variant="multiscale"))

    return measure


def print_metrics(repeat: int) -> None:
    """Values and milliseconds of two metrics, by library."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim
    from torchmetrics.functional.image import visual_information_fidelity as torch_vif

    from ttd_jax.metrics import evaluate

    truth, near = (np.rint(luma(image)).astype(np.uint8) for image in (sharp_coffee(), examples("focus_near")[0]))
    tensors = [torch.tensor(image, dtype=torch.float32)[None, None] for image in (near, truth)]
    ways: dict[tuple[str, str], Callable[[], float]] = {
        ("SSIM", "ttd-jax"): lambda: evaluate(near, [truth, truth], metrics=["SSIM"])["SSIM"],
        ("SSIM", "torchmetrics"): lambda: float(torch_ssim(*tensors, data_range=255.0)),
        ("VIF", "ttd-jax"): lambda: evaluate(near, [truth, truth], metrics=["VIF"])["VIF"],
        ("VIF", "torchmetrics"): lambda: float(torch_vif(*tensors)),
    }
    print("\n| metric | library | value | milliseconds |\n|---|---|---|---|")
    for (metric, library), compute in ways.items():
        value, times = compute(), []
        for _ in range(5 * repeat):
            start = time.perf_counter()
            compute()
            times.append(time.perf_counter() - start)
        print(f"| {metric} | {library} | {value:.4f} | {1000 * min(times):.1f} |")


def examples(*names: str) -> np.ndarray:
    """Example images as one array."""
    return np.stack([np.asarray(Image.open(EXAMPLES / f"{name}.png")) for name in names])


def sharp_coffee() -> np.ndarray:
    """The photograph that the focus pair was made from, as ``examples/make_examples.py`` scales it."""
    from skimage import data, transform

    return np.rint(255 * transform.resize(data.coffee() / 255, (320, 480, 3), anti_aliasing=True)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"among {', '.join(TASKS)}; default: all")
    parser.add_argument("--data", type=Path, help="folder with multiexposure/sequences")
    parser.add_argument("--repeat", type=int, default=3, help="runs that are timed")
    options = parser.parse_args()
    if unknown := set(options.tasks) - set(TASKS):
        parser.error(f"tasks are {', '.join(TASKS)}; got {', '.join(sorted(unknown))}")
    asked = options.tasks or TASKS
    for name, command in (
        *EXPOSURE.items(),
        *((f"{name} (focus)", FOCUS[name]) for name in FOCUS if name != "ttd-jax"),
    ):
        print(f"- {name}: `{shlex.join(['python' if word == sys.executable else word for word in command])}`")
    print("\n| set | tool | MEF-SSIM, or dB | seconds |\n|---|---|---|---|")
    bracket = examples("exposure_under", "exposure_normal", "exposure_over")
    if "bracket" in asked:
        print_rows("bracket of 3, 432 x 288", bracket, EXPOSURE, similarity(bracket), options.repeat)
        for name, frames in (sequences(options.data, 512) if options.data else {}).items():
            print_rows(f"{name}, {len(frames)} frames", frames, EXPOSURE, similarity(frames), options.repeat)
    if "focus" in asked:
        truth = sharp_coffee()
        pair = examples("focus_near", "focus_far")
        print_rows("pair, 480 x 320", pair, FOCUS, lambda fused: psnr(fused, truth), options.repeat)
    if "stack" in asked:
        photo = sharp_photo(size=512)
        for sigma in (0, 20):
            stack = np.asarray(focus_stack(photo, sigma))
            title = f"stack of 12, 512 x 512, {f'noise {sigma}' if sigma else 'clean'}"
            print_rows(title, stack, FOCUS, lambda fused: psnr(fused, photo), options.repeat)
    if "large" in asked:
        large = np.stack([np.asarray(Image.fromarray(each).resize((4000, 3000))) for each in bracket])
        print_rows("bracket of 3, 4000 x 3000", large, EXPOSURE, None, options.repeat)
    if "metrics" in asked and find_spec("torchmetrics"):
        print_metrics(options.repeat)


if __name__ == "__main__":
    main()
