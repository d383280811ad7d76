"""Batches of sources: a pure function of seed and step, so that a resumed run sees what an uninterrupted one sees."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from ttd_jax.training.scenes import Scene, crop
from ttd_jax.training.sources import TASKS, corrupt


class Batch(NamedTuple):
    """Source sets of one size and one M.

    Attributes:
        sources: (B, M, N, N) in [0, 1], as the network sees them.
        intact: (B, M, N, N), the same before one of them was corrupted.
        targets: (B, N, N), what a perfect fusion would give.
        tasks: (B,), index into ``TASKS``.
    """

    sources: Float[Array | np.ndarray, "B M N N"]
    intact: Float[Array | np.ndarray, "B M N N"]
    targets: Float[Array | np.ndarray, "B N N"]
    tasks: Int[Array | np.ndarray, " B"]


def make_batch(
    scenes: Sequence[Scene],
    seed: int,
    step: int,
    size: int,
    batch: int,
    counts: Sequence[int] = (2,),
    corrupted: float = 0.0,
) -> Batch:
    """The batch of one step: all tasks in turn, M drawn from ``counts``, a share ``corrupted`` of the sets damaged."""
    rng = np.random.default_rng((seed, step))
    count = int(rng.choice(counts))
    tasks = np.arange(batch) % len(TASKS)
    makers = list(TASKS.values())
    made = [makers[task](rng, crop(rng, scenes[int(rng.integers(len(scenes)))], size), count) for task in tasks]
    intact, targets = (np.stack(part) for part in zip(*made, strict=True))
    seen = np.stack([corrupt(rng, sources) if rng.random() < corrupted else sources for sources in intact])
    return Batch(seen, intact, targets, tasks)


def batches(first: int, last: int, ahead: int = 4, **options) -> Iterator[Batch]:
    """``make_batch`` for every step from ``first`` to before ``last``, made in a thread some steps ahead."""
    ready: queue.Queue = queue.Queue(ahead)
    stop = threading.Event()

    def work() -> None:
        for step in range(first, last):
            if stop.is_set():
                return
            try:
                ready.put(make_batch(step=step, **options))
            except Exception as error:
                ready.put(error)
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(first, last):
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        while not ready.empty():
            ready.get_nowait()
