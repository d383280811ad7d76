"""Fusions in threads: as many at once as was allowed, as many waiting, and compiled programs shared by all.

A client is admitted before a byte of its files is read, so that disk and memory are bounded, too. Its folder is
removed when its work is done, whether anyone still waits for it or not: a computation that has begun cannot be stopped.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ttd_jax.backbones import DEFAULT_CHECKPOINT, backbone_names, bundled_checkpoints, find_spec, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.engine.recent import Recent
from ttd_jax.errors import InputError, shown
from ttd_jax.fuser import Fuser
from ttd_jax.io.checkpoints import read_manifest
from ttd_jax.serve.limits import Limits
from ttd_jax.serve.wanted import Wanted

T = TypeVar("T")

MOST_FUSERS = 4
"""Sets of options whose programs are kept: 16 shapes each, some 10 MB a shape."""

_SHAPES = 100  # new ones, until what jax remembers of them is dropped: some 1.5 MB each


class Full(Exception):
    """As many fusions wait as may."""


class Place:
    """One client's place in the line, and the folder for its files.

    Args:
        leave: What gives the place to the next client.
    """

    def __init__(self, leave: Callable[[], None]):
        self.folder = Path(tempfile.mkdtemp(prefix="ttd-jax-"))
        self._leave = leave

    def leave(self) -> None:
        """Removes the files and lets the next client in."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._leave()


class Work:
    """What runs fusions for many clients.

    Args:
        limits: How many at once, how many waiting.
        checkpoints: Folders of networks to serve beside those in the package, called as their folders are.

    Attributes:
        limits: The same.
        backbones: Networks by the names that clients know; the default is the first.

    Raises:
        InputError: Two checkpoints have one name.
        CheckpointError: One cannot be loaded.
    """

    def __init__(self, limits: Limits, *, checkpoints: Sequence[str] = ()):
        self.limits, self.backbones = limits, served_backbones(checkpoints)
        self._fusers: Recent[Fuser] = Recent(MOST_FUSERS)
        self._threads = ThreadPoolExecutor(limits.running, thread_name_prefix="fusion")
        self._lock, self._admitted, self._shapes = threading.Lock(), 0, 0
        self._seen: Recent[bool] = Recent(10 * _SHAPES)

    @property
    def admitted(self) -> int:
        """Clients that are uploading, waiting or computing."""
        return self._admitted

    def admit(self) -> Place:
        """A place for one client, who has to leave it, or to pass it to ``start``.

        Raises:
            Full: There is none.
        """
        with self._lock:
            if self._admitted >= self.limits.running + self.limits.waiting:
                raise Full
            self._admitted += 1
        try:
            return Place(self._left)
        except OSError:
            self._left()
            raise

    def _left(self) -> None:
        with self._lock:
            self._admitted -= 1

    def start(self, place: Place, job: Callable[[], T]) -> "Future[T]":
        """Runs a job when a thread is free; its place is left when it is done, or was cancelled before."""

        def run() -> T:
            try:
                return job()
            finally:
                place.leave()

        future = self._threads.submit(run)
        future.add_done_callback(lambda done: place.leave() if done.cancelled() else None)
        return future

    def run(self, job: Callable[[], T]) -> T:
        """Runs a job and waits for it, no longer than the limit.

        Raises:
            Full: There is no place.
            TimeoutError: It took longer; it goes on all the same if it had begun.
        """
        future = self.start(self.admit(), job)
        try:
            return future.result(self.limits.seconds)
        except TimeoutError:
            future.cancel()
            raise

    def fuser(self, wanted: Wanted) -> Fuser:
        """The fuser of these options, made if it is not among those used last.

        Raises:
            InputError: The options do not suit the network, or there is no such network.
        """
        name = wanted.backbone or next(iter(self.backbones))
        if name not in self.backbones:
            raise InputError(f"backbones of this service are {', '.join(self.backbones)}; got {shown(name)!r}")

        def make() -> Fuser:
            return Fuser(
                self.backbones[name],
                weighting=wanted.weighting,
                recipe=wanted.recipe,
                color=wanted.color,
                precision=wanted.precision,
            )

        return self._fusers.get((name, *wanted.program[1:]), make)

    def saw(self, shape: Any) -> None:
        """Takes note of a shape; after many new ones, what jax remembers of all is dropped."""
        new: list[Any] = []

        def note() -> bool:
            new.append(shape)
            return True

        self._seen.get(shape, note)
        with self._lock:
            self._shapes += len(new)
            if self._shapes < _SHAPES:
                return
            self._shapes = 0
        import jax

        jax.clear_caches()  # compiled programs are the fusers', and stay

    def close(self) -> None:
        """Waits for what is running; what waits is not begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)


@contextmanager
def working(limits: Limits, *, checkpoints: Sequence[str] = ()) -> Iterator[Work]:
    """A ``Work`` that is closed at the end.

    Args:
        limits: As for ``Work``.
        checkpoints: As for ``Work``.
    """
    work = Work(limits, checkpoints=checkpoints)
    try:
        yield work
    finally:
        work.close()


def served_backbones(checkpoints: Sequence[str]) -> dict[str, Backbone]:
    """Networks by the names that clients know: those that need no file, then the checkpoints named.

    Args:
        checkpoints: Folders.

    Raises:
        InputError: Two have one name.
        CheckpointError: One cannot be loaded.

    Example:
        >>> list(served_backbones([]))
        ['bandnet', 'pyramid', 'mertens']
    """
    bundled = bundled_checkpoints()
    default = read_manifest(bundled[DEFAULT_CHECKPOINT])["backbone"]
    packed = {read_manifest(folder)["backbone"] for folder in bundled.values()} - {default}
    free = [name for name in backbone_names() if name in packed or not find_spec(name).parameters]
    found = {name: load_backbone(name) for name in (default, *free)}
    for folder in checkpoints:
        name = Path(folder).resolve().name
        if name in found:
            raise InputError(f"two networks would be called {name!r}: rename the folder {folder}")
        found[name] = load_backbone(checkpoint=folder)
    return found
