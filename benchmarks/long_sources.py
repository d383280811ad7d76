"""Memory and speed of a long video, and of a long stack: the command in a process of its own, watched.

python -m benchmarks.long_sources --frames 1000
python -m benchmarks.long_sources --stack 50 --width 2000 --height 1500
python -m benchmarks.long_sources --folder FRAMES --csv memory.csv
python -m benchmarks.long_sources --align --width 4000 --height 3000
"""

import argparse
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ttd_jax.io.images import write_image


def make_video(path: Path, count: int, width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = rng.integers(40, 200, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(scene, index, axis=1), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def make_stack(folder: Path, count: int, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (height, width, 3), np.uint8)
    for index in range(count):
        frame = scene.copy()
        frame[:, : index * width // count] = frame[:, : index * width // count] // 2 + 60
        write_image(folder / f"{index:03d}.bmp", frame)


def time_alignment(width: int, height: int) -> None:
    """Seconds of alignment and of fusion of two exposures."""
    import cv2
    from skimage import data

    from ttd_jax import fuse

    scene = cv2.resize(data.coffee(), (width + 200, height + 200), interpolation=cv2.INTER_CUBIC)
    turned = np.array([[1.01, -0.02, 30], [0.02, 1.01, -25], [0, 0, 1]])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    dark = cv2.warpPerspective((255 * (scene / 255.0) ** 2).astype(np.uint8), turned, (width, height), flags=how)
    seconds = fuse([scene[:height, :width], dark], align="auto").report["seconds"]
    print(f"aligning {seconds['read']:.1f} s, fusing {seconds['fuse']:.1f} s")


def megabytes(process: subprocess.Popen) -> tuple[float, float, float]:
    """Memory of a process: its own, with what is mapped from files, and the most of that so far."""
    lines = [line.split() for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()]
    found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("RssAnon:", "VmRSS:", "VmHWM:")}
    return found.get("RssAnon:", 0.0), found.get("VmRSS:", 0.0), found.get("VmHWM:", 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--stack", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="fuse the frames of this folder as a stack, in place of made ones")
    parser.add_argument("--output", type=Path, help="keep the fused stack here")
    parser.add_argument("--csv", type=Path, help="also write every sample of memory here")
    parser.add_argument("--align", action="store_true")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--options", default="", help="of ttd-jax fuse, as one text")
    options = parser.parse_args()
    if options.align:
        time_alignment(options.width, options.height)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stacked = ["--stack", "-o", str(options.output or folder / "out.tif")]
        if options.folder:
            sources = [str(options.folder), *stacked]
        elif options.stack:
            make_stack(folder, options.stack, options.width, options.height)
            sources = [place, *stacked]
        else:
            for name, seed in (("a.mp4", 0), ("b.mp4", 1)):
                make_video(folder / name, options.frames, options.width, options.height, seed)
            sources = [str(folder / "a.mp4"), str(folder / "b.mp4"), "-o", str(folder / "out.mp4")]
        command = [sys.executable, "-m", "ttd_jax", "fuse", *sources, *options.options.split()]
        started = time.monotonic()
        seen: list[tuple[float, tuple[float, float, float]]] = []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            seen.append((time.monotonic() - started, megabytes(process)))
            time.sleep(0.5)
        seconds = time.monotonic() - started
        assert process.stdout is not None
        print(process.stdout.read().replace(place + "/", "").strip())
    print(f"{seconds:.0f} s")
    seen = [(after, memory) for after, memory in seen if memory[0] > 0]
    for share in (0.1, 0.25, 0.5, 0.75, 0.95):
        after, (own, whole, _) = seen[int(share * len(seen))]
        print(f"at {share:.0%} ({after:.0f} s): {own:.0f} MB, {whole:.0f} with what is mapped from files")
    most = [max(memory[kind] for _, memory in seen) for kind in (0, 2)]
    print(f"most: {most[0]:.0f} MB, {most[1]:.0f} with what is mapped from files")
    if options.csv:
        rows = [f"{after:.1f},{own:.0f},{whole:.0f}" for after, (own, whole, _) in seen]
        options.csv.write_text("\n".join(["seconds,own,whole", *rows]) + "\n")


if __name__ == "__main__":
    main()
