"""The service under load, and the page beside ``fuse``.

``python -m benchmarks.service [--requests 10000]`` starts ``ttd-jax serve``, sends it a pair of small images from 1, 4
and 16 clients by ApacheBench (``ab``, in Debian's apache2-utils), and prints requests a second, latency, what was lost,
and memory on the way. With ``--page`` Debian's Chromium drops a pair of 640 x 480 on the page, and takes turns with
``fuse`` in this process: both from files to a file, programs compiled before.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ttd_jax.io.images import write_image

CLIENTS = (1, 4, 16)
LIMITS = ["--rate", "0", "--waiting", "64", "--kept", "3600"]
CHROMIUM = [
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-sync",
    "disable-background-networking",
]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "ttd_jax", "serve", "--port", "0", *LIMITS, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "listening at" in line)
        try:
            yield process.pid, re.findall(r"http://\S+", line)[0]
        finally:
            process.terminate()


def resident(pid: int) -> float:
    """Megabytes that a process holds."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def make_body(folder: Path, width: int, height: int, backbone: str) -> Path:
    """A request as a file, its parts divided by ``x``."""
    rng, parts = np.random.default_rng(0), []
    for name in ("near", "far"):
        write_image(folder / f"{name}.png", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        head = f'--x\r\nContent-Disposition: form-data; name="sources"; filename="{name}.png"\r\n\r\n'
        parts += [head.encode(), (folder / f"{name}.png").read_bytes(), b"\r\n"]
    parts.append(f'--x\r\nContent-Disposition: form-data; name="backbone"\r\n\r\n{backbone}\r\n--x--\r\n'.encode())
    (folder / "body").write_bytes(b"".join(parts))
    return folder / "body"


def load(address: str, body: Path, requests: int, clients: int) -> dict[str, float]:
    """What ApacheBench says of so many requests."""
    form = "multipart/form-data; boundary=x"
    command = ["ab", "-k", "-q", "-s", "300", "-n", str(requests), "-c", str(clients), "-T", form, "-p", str(body)]
    text = subprocess.run([*command, f"{address}/fuse"], capture_output=True, text=True, check=True).stdout
    patterns = {
        "done": r"Complete requests:\s+(\d+)",
        "failed": r"Failed requests:\s+(\d+)",
        "refused": r"Non-2xx responses:\s+(\d+)",
        "a second": r"Requests per second:\s+([\d.]+)",
        "p50 ms": r" 50%\s+(\d+)",
        "p95 ms": r" 95%\s+(\d+)",
        "p99 ms": r" 99%\s+(\d+)",
    }
    return {name: float(found[1]) if (found := re.search(p, text)) else 0.0 for name, p in patterns.items()}


def run_load(requests: int, width: int, height: int, backbone: str) -> None:
    with tempfile.TemporaryDirectory() as name, serving() as (pid, address):
        body = make_body(Path(name), width, height, backbone)
        load(address, body, 20, 2)
        print(f"pairs of {width} x {height} RGB by {backbone}; {resident(pid):.0f} MB after 20 requests")
        done, share = 20, max(requests // 10, 20)
        while done < requests:
            clients = CLIENTS[(done // share) % len(CLIENTS)]
            row = load(address, body, min(share, requests - done), clients)
            done += int(row["done"])
            told = ", ".join(f"{key} {value:g}" for key, value in row.items())
            print(f"{clients:2} clients: {told}; {done} in all, {resident(pid):.0f} MB", flush=True)


def run_page(turns: int) -> None:
    from playwright.sync_api import sync_playwright

    from ttd_jax import fuse

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name, serving("--page") as (_, address), sync_playwright() as playwright:
        paths = [Path(name) / f"{one}.png" for one in ("near", "far")]
        for path in paths:
            smooth = np.kron(rng.random((48, 64, 3)), np.ones((10, 10, 1)))
            write_image(path, np.clip(smooth + rng.normal(0, 0.02, smooth.shape), 0, 1))
        launch = {"executable_path": shutil.which("chromium"), "args": [f"--{word}" for word in CHROMIUM]}
        page = playwright.chromium.launch(**launch).new_page()
        page.set_default_timeout(600_000)
        page.goto(address)
        page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])
        page.locator("#sources img").nth(1).wait_for()
        new = "old => { const i = document.querySelector('#fused img');"
        new += " return i && i.src != old && i.complete && i.naturalWidth == 640 }"

        def by_page() -> float:
            images = page.locator("#fused img")
            old = images.get_attribute("src") if images.count() else ""
            started = time.perf_counter()
            page.locator("#fuse").click()
            page.wait_for_function(new, arg=old, polling=20)
            took = time.perf_counter() - started
            page.wait_for_timeout(6000)  # what the page still makes is not to slow the other down
            return took

        def by_fuse() -> float:
            started = time.perf_counter()
            fuse(paths).save(Path(name) / "fused.png", overwrite=True)
            return time.perf_counter() - started

        by_page(), by_fuse()
        pairs = []
        for turn in range(turns):
            both = {f.__name__: f() for f in ((by_page, by_fuse) if turn % 2 else (by_fuse, by_page))}
            pairs.append((both["by_page"], both["by_fuse"]))
            print(f"page {pairs[-1][0]:.2f} s, fuse {pairs[-1][1]:.2f} s", flush=True)
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"page: {ratio:.2f} times fuse, median of {turns} turns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="the page beside fuse")
    parser.add_argument("--turns", type=int, default=7, help="of the page")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--size", default="48x32", help="WIDTHxHEIGHT")
    parser.add_argument("--backbone", default="pyramid")
    options = parser.parse_args()
    if options.page:
        run_page(options.turns)
        return
    width, height = map(int, options.size.split("x"))
    run_load(options.requests, width, height, options.backbone)


if __name__ == "__main__":
    main()
