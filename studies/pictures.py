"""Pictures beyond the sixteen cells: colour exposure sequences, stacks of twelve, skies, hidden boxes, fading sources.

``python -m studies.pictures [STUDY ...] [--ours "fuse checkpoint=DIR"] [--data DATA] [--size 512]``

- ``sequences``: colour exposure sequences. MEF-SSIM of luma against all frames, distance of the mean chroma from the
  best-exposed frame's, and the share of pixels that run against all sources (haloes); beside our Mertens, the mean,
  and enfuse where it is installed.
- ``stack``: twelve frames made of a sharp photograph, each in focus at its own depth, clean and under noise (standard
  deviation 20 of 255); PSNR beside the sharpest pixel and the classical pyramid.
- ``sky``: infrared pairs of a half in which a daylight sky is found: its brightness kept, its noise.
- ``weights``: the weight of a hidden box, and of a source that fades by degrees, on pairs made of own pictures.

``studies.looks`` defines the measures.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from studies import classical
from studies.looks import focus_stack, luma, psnr, reversal, sharp_photo, sky_kept, white_balance_shift
from studies.methods import grey_method, named_method, to_bytes
from studies.pairs import HALVES, load_half, spaced
from studies.scoring import DATA, keep_programs

ColorFn = Callable[[np.ndarray], np.ndarray]
"""From frames (M, H, W, 3) uint8 to the fused image (H, W, 3) uint8."""

STUDIES = ("sequences", "stack", "sky", "weights")
GOALS = "goals: chroma within .030, sky at least .90 with noise at most 1.3, a hidden box at most .15"


def sequences(data: Path, size: int | None = None) -> dict[str, np.ndarray]:
    """Exposure sequences by name, frames (M, H, W, 3) uint8, the long side at most ``size``."""
    found = {}
    for folder in sorted(path for path in (data / "multiexposure" / "sequences").iterdir() if path.is_dir()):
        frames = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.*g"))]
        if size:
            for frame in frames:
                frame.thumbnail((size, size))
        found[folder.name] = np.stack([np.asarray(frame) for frame in frames])
    return found


def enfuse(frames: np.ndarray) -> np.ndarray:
    """What the program ``enfuse`` makes of the frames with its default settings.

    Raises:
        FileNotFoundError: It is not installed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{m}.tif" for m in range(len(frames))]
        for path, frame in zip(paths, frames, strict=True):
            Image.fromarray(frame).save(path)
        fused = folder / "fused.tif"
        subprocess.run(["enfuse", "-o", fused, *paths], check=True, capture_output=True)
        return np.asarray(Image.open(fused).convert("RGB"))


def color_methods(ours: str) -> dict[str, ColorFn]:
    """Ours and the peers that take colour, by label."""
    fuse, exposed = named_method(ours).fuse, named_method("fuse backbone=mertens").fuse
    found: dict[str, ColorFn] = {
        "ours": lambda frames: fuse(list(frames)),
        "ours, backbone mertens": lambda frames: exposed(list(frames)),
        "mertens": lambda frames: to_bytes(classical.mertens(frames / 255)),
        "mertens, exposure too": lambda frames: to_bytes(classical.mertens(frames / 255, exposure=1)),
        "mean": lambda frames: to_bytes(classical.average(frames / 255)),
    }
    return found | ({"enfuse": enfuse} if shutil.which("enfuse") else {})


def print_sequences(ours: str, data: Path, size: int | None) -> None:
    from ttd_jax.metrics import multi_exposure_structural_similarity

    print(
        "\n| sequence | frames | method | MEF-SSIM | chroma off by | against all sources |\n|---|---|---|---|---|---|"
    )
    methods = color_methods(ours)
    for name, frames in sequences(data, size).items():
        greys = np.rint(luma(frames)).astype(np.uint8)
        for label, method in methods.items():
            fused = method(frames)
            grey = np.rint(luma(fused)).astype(np.uint8)
            similarity = float(multi_exposure_structural_similarity(grey, greys, variant="multiscale"))
            chroma, rims = white_balance_shift(fused / 255, frames / 255), reversal(grey / 255, greys / 255)
            print(f"| {name} | {len(frames)} | {label} | {similarity:.4f} | {chroma:.3f} | {rims:.4f} |", flush=True)


def print_stack(ours: str, size: int) -> None:
    print("\n| stack of twelve | " + " | ".join(f"noise {sigma}" for sigma in (0, 20)) + " |\n|---|---|---|")
    photo = sharp_photo(size=size)
    methods = {"ours": named_method(ours).fuse}
    methods |= {name: grey_method(classical.METHODS[name]) for name in ("sharpest", "pyramid", "average")}
    for label, method in methods.items():
        values = [psnr(method(list(focus_stack(photo, sigma))), photo) for sigma in (0, 20)]
        print(f"| {label} | " + " | ".join(f"{value:.2f} dB" for value in values) + " |", flush=True)


def print_skies(ours: str, data: Path, half: str) -> None:
    print("\n| daylight sky | method | brightness kept | noise |\n|---|---|---|---|")
    methods = {"ours": named_method(ours).fuse}
    methods |= {name: grey_method(classical.METHODS[name]) for name in ("pyramid", "guided filter", "average")}
    for pair in load_half(data, half, 512)["infrared"]:
        visible, infrared = pair.sources / 255
        for label, method in methods.items():
            if sky_kept(visible, visible, infrared) is None:
                break
            kept, noise = sky_kept(method(list(pair.sources)) / 255, visible, infrared) or (np.nan, np.nan)
            print(f"| {pair.name} | {label} | {kept:.3f} | {noise:.2f} |", flush=True)


def print_weights(ours: str, most: int) -> None:
    from studies.robustness import contrast_study, mask_study, print_contrast, print_mask
    from studies.weights import own_pairs

    method = named_method(ours)
    if method.fuser is None:
        print(f"\n{ours} has no weights")
        return
    pairs = {task: spaced(members, most) for task, members in own_pairs().items()}
    print()
    print_mask(mask_study(method.fuser, pairs))
    print()
    print_contrast(contrast_study(method.fuser, pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"among {', '.join(STUDIES)}; default: all")
    parser.add_argument("--ours", default="fuse", metavar="NAME", help="the method to judge (see studies/methods.py)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="choose", help="half of the infrared pairs")
    parser.add_argument("--size", type=int, help="long side of the sequences (default: as they are)")
    parser.add_argument("--most", type=int, default=4, help="pairs of each task for the weights")
    options = parser.parse_args()
    if unknown := set(options.studies) - set(STUDIES):
        parser.error(f"studies are {', '.join(STUDIES)}; got {', '.join(sorted(unknown))}")
    keep_programs()
    asked = options.studies or STUDIES
    if "sequences" in asked:
        print_sequences(options.ours, options.data, options.size)
    if "stack" in asked:
        print_stack(options.ours, 256)
    if "sky" in asked:
        print_skies(options.ours, options.data, options.half)
    if "weights" in asked:
        print_weights(options.ours, options.most)
    print(f"\n{GOALS}")


if __name__ == "__main__":
    main()
