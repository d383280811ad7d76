"""Starts a service, and ends it in good order: no new requests, those begun are finished, files are removed."""

import asyncio
import logging
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError
from ttd_jax.io.extras import load
from ttd_jax.serve.files import sweep
from ttd_jax.serve.limits import Limits

_GRACE = 2.0  # seconds for what the page still tells its browsers


def serve(
    limits: Limits, *, host: str, port: int, checkpoints: Sequence[str] = (), api: bool = True, page: bool = False
) -> None:
    """Serves until it is interrupted.

    Args:
        limits: What is taken from clients.
        host: Address to listen at.
        port: Port; 0 for a free one.
        checkpoints: Networks beside those of the package.
        api: Whether there is the service for programs.
        page: Whether there is the page.

    Raises:
        InputError: An extra is not installed, or the address is taken.
        CheckpointError: A checkpoint cannot be loaded.
    """
    extra = "demo" if page else "serve"
    for package in ("fastapi", "fastapi_offline", "limits", "prometheus_client", "python_multipart", "uvicorn"):
        load(package, extra, "a service")
    if page:
        load("gradio", extra, "the page")
    logging.basicConfig(level=logging.WARNING, format="ttd-jax: %(levelname)s: %(message)s")
    with _listen(host, port) as listening, temporary_root(limits.kept):
        from ttd_jax.serve.app import create_app
        from ttd_jax.serve.work import working

        with working(limits, checkpoints=checkpoints) as work:
            if not page:
                _run(create_app(work), work, listening)
                return
            from ttd_jax.serve.page import create_page_app

            _run(create_page_app(work, api=api), work, listening)


@contextmanager
def temporary_root(kept: int) -> Iterator[Path]:
    """A folder that all temporary files of this process go to, swept while it is there and removed at the end.

    Args:
        kept: Seconds for which a file is kept.
    """
    before, ended = tempfile.tempdir, threading.Event()
    with tempfile.TemporaryDirectory(prefix="ttd-jax-", ignore_cleanup_errors=True) as name:
        tempfile.tempdir = name

        def sweeping() -> None:
            while not ended.wait(min(kept, 30)):
                sweep(Path(name), kept)

        thread = threading.Thread(target=sweeping, daemon=True)
        thread.start()
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before
            ended.set()
            thread.join()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise InputError(f"ports are from 0 to 65535; got {port}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise InputError(f"cannot listen at {host}:{port}: {reason}: choose another --port or --host") from None


def _run(app: Any, work: Any, listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=work.limits.seconds + 5,
        ws="none",
    )
    server = uvicorn.Server(config)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"ttd-jax: listening at http://{shown}:{port} (Ctrl+C ends it)", file=sys.stderr, flush=True)
    before = signal.signal(signal.SIGTERM, _interrupt)  # uvicorn raises it again once it has ended
    try:
        asyncio.run(_serve(server, lambda: app.open + work.admitted, listening))
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


async def _serve(server: Any, busy: Callable[[], int], listening: socket.socket) -> None:
    watching = asyncio.create_task(_hang_up(server, busy))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _hang_up(server: Any, busy: Callable[[], int]) -> None:
    """Ends connections that pages hold open for as long as they are looked at, once all others are done."""
    while not server.should_exit:
        await asyncio.sleep(0.2)
    idle = 0.0
    while idle < _GRACE:
        await asyncio.sleep(0.2)
        idle = idle + 0.2 if busy() == 0 else 0.0
    server.force_exit = True
