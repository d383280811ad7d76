"""Grey test pairs of four tasks, from a folder of public data sets and from photographs of scikit-image.

Layout of the data folder: ``vif/ifcnn_iv/NAME_Vis.png`` and ``NAME_IR.png``;
``vif/{tno,roadscene,msrs}/{visible,infrared}/``; ``medical/mri_{ct,pet,spect}/{mri,ct|pet|spect}/``;
``multifocus/lytro/lytro-NN-{A,B}.jpg``; ``multiexposure/mefb/NAME_{A,B}.jpg``.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

HALVES = ("choose", "report")
"""The first half decides, the second is for published figures."""


class Pair(NamedTuple):
    """Two registered grey uint8 images, and the truth where it is known."""

    name: str
    sources: np.ndarray
    truth: np.ndarray | None = None


def load_pairs(data: Path, size: int = 256, every: int = 1) -> dict[str, list[Pair]]:
    """Pairs by task, cut to the central ``size`` pixels; ``every`` n-th of the medical ones, which are many."""

    def pair(a: Path, b: Path) -> Pair:
        return Pair(a.stem, np.stack([center(grey(a), size), center(grey(b), size)]))

    visible = sorted(data.glob("vif/ifcnn_iv/*_Vis.png"))
    infrared = [pair(path, path.with_name(path.name.replace("_Vis", "_IR"))) for path in visible]
    for name in ("tno", "roadscene", "msrs"):
        folder = data / "vif" / name
        infrared += [pair(path, folder / "infrared" / path.name) for path in sorted(folder.glob("visible/*"))]
    medical = []
    for other in ("ct", "pet", "spect"):
        folder = data / "medical" / f"mri_{other}"
        medical += [pair(path, folder / other / path.name) for path in sorted(folder.glob("mri/*"))[::every]]
    lytro = sorted(data.glob("multifocus/lytro/*-A.jpg"))
    exposures = sorted(data.glob("multiexposure/mefb/*_A.jpg"))
    return {
        "infrared": infrared,
        "medical": medical,
        "focus": [pair(path, path.with_name(path.name.replace("-A", "-B"))) for path in lytro],
        "truth": known_focus_pairs(size),
        "exposure": [pair(path, path.with_name(path.name.replace("_A", "_B"))) for path in exposures],
    }


def split_by_content(pairs: dict[str, list[Pair]]) -> tuple[dict[str, list[Pair]], dict[str, list[Pair]]]:
    """Two halves of each task that share no image: some files are the same image under different names.

    Pairs that have a source or a truth in common, pixel by pixel, directly or through other pairs, stay together. Such
    groups go to the smaller half in the order of their first pair, so that every data set is in both halves.
    """
    halves: tuple[dict[str, list[Pair]], dict[str, list[Pair]]] = ({}, {})
    for task, members in pairs.items():
        for half in halves:
            half[task] = []
        for group in _connected([_contents(pair) for pair in members]):
            smaller = min(halves, key=lambda half: len(half[task]))
            smaller[task] += [members[index] for index in group]
    return halves


def load_half(data: Path, half: str, size: int = 256) -> dict[str, list[Pair]]:
    """The pairs of one half: ``"choose"``, on which decisions are made, ``"report"``, or ``"both"``.

    The halves are those of ``split_by_content`` for crops of 192 pixels of all pairs, whatever ``size`` is.

    Raises:
        ValueError: There is no such half.
    """
    if half not in (*HALVES, "both"):
        raise ValueError(f"halves are {', '.join(HALVES)} and both; got {half!r}")
    pairs = load_pairs(data, size)
    if half == "both":
        return pairs
    crops = load_pairs(data, 192)
    members = split_by_content(crops)[HALVES.index(half)]
    chosen = {id(pair) for task in members.values() for pair in task}
    return {task: [pairs[task][i] for i, crop in enumerate(each) if id(crop) in chosen] for task, each in crops.items()}


def spaced(members: Sequence[Pair], most: int) -> list[Pair]:
    """At most so many, evenly spaced over the list."""
    if not members:
        return []
    return [members[i] for i in np.unique(np.linspace(0, len(members) - 1, most).round().astype(int))]


def _contents(pair: Pair) -> set[str]:
    images = [*pair.sources] if pair.truth is None else [*pair.sources, pair.truth]
    return {hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images}


def _connected(contents: list[set[str]]) -> list[list[int]]:
    """Indices of sets that overlap, directly or through others, in order of the first of each group."""
    groups: list[tuple[set[str], list[int]]] = []
    for index, keys in enumerate(contents):
        touching = [group for group in groups if group[0] & keys]
        groups = [group for group in groups if not group[0] & keys]
        groups.append((keys.union(*(g[0] for g in touching)), sorted([*(i for g in touching for i in g[1]), index])))
    return sorted(indices for _, indices in groups)


def known_focus_pairs(size: int = 256) -> list[Pair]:
    """Focus pairs made of sharp photographs that no recipe trains on, so that the truth is known."""
    from skimage import data

    pairs = []
    for index, name in enumerate(("camera", "cat", "coffee", "rocket")):
        photo = getattr(data, name)()
        photo = center(np.asarray(Image.fromarray(photo).convert("L")), size).astype(float)
        rng = np.random.default_rng(index)
        for kind in ("blobs", "line"):
            if kind == "blobs":
                field = ndimage.gaussian_filter(rng.standard_normal(photo.shape), 25)
                mask = field > np.median(field)
            else:
                rows, columns = np.indices(photo.shape)
                mask = columns < photo.shape[1] / 2 + 20 * np.sin(rows / 20)
            blurred = (
                ndimage.gaussian_filter(photo, rng.uniform(1.5, 3.5))
                if index % 2
                else ndimage.convolve(photo, disc(rng.uniform(2.5, 5)), mode="nearest")
            )
            sharp = ndimage.gaussian_filter(mask.astype(float), 1.0)
            sources = [sharp * photo + (1 - sharp) * blurred, (1 - sharp) * photo + sharp * blurred]
            pairs.append(Pair(f"{name} {kind}", np.rint(sources).astype(np.uint8), photo.astype(np.uint8)))
    return pairs


def grey(path: Path) -> np.ndarray:
    """A file's BT.601 luma, 8 bits."""
    return np.asarray(Image.open(path).convert("L"))


def center(image: np.ndarray, size: int) -> np.ndarray:
    """The central ``size`` x ``size`` pixels, or what there is of them."""
    height, width = (min(n, size) for n in image.shape)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def disc(radius: float) -> np.ndarray:
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    return disc / disc.sum()
