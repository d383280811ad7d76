"""Memory and speed of a long video, and of a long stack: the command in a process of its own, watched.

python -m benchmarks.long_sources --frames 1000
python -m benchmarks.long_sources --stack 50 --width 2000 --height 1500
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


def megabytes(process: subprocess.Popen) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--stack", type=int, default=0)
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
        if options.stack:
            make_stack(folder, options.stack, options.width, options.height)
            sources = [place, "--stack", "-o", str(folder / "out.tif")]
        else:
            for name, seed in (("a.mp4", 0), ("b.mp4", 1)):
                make_video(folder / name, options.frames, options.width, options.height, seed)
            sources = [str(folder / "a.mp4"), str(folder / "b.mp4"), "-o", str(folder / "out.mp4")]
        command = [sys.executable, "-m", "ttd_jax", "fuse", *sources, *options.options.split()]
        started, seen = time.monotonic(), []
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            seen.append((time.monotonic() - started, megabytes(process)))
            time.sleep(0.5)
        assert process.stdout is not None
        print(process.stdout.read().replace(place + "/", "").strip())
    seen = [one for one in seen if one[1] > 0]
    for share in (0.1, 0.25, 0.5, 0.75, 0.95):
        seconds, memory = seen[int(share * len(seen))]
        print(f"at {share:.0%} ({seconds:.0f} s): {memory:.0f} MB")
    print(f"most: {max(memory for _, memory in seen):.0f} MB")


if __name__ == "__main__":
    main()
