"""Do the weights mean what they should? A hidden area of a source must lose weight, and so must fading contrast.

``python -m studies.weights [--checkpoint DIR] [--data DATA] [--figure FILE.png]``

After the paper's Figures 6 and 7: a box in the middle of one source is set to black; a source is faded towards its mean
by degrees. Printed is the mean weight of that source, inside the box or over the image, averaged over the pairs of a
task and over which of the two sources is changed. Without ``--data`` the pairs are made from photographs and scenes
(``studies.weights.own_pairs``). The figure shows one of these pairs a task: sources, components, the first one's
weight, static and dynamic fusion.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from studies.pairs import Pair, grey, known_focus_pairs, load_pairs
from ttd_jax import Fuser, load_backbone
from ttd_jax.backbones.spec import Backbone

EXAMPLES = Path(__file__).parents[1] / "examples"
DEGREES = (0.0, 0.25, 0.5, 0.75, 0.9)


def own_pairs() -> dict[str, list[Pair]]:
    """A few pairs a task that need no download: examples, photographs and scenes no recipe trains on."""
    from ttd_jax.training.scenes import crop, make_scenes
    from ttd_jax.training.sources import TASKS

    pairs = {"focus": known_focus_pairs(), "exposure": [_exposures()]}
    rng = np.random.default_rng(2**32)
    scenes = make_scenes(2**32, 6, 256)
    for task in ("infrared", "medical"):
        made = [TASKS[task](rng, crop(rng, scene, 192), 2)[0] for scene in scenes]
        pairs[task] = [Pair(f"{task} {i}", np.rint(255 * sources).astype(np.uint8)) for i, sources in enumerate(made)]
    return pairs


def _exposures() -> Pair:
    return Pair("exposures", np.stack([grey(EXAMPLES / f"exposure_{name}.png") for name in ("under", "over")]))


def box(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The middle quarter of an image."""
    height, width = shape[-2:]
    return slice(3 * height // 8, 5 * height // 8), slice(3 * width // 8, 5 * width // 8)


def hide(image: np.ndarray) -> np.ndarray:
    """The image with a black box."""
    hidden = image.copy()
    hidden[box(image.shape)] = 0
    return hidden


def fade(image: np.ndarray, degree: float) -> np.ndarray:
    """The image with less contrast: 0 leaves it, 1 leaves its mean."""
    return np.rint((1 - degree) * image + degree * image.mean()).astype(np.uint8)


def weights_of(
    fuser: Fuser, pairs: list[Pair], change: Callable[[np.ndarray], np.ndarray], inside: bool = False
) -> np.ndarray:
    """The mean weight of a changed source, inside the box or over the image: a row a pair, a column a source."""
    found = np.empty((len(pairs), 2))
    for row, pair in zip(found, pairs, strict=True):
        for m in range(2):
            sources = list(pair.sources)
            sources[m] = change(sources[m])
            weights = fuser(sources).weights
            assert weights is not None
            row[m] = weights[m][box(sources[m].shape)].mean() if inside else weights[m].mean()
    return found


def figure(backbone: Backbone, pairs: dict[str, list[Pair]], height: int = 160) -> Image.Image:
    """A row a task: sources, components, weight of the first, static, dynamic."""
    dynamic, static = Fuser(backbone), Fuser(backbone, weighting="static")
    rows = []
    for members in pairs.values():
        sources = list(members[0].sources)
        result = dynamic(sources)
        assert result.components is not None and result.weights is not None
        maps = [*result.components, result.weights[0]]
        shown = [*sources, *(np.rint(255 * np.clip(m, 0, 1)).astype(np.uint8) for m in maps)]
        row = np.hstack([*shown, static(sources).image, result.image])
        rows.append(Image.fromarray(row).resize((7 * height, height), Image.Resampling.LANCZOS))
    sheet = Image.new("L", (7 * height, height * len(rows)))
    for i, image in enumerate(rows):
        sheet.paste(image, (0, i * height))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", help="checkpoint to judge (default: the one in the package)")
    parser.add_argument("--data", type=Path, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--figure", type=Path, help="where to draw the pairs made here")
    options = parser.parse_args()
    backbone = load_backbone(None, options.checkpoint)
    pairs = load_pairs(options.data, 256, 12) if options.data else own_pairs()
    fuser = Fuser(backbone)
    print("| task | pairs | box: before | hidden | " + " | ".join(f"faded {d:.0%}" for d in DEGREES) + " |")
    print("|---" * (4 + len(DEGREES)) + "|")
    for task, members in pairs.items():
        cells = [
            weights_of(fuser, members, np.copy, inside=True).mean(),
            weights_of(fuser, members, hide, inside=True).mean(),
            *(weights_of(fuser, members, partial(fade, degree=degree)).mean() for degree in DEGREES),
        ]
        print(f"| {task} | {len(members)} | " + " | ".join(f"{value:.3f}" for value in cells) + " |", flush=True)
    if options.figure:
        figure(backbone, own_pairs()).save(options.figure, optimize=True)


if __name__ == "__main__":
    main()
