"""An exported fusion in Debian's Chromium: ``examples/run_onnx.html``, with onnxruntime-web from a folder near by.

``python -m benchmarks.browser [--width 480] [--height 320] [--repeat 3] [NAME ...]`` prints, for a grey pair with
default weights, the largest difference of the image from ours, and the milliseconds that the page shows. A browser runs
it on one thread, unless its page is isolated from other origins. It takes ``npm install onnxruntime-web``.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

CHROMIUM = shutil.which("chromium")
"""The browser, where there is one."""

_ARGUMENTS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
_ARGUMENTS += ["disable-background-networking", "disable-component-update"]

_SLOW = 120_000  # milliseconds, on a machine that is busy
_KINDS = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm"}


def web_package() -> Path | None:
    """The folder ``node_modules`` with onnxruntime-web, in the checkout or above, as Node looks for it."""
    folders = (folder / "node_modules" for folder in (ROOT, *ROOT.parents))
    return next((folder for folder in folders if (folder / "onnxruntime-web").is_dir()), None)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser that asks for nothing by itself."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{name}" for name in _ARGUMENTS])
        try:
            yield found
        finally:
            found.close()


def fuse_in(browser: Any, program: Path, sources: Sequence[Path], repeat: int = 1) -> tuple[np.ndarray, list[float]]:
    """The fused image, before it is rounded, and the milliseconds of each run, as the example's page has them.

    Args:
        browser: Of :func:`chromium`.
        program: The exported fusion.
        sources: Images, the reference first.
        repeat: How often to fuse.

    Raises:
        RuntimeError: The page says that it did not work, or asks for something from elsewhere.
    """
    folders, outside = {"examples": ROOT / "examples", "node_modules": web_package()}, []

    def answer(route: Any) -> None:
        first, _, rest = route.request.url.removeprefix("http://localhost/").partition("/")
        folder = folders.get(first)
        if folder is None:
            outside.append(route.request.url)
            route.abort()
        else:
            route.fulfill(body=(folder / rest).read_bytes(), content_type=_KINDS[Path(rest).suffix])

    page = browser.new_page()
    try:
        page.set_default_timeout(_SLOW)
        page.route("**/*", answer)
        page.goto("http://localhost/examples/run_onnx.html")
        page.locator("#program").set_input_files(program)
        milliseconds = []
        for _ in range(repeat):
            page.locator("#sources").set_input_files([])  # to choose the same ones again is no change
            page.evaluate("globalThis.fused = undefined")
            page.locator("#sources").set_input_files(list(sources))
            page.wait_for_function("globalThis.fused || document.body.innerText.includes('Not fused')")
            words = page.locator("#words").inner_text()
            if outside or not words.startswith("fused in "):
                raise RuntimeError(words if not outside else f"the page asks for {outside}")
            milliseconds.append(float(words.split()[2]))
        return np.array(json.loads(page.evaluate("JSON.stringify([...fused.data])")), np.float32), milliseconds
    finally:
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=["bandnet", "pyramid"], help="networks")
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=320)
    parser.add_argument("--repeat", type=int, default=3, help="runs to take the median of")
    options = parser.parse_args()
    from ttd_jax import Fuser
    from ttd_jax.export import export_fuser
    from ttd_jax.io.images import write_image

    rng, size = np.random.default_rng(1), (options.height, options.width)
    pair = [rng.integers(0, 256, size, dtype=np.uint8) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        files = [Path(folder) / f"{name}.png" for name in "ab"]
        for file, pixels in zip(files, pair, strict=True):
            write_image(file, pixels)
        for name in options.names:
            fuser, program = Fuser(name), Path(folder) / f"{name}.onnx"
            export_fuser(fuser, program, format="onnx", size=size)
            image, milliseconds = fuse_in(browser, program, files, options.repeat)
            own = np.asarray(fuser([one.astype(np.float32) / 255 for one in pair]).image)
            worst, spent = np.abs(image.reshape(own.shape) - own).max(), statistics.median(milliseconds)
            print(f"{name} {options.width}x{options.height}: {spent:.0f} ms, differs by {worst:.0e}", flush=True)


if __name__ == "__main__":
    main()
