"""Seconds that a folder takes: one set after another, as a stream, and in windows where sizes are mixed.

``python -m benchmarks.folders [--sets 12] [--repeat 5] [--width 640]``

Copies of the focus example, resized, are read from and written to a temporary folder. *in turn* reads, fuses and
writes one set after another; *stream* is ``Fuser.stream`` with the writing in its loop, as ``ttd-jax fuse`` does it on
folders. Both run in turns; printed are the medians, and the median of the ratios. Sizes are compiled beforehand, but
for the last two lines: a folder in which every set has a size of its own, whole images against windows (``tile``),
compilation included, once each.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import jax
from PIL import Image

from ttd_jax import Fuser

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--tile", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = write_sets(folder / "equal", [(options.width, options.width * 3 // 4)] * options.sets)
        for weighting in ("static", "loss"):
            fuser = Fuser(weighting=weighting)
            fuser(sets[0])
            rows = [
                (seconds(in_turn, fuser, sets, folder), seconds(stream, fuser, sets, folder))
                for _ in range(options.repeat)
            ]
            plain, overlapped = (median(column) for column in zip(*rows, strict=True))
            label = f"{options.sets} pairs of {options.width} wide, {weighting}"
            print(
                f"{label}: in turn {plain:.2f} s, stream {overlapped:.2f} s, "
                f"ratio {median(b / a for a, b in rows):.2f}",
                flush=True,
            )
        sets = write_sets(
            folder / "mixed", [(options.width - 16 * i, options.width // 2 + 12 * i) for i in range(options.sets)]
        )
        for tile in (None, options.tile):
            jax.clear_caches()
            taken = seconds(stream, Fuser(tile=tile), sets, folder)
            print(f"{options.sets} pairs of as many sizes, tile {tile}: {taken:.1f} s with compilation", flush=True)


def write_sets(folder: Path, sizes: list[tuple[int, int]]) -> list[list[Path]]:
    folder.mkdir()
    sets = []
    for i, size in enumerate(sizes):
        sets.append([folder / f"{i}_{side}.png" for side in ("near", "far")])
        for path, side in zip(sets[-1], ("near", "far"), strict=True):
            Image.open(EXAMPLES / f"focus_{side}.png").convert("RGB").resize(size).save(path)
    return sets


def in_turn(fuser: Fuser, sets: list[list[Path]], folder: Path) -> None:
    for i, one in enumerate(sets):
        fuser(one).save(folder / f"{i}.png", overwrite=True)


def stream(fuser: Fuser, sets: list[list[Path]], folder: Path) -> None:
    for i, result in enumerate(fuser.stream(sets)):
        assert not isinstance(result, Exception)  # they are raised
        result.save(folder / f"{i}.png", overwrite=True)


def seconds(how, fuser: Fuser, sets: list[list[Path]], folder: Path) -> float:
    started = time.perf_counter()
    how(fuser, sets, folder)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
