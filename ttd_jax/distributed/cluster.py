"""The Ray cluster of a run: connected to, or started on this machine for as long as the run lasts."""

import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError
from ttd_jax.io.extras import load

_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
_TRIES = 3
_SECONDS_TO_ANSWER = 5.0
_OBJECT_STORE = 100_000_000  # bytes, of a cluster of our own: names and reports are all that goes through it


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The package ``ray``, connected.

    Args:
        address: ``"auto"`` for the cluster that runs on this machine, ``HOST:PORT`` for another one; None for that of
            the variable ``RAY_ADDRESS``, or else one with all cores of this machine that ends with the run. A process
            that is connected stays so.

    Raises:
        InputError: Ray is not installed, or no cluster answers there.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        start_here(ray)
    else:
        _connect(ray, address)
    try:
        with told_when_lost(ray.get_runtime_context().gcs_address):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def told_when_lost(address: str, *, between: float = 5) -> Iterator[None]:
    """One line on standard error when the head of the cluster is gone, which Ray follows by ending the process.

    Args:
        address: ``HOST:PORT`` of the head.
        between: Seconds from one look to the next; three that fail in a row are enough.
    """
    ended = threading.Event()

    def watch() -> None:
        missed = 0
        while missed < 3:
            if ended.wait(between):
                return
            try:
                _touch(address)
                missed = 0
            except OSError:
                missed += 1
        line = f"ttd-jax: the cluster at {address} was lost: start again, what is done is kept"
        print(line, file=sys.stderr, flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def load_ray() -> Any:
    """The package ``ray``, with ``ray.data``.

    Raises:
        InputError: It is not installed.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its logs in C++ go to stderr
    if _has_token():  # with one "ray start" asks for it, and "ray.init" shows it only if told to; others ignore it
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's, of its own code
        load("ray.data", "ray", "a run on a cluster")
        return load("ray", "ray", "a run on a cluster")


def _has_token() -> bool:
    """Whether there is a token for Ray's clusters where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def start_here(ray: Any, *, cpus: int | None = None) -> None:
    """Starts a cluster on this machine, for as long as the process is connected.

    Args:
        ray: The package.
        cpus: How many cores it has; None for those of the machine.

    Raises:
        InputError: It does not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported of a cluster that we start
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 would yield to whatever else the machine does
    quiet = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE, **_QUIET}
    for tries_left in reversed(range(_TRIES)):  # Ray waits 30 s for its processes, not long on a busy machine
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address="local", num_cpus=cpus, **quiet)
            return
        except Exception as error:  # Ray raises a plain one
            ray.shutdown()
            if not tries_left:
                raise InputError(f"Ray does not start on this machine: {_first_line(error)}") from None


def _connect(ray: Any, address: str) -> None:
    if address != "auto":
        _check_answers(address)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address, **_QUIET)
    except Exception as error:  # of many kinds
        ray.shutdown()
        where = "on this machine" if address == "auto" else f"at {address}"
        raise InputError(
            f"no Ray cluster answers {where} ({_first_line(error)}): start one (ray start --head), name another, or "
            "leave the address out for one with this machine's cores"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_answers(address: str) -> None:
    """Refuses an address where nothing listens, before Ray waits for it.

    Raises:
        InputError: It is no HOST:PORT, or nothing answers there.
    """
    host, _, port = address.rpartition(":")
    if "://" in address:
        raise InputError(
            f"a Ray address is HOST:PORT; got {address}: run the command on a machine of the cluster, such as by "
            "ray job submit -- ttd-jax fuse ... --ray auto"
        )
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"a Ray address is HOST:PORT or auto; got {address}")
    try:
        _touch(address)
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start one (ray start --head), or name "
            "another"
        ) from None


def _touch(address: str) -> None:
    """Connects once; an ``OSError`` if nothing answers."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def count_workers(ray: Any, workers: int | None, cpus: float, gpus: float | None) -> tuple[int, float]:
    """How many workers a run has, and how much of a GPU each.

    Args:
        ray: The package, connected.
        workers: What is asked for; None for as many as the cluster has room for.
        cpus: Cores of each.
        gpus: GPUs of each; None for one where the cluster has any.

    Raises:
        InputError: The cluster has no room for one.
    """
    there = ray.cluster_resources()
    gpus = min(there.get("GPU", 0.0), 1.0) if gpus is None else gpus
    room = int(there.get("CPU", 0.0) / cpus) if cpus else len(ray.nodes())
    room = min(room, int(there.get("GPU", 0.0) / gpus)) if gpus else room
    if room < 1:
        raise InputError(
            f"a worker takes {cpus:g} cores and {gpus:g} GPUs; the cluster has {there.get('CPU', 0):g} and "
            f"{there.get('GPU', 0):g}: ask for less"
        )
    return min(workers or room, room), gpus
