"""What a Ray cluster costs on one machine: ``ttd-jax fuse --ray`` beside ``ttd-jax fuse`` on the same folder.

``python -m benchmarks.cluster [--sets 40] [--repeat 3] [--width 1280] [--workers 2] [--backbone bandnet]``

Both commands run in turns, each as a process of its own, the compile cache filled by a run of each before; the second
starts a cluster and ends it. Printed are the medians of wall-clock seconds and the median of the ratios of a pair.
``--single WIDTHxHEIGHT`` measures one worker instead, what the page on clusters plans with: seconds of reading, fusing
and writing a pair, and the most memory, by one thread.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backbone", default="bandnet")
    parser.add_argument("--single", metavar="WIDTHxHEIGHT", help="measure one worker on pairs of this size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.single:
            width, height = map(int, options.single.split("x"))
            one_worker(write_sets(Path(name), options.sets, (width, height)), options.backbone)
            return
        folders = write_sets(Path(name), options.sets, (options.width, options.width * 3 // 4))
        compare(folders, Path(name) / "out", options)


def compare(folders: list[Path], out: Path, options: argparse.Namespace) -> None:
    plain = [*folders, "-o", out, "--backbone", options.backbone]
    ways = {"fuse": plain, "fuse --ray": [*plain, "--ray", "--ray-workers", str(options.workers)]}
    rows = []
    for turn in range(options.repeat + 1):
        row = {name: run(arguments, out) for name, arguments in ways.items()}
        print(("warm-up " if turn == 0 else "") + ", ".join(f"{name} {took:.1f} s" for name, took in row.items()))
        rows += [row] if turn else []
    first, second = ([row[name] for row in rows] for name in ways)
    ratio = median(b / a for a, b in zip(first, second, strict=True))
    print(f"fuse {median(first):.1f} s, fuse --ray {median(second):.1f} s, ratio {ratio:.2f}")


def write_sets(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    folders = [folder / side for side in ("near", "far")]
    for side in folders:
        side.mkdir()
        image = Image.open(EXAMPLES / f"focus_{side.name}.png").convert("RGB").resize(size)
        image.save(side / "0000.png")
        for number in range(1, count):
            shutil.copy(side / "0000.png", side / f"{number:04d}.png")
    return folders


def run(arguments: list, out: Path) -> float:
    """Wall-clock seconds of a command."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "ttd_jax", "fuse", *map(str, arguments)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def one_worker(folders: list[Path], backbone: str) -> None:
    from ttd_jax.distributed.worker import Work, Worker

    worker = Worker(Work({"backbone": backbone}, threads=1))
    names = sorted(path.name for path in folders[0].iterdir())
    out = folders[0].parent / "out"
    out.mkdir()
    sets = [
        {"key": name, "roles": None, "sources": [str(folder / name) for folder in folders],
         "outputs": [str(out / name), None, None]}
        for name in names
    ]  # fmt: skip
    first, *rest = worker.rows([sets[0]])
    assert not rest and first["status"] == "fused", first
    before, started = time.process_time(), time.perf_counter()
    rows = list(worker.rows(sets[1:]))
    wall, processor = time.perf_counter() - started, time.process_time() - before
    steps = [json.loads(row["report"])["seconds"] for row in rows]
    print({step: round(median(one[step] for one in steps), 2) for step in steps[0]}, "s by the clock")
    print(f"a pair: {wall / len(rows):.2f} s by the clock, {processor / len(rows):.2f} processor seconds")
    print(f"first pair: {first['seconds']:.1f} s, with compilation unless that was cached")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, {os.cpu_count()} cores")
    print(f"bytes: {sum((f / names[0]).stat().st_size for f in folders) / 1e6:.1f} MB in, ", end="")
    print(f"{(out / names[0]).stat().st_size / 1e6:.1f} MB out")


if __name__ == "__main__":
    main()
