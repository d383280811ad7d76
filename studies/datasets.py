"""The data sets of the TTD paper: where to get them, how they are laid out, and the pairs of files in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from ttd_jax.io.folders import match_stems

Pair = tuple[Path, Path]


@dataclass(frozen=True)
class Dataset:
    """Image pairs.

    Attributes:
        layouts: Pairs of folders inside the data set's folder, the first source's first.
        where: Where to get it.
        count: How many pairs the paper used; None if it does not say.
        colored: Whether colour goes into a network of three channels.
        note: What has to be known of the paper's selection.
        suffixes: Endings of the two files' names in one folder, as another layout.
    """

    layouts: tuple[tuple[str, str], ...]
    where: str
    count: int | None
    colored: bool = False
    note: str = ""
    suffixes: tuple[str, str] | None = None


_MEDICAL = "github.com/Zhaozixiang1228/MMIF-CDDFuse, its folder test_img/MRI_{}"

DATASETS = {
    "LLVIP": Dataset(
        (("visible/test", "infrared/test"), ("visible", "infrared")),
        "bupt-ai-cz.github.io/LLVIP",
        70,
        note="the paper drew 70 of the 3463 test pairs and does not say which: compare with care",
    ),
    "MSRS": Dataset(
        (("test/vi", "test/ir"), ("vi", "ir"), ("visible", "infrared")), "github.com/Linfeng-Tang/MSRS, test", 361
    ),
    "MEFB": Dataset((("A", "B"),), "github.com/xingchenzhang/MEFB", 100, colored=True, suffixes=("_A", "_B")),
    "MFI-WHU": Dataset(
        (("source_1", "source_2"),),
        "github.com/HaoZhang1018/MFI-WHU, 120 pairs",
        None,
        colored=True,
        note="the paper does not say which of the 120 pairs it used",
    ),
    "MRI-CT": Dataset((("MRI", "CT"),), _MEDICAL.format("CT"), 21),
    "MRI-PET": Dataset((("MRI", "PET"),), _MEDICAL.format("PET"), 42),
    "MRI-SPECT": Dataset((("MRI", "SPECT"),), _MEDICAL.format("SPECT"), 73),
}


def find_pairs(data: Path, name: str) -> list[Pair]:
    """The files of a data set's pairs; none if it is not there."""
    dataset = DATASETS[name]
    for base in _folders_called(data, name):
        for layout in dataset.layouts:
            folders = [_inside(base, path) for path in layout]
            if None not in folders:
                return [(Path(a), Path(b)) for a, b in match_stems([f for f in folders if f]).complete.values()]
        if dataset.suffixes:
            first, second = dataset.suffixes
            found = sorted(path for path in base.rglob("*") if path.stem.endswith(first))
            partners = [p.with_name(p.stem.removesuffix(first) + second + p.suffix) for p in found]
            if pairs := [(a, b) for a, b in zip(found, partners, strict=True) if b.is_file()]:
                return pairs
    return []


def _folders_called(data: Path, name: str) -> list[Path]:
    """The folder itself and those up to two levels below it that are called like the data set."""
    candidates = [data, *sorted(data.glob("*")), *sorted(data.glob("*/*"))]
    return [path for path in candidates if path.is_dir() and _plain(path.resolve().name) == _plain(name)]


def _inside(base: Path, path: str) -> Path | None:
    """A folder inside another, whatever the case of its name."""
    for part in path.split("/"):
        found = [folder for folder in sorted(base.iterdir()) if folder.is_dir() and _plain(folder.name) == _plain(part)]
        if not found:
            return None
        base = found[0]
    return base


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
