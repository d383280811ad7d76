"""One service in a thread of this process, one with the page as a command, and the pictures that are sent to them."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

import ttd_jax
from ttd_jax.io.images import write_image
from ttd_jax.serve.app import create_app
from ttd_jax.serve.limits import Limits
from ttd_jax.serve.run import temporary_root
from ttd_jax.serve.work import Work, working

ROOT = str(Path(ttd_jax.__file__).parents[1])
LIMITS = Limits(megabytes=4, files=4, megapixels=1, seconds=60, running=2, waiting=4, rate=0, kept=60)


@contextlib.contextmanager
def served(app):
    """The address of an application that is served in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        threading.Event().wait(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="package")
def work(tmp_path_factory):
    """Fusions by the pyramid, which compiles in no time, unless another network is asked for."""
    tmp_path_factory.getbasetemp()  # not among the temporary files of a service
    with temporary_root(LIMITS.kept), working(LIMITS) as found:
        found.backbones = dict(sorted(found.backbones.items(), reverse=True))
        yield found


@pytest.fixture(scope="package")
def address(work: Work):
    """Where the service is."""
    with served(create_app(work)) as found:
        yield found


@pytest.fixture(scope="package")
def client(address):
    """What asks the service."""
    with httpx.Client(base_url=address, timeout=60) as found:
        yield found


@pytest.fixture(scope="package")
def pictures(tmp_path_factory) -> Path:
    """A folder with a pair of 16 bit and colour, another pair, and what are no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("near", "far", "day", "heat"):
        colors = () if name == "heat" else (3,)
        write_image(folder / f"{name}.png", rng.integers(0, 65536, (24, 32, *colors), dtype=np.uint16))
    write_image(folder / "wide.png", rng.integers(0, 256, (24, 40), dtype=np.uint8))
    (folder / "text.png").write_text("no picture\n" * 20)
    (folder / "empty.png").touch()
    png = (folder / "near.png").read_bytes()
    for name, side in (("bomb", 50_000), ("large", 12_000)):
        header = b"IHDR" + side.to_bytes(4, "big") * 2 + png[24:29]
        (folder / f"{name}.png").write_bytes(png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:])
    (folder / "cut.png").write_bytes(png[: len(png) // 2])
    return folder


@contextlib.contextmanager
def commanded(temporary: Path, *arguments: str):
    """A process of the command that listens, and its address; its temporary files lie in a folder."""
    environment = {**os.environ, "TMPDIR": str(temporary), "JAX_PLATFORMS": "cpu", "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "ttd_jax", *arguments, "--port", "0", "--no-compile-cache"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next((line for line in process.stderr if "listening at" in line), "")
            assert line, f"the command ended with {process.wait()}"
            yield process, re.findall(r"http://\S+", line)[0]
        finally:
            process.kill()


def left_over() -> list[str]:
    """Files of requests that are done."""
    return [path.name for path in Path(tempfile.gettempdir()).glob("ttd-jax-*")]
