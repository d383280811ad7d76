"""Processor time of reading images and PyTorch files, of converting, and of looking at a TIFF before it is read.

``python -m benchmarks.reading --before FOLDER --convert mgdn:focus FILE --convert ifcnn:max FILE``

FOLDER is another checkout, an older one say. Each of the two runs in a process of its own; they take turns, file by
file, and the first of a turn changes. Printed are medians in milliseconds, and the median of the ratios of each turn.
Conversions are calls in a process that has done one already; with ``--command`` they are processes.
``python -m benchmarks.reading --checks`` times what is looked at before the pixels of a 12-megapixel TIFF.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from tests.convert.writer import StateDict, save_legacy, save_zip, tensor
from ttd_jax.io.images import write_image

_WORKER = """
import json, resource, sys, time
from pathlib import Path
from ttd_jax.io.images import read_image
from convert.torch_file import read_torch_file
from convert.from_torch import convert_file

def run(kind, path):
    if kind == "image":
        read_image(path)
    elif kind == "torch":
        read_torch_file(path)
    else:
        backbone, preset = kind.split(":")
        convert_file(backbone, path, sys.argv[1], preset, overwrite=True)

for line in sys.stdin:
    kind, path, count = json.loads(line)
    started = time.process_time()
    for _ in range(count):
        run(kind, Path(path))
    print((time.process_time() - started) / count, flush=True)
"""
TIFFS = {
    "strips of 256 kB, zlib": {"compression": "zlib"},
    "a strip a row, zlib": {"compression": "zlib", "rowsperstrip": 1},
    "a strip a row, plain": {"rowsperstrip": 1},
    "tiles of 64, zlib": {"compression": "zlib", "tile": (64, 64)},
    "a strip of 8 rows, JPEG": {"compression": "jpeg", "rowsperstrip": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the other checkout")
    parser.add_argument("--convert", nargs=2, action="append", default=[], metavar=("BACKBONE:PRESET", "FILE"))
    parser.add_argument("--command", action="store_true", help="conversions as processes of their own")
    parser.add_argument("--checks", action="store_true")
    parser.add_argument("--repeat", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.checks:
            time_checks(Path(name), options.repeat)
        if options.before:
            compare(Path(name), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Prints a line for each file."""
    cases = [("image", path, 1 if path.stat().st_size > 100_000 else 20) for path in images(folder)]
    cases += [("torch", path, 5) for path in torch_files(folder)]
    conversions = [(backbone, Path(path).resolve(), 1) for backbone, path in options.convert]
    places = [options.before.resolve(), Path(__file__).parents[1]]
    workers = [worker(place, folder / f"out{number}") for number, place in enumerate(places)]

    def ask(number: int, case: tuple[str, Path, int]) -> float:
        if options.command and case in conversions:
            return command(places[number], case, folder / f"out{number}")
        process = workers[number]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([case[0], str(case[1]), case[2]]) + "\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    print(f"{'':32}{'before':>10}{'now':>10}{'ratio':>8}   milliseconds, median of {options.repeat}")
    for case in [*cases, *conversions]:
        for number in (0, 1):
            ask(number, case)
        rows = []
        for turn in range(options.repeat):
            first = turn % 2
            taken = {number: ask(number, case) for number in (first, 1 - first)}
            rows.append((taken[0], taken[1]))
        before, now = (1000 * median(column) for column in zip(*rows, strict=True))
        ratio = median(b / a for a, b in rows)
        print(
            f"{case[1].name if case[0] in ('image', 'torch') else case[0]:32}{before:10.2f}{now:10.2f}{ratio:8.3f}",
            flush=True,
        )
    for process in workers:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def worker(place: Path, output: Path) -> subprocess.Popen:
    """A process that reads with the code of a checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(output)],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place), "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def command(place: Path, case: tuple[str, Path, int], output: Path) -> float:
    """Processor seconds of the converter as a process."""
    before = os.times()
    backbone, preset = case[0].split(":")
    arguments = [backbone, str(case[1]), "--output", str(output), "--preset", preset, "--overwrite"]
    subprocess.run(
        [sys.executable, str(place / "convert" / "from_torch.py"), *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def images(folder: Path) -> list[Path]:
    """Smooth colour pictures with some noise, two megapixels and 320 x 240 of each kind."""
    rng, made = np.random.default_rng(0), []
    for size, (height, width) in {"": (1200, 1600), "small": (240, 320)}.items():
        rows, columns = np.mgrid[:height, :width]
        waves = np.stack([np.sin(rows / 40), np.cos(columns / 50), np.sin((rows + columns) / 70)], -1)
        deep = np.clip(32768 + 20000 * waves + rng.normal(0, 300, waves.shape), 0, 65535).astype(np.uint16)
        for kind, pixels in {".png": deep >> 8, "16.png": deep, "16.tif": deep, ".jpg": deep >> 8}.items():
            made.append(folder / f"{size}rgb{kind}")
            write_image(made[-1], pixels if "16" in kind else pixels.astype(np.uint8))
    return made


def torch_files(folder: Path) -> list[Path]:
    """State dicts of five megabytes, of 40 tensors, in both layouts."""
    rng = np.random.default_rng(0)
    root = StateDict({f"layer{n}.weight": tensor(rng.random((32, 1024), dtype=np.float32)) for n in range(40)})
    return [save_zip(folder / "zip.pth", root), save_legacy(folder / "legacy.pth", root)]


def time_checks(folder: Path, repeat: int) -> None:
    """Prints what is spent on a TIFF before its pixels are read: its declared size, and its strips or tiles."""
    from ttd_jax.io import limits, tiff

    print(f"{'12 megapixels, 16 bits':32}{'checks':>10}{'opening':>10}   milliseconds, median of {repeat}")
    pixels = np.random.default_rng(0).integers(0, 2000, (3000, 4000), dtype=np.uint16)
    for name, how in TIFFS.items():
        path = folder / "large.tif"
        tifffile.imwrite(path, (pixels >> 3).astype(np.uint8) if "JPEG" in name else pixels, **how)
        rows = []
        for _ in range(repeat):
            started = time.process_time()
            limits.check_declared(path, tiff.TIFF.declared(path))
            declared = time.process_time() - started
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                started = time.process_time()
                tiff._check_segments(page, file.filehandle, path)
                checked = time.process_time() - started
            started = time.process_time()
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
            rows.append((declared + checked, time.process_time() - started))
        checks, opening = (1000 * median(column) for column in zip(*rows, strict=True))
        print(f"{name:32}{checks:10.2f}{opening:10.2f}", flush=True)


if __name__ == "__main__":
    main()
