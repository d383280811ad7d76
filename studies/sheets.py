"""Contact sheets: sources, weights, ours and two peers beside each other, full size, in colour, a picture for each set.

``python -m studies.sheets OUTPUT [--ours "fuse checkpoint=DIR"] [--data DATA] [--limit 3] [--format jpg]``

Without ``--data`` the sets are the project's own examples, photographs and scenes. Sheets made of other people's data
must not enter the repository, so with ``--data`` the output folder has to lie outside it.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from studies import classical
from studies.looks import luma
from studies.methods import Method, named_method, to_bytes
from studies.pairs import spaced
from studies.pictures import sequences

ROOT = Path(__file__).parents[1]
PEERS = {
    "infrared": ("pyramid", "guided filter"),
    "medical": ("guided filter", "laplacian max"),
    "focus": ("pyramid", "sharpest"),
    "exposure": ("mertens", "pyramid"),
}
"""Two of the best classical methods of each task."""

GAP, TITLE = 4, 16


def in_color(method: Callable[[np.ndarray], np.ndarray], images: Sequence[np.ndarray]) -> np.ndarray:
    """Grey or colour images fused by a grey method, (H, W, 3) uint8: luma by the method, the mean chroma of the images.

    Chroma is the mean of those that have colour; ``mertens`` takes colour itself.
    """
    frames = np.stack([_rgb(image) for image in images]) / 255
    if method is classical.mertens:
        return to_bytes(method(frames))
    lumas = luma(frames)
    chroma = frames - lumas[..., np.newaxis]
    colored = [each for each in chroma if np.abs(each).max() > 2 / 255]
    fused = method(lumas)[..., np.newaxis]
    return to_bytes(fused + (np.mean(colored, axis=0) if colored else np.zeros(3)))


def _rgb(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, axis=-1)


def sheet(tiles: Mapping[str, np.ndarray], columns: int = 4) -> Image.Image:
    """Images (H, W[, 3]) uint8 of one size, row by row, each under its title."""
    height, width = next(iter(tiles.values())).shape[:2]
    rows = -(-len(tiles) // columns)
    size = columns * (width + GAP) - GAP, rows * (height + TITLE + GAP) - GAP
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for index, (title, tile) in enumerate(tiles.items()):
        left, top = index % columns * (width + GAP), index // columns * (height + TITLE + GAP)
        draw.text((left + 2, top + 2), title, fill="black")
        page.paste(Image.fromarray(_rgb(tile)), (left, top + TITLE))
    return page


def contents(task: str, images: Sequence[np.ndarray], ours: Method) -> dict[str, np.ndarray]:
    """The tiles of one set: sources, the weight of each, ours, two peers."""
    tiles = {f"source {m + 1}": image for m, image in enumerate(images)}
    if ours.fuser is None:
        tiles["ours"] = ours.fuse(list(images))
    else:
        result = ours.fuser(list(images))
        if result.weights is not None:
            tiles |= {f"weight of {m + 1}": to_bytes(weight) for m, weight in enumerate(result.weights)}
        tiles["ours"] = result.image
    return tiles | {name: in_color(classical.METHODS[name], images) for name in PEERS[task]}


def own_sets() -> dict[str, list[list[np.ndarray]]]:
    """Sets by task that need no download and are free to publish: the examples in colour first, then grey pairs."""
    from studies.weights import EXAMPLES, own_pairs

    sets = {task: [list(pair.sources) for pair in members] for task, members in own_pairs().items()}
    names = {
        "focus": ("focus_near", "focus_far"),
        "exposure": ("exposure_under", "exposure_normal", "exposure_over"),
        "infrared": ("night_visible", "night_infrared"),
        "medical": ("head_mri", "head_pet"),
    }
    for task, parts in names.items():
        sets[task].insert(0, [np.asarray(Image.open(EXAMPLES / f"{part}.png").convert("RGB")) for part in parts])
    return sets


def data_sets(data: Path, size: int) -> dict[str, list[list[np.ndarray]]]:
    """Sets by task in their own colours, the long side at most ``size``: pairs, and sequences of exposures."""
    vif, medical = data / "vif", data / "medical"
    infrared = [[path, vif / name / "infrared" / path.name] for name in ("msrs", "roadscene", "tno")
                for path in sorted((vif / name / "visible").glob("*"))]  # fmt: skip
    organs = [[path, medical / f"mri_{other}" / other / path.name] for other in ("ct", "pet", "spect")
              for path in sorted((medical / f"mri_{other}" / "mri").glob("*"))]  # fmt: skip
    lytro = [[path, path.with_name(path.name.replace("-A", "-B"))]
             for path in sorted((data / "multifocus" / "lytro").glob("*-A.jpg"))]  # fmt: skip
    paths = {"infrared": infrared, "medical": organs, "focus": lytro}
    sets = {task: [[_read(path, size) for path in one] for one in spaced(found, 12)] for task, found in paths.items()}
    return sets | {"exposure": [list(frames) for frames in sequences(data, size).values()]}


def _read(path: Path, size: int) -> np.ndarray:
    image = Image.open(path)
    image = image.convert("L" if image.mode in ("L", "I;16", "1") else "RGB")
    image.thumbnail((size, size))
    return np.asarray(image)


def check_folder(folder: Path, data: Path | None) -> None:
    """Refuses to draw other people's images into the repository.

    Raises:
        ValueError: There is ``data``, and the folder lies inside the repository.
    """
    if data and folder.resolve().is_relative_to(ROOT.resolve()):
        raise ValueError(f"sheets of {data} stay outside the repository; got {folder}: name another folder")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the sheets, TASK_N.png or .jpg")
    parser.add_argument("--ours", default="fuse", metavar="NAME", help="the method to show (see studies/methods.py)")
    parser.add_argument("--data", type=Path, help="folder of test pairs (see studies/pairs.py); default: own pictures")
    parser.add_argument("--size", type=int, default=640, help="long side of each image of --data")
    parser.add_argument("--limit", type=int, default=3, help="sets of each task, evenly spaced")
    parser.add_argument("--format", choices=("png", "jpg"), default="png", help="of the sheets; jpg is for pages")
    options = parser.parse_args()
    try:
        check_folder(options.output, options.data)
    except ValueError as error:
        parser.error(str(error))
    options.output.mkdir(parents=True, exist_ok=True)
    ours = named_method(options.ours)
    sets = data_sets(options.data, options.size) if options.data else own_sets()
    for task, members in sets.items():
        for index, images in enumerate(spaced(members, options.limit)):
            path = options.output / f"{task}_{index}.{options.format}"
            sheet(contents(task, images, ours)).save(path, **({"quality": 90} if options.format == "jpg" else {}))
            print(path, flush=True)


if __name__ == "__main__":
    main()
