"""Source sets to train on: a pool made once, and batches of it as a pure function of seed and step."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from ttd_jax.training.scenes import Scene, crop
from ttd_jax.training.sources import TASKS, corrupt


class Pool(NamedTuple):
    """Source sets of one size and one M, the tasks in turn.

    Attributes:
        sources: As the network sees them.
        intact: The same before one of them was made worse.
        targets: What a perfect fusion would give.
        damaged: Whether one was made worse.
        reference: What the energy-weighted pyramid makes of them: its four measures.
    """

    sources: UInt8[np.ndarray, "S M N N"]
    intact: UInt8[np.ndarray, "S M N N"]
    targets: UInt8[np.ndarray, "S N N"]
    damaged: Bool[np.ndarray, " S"]
    reference: Float[np.ndarray, "S 4"]


class Batch(NamedTuple):
    """One set of every task; see :class:`Pool`. Images are floats in [0, 1]."""

    sources: Float[Array | np.ndarray, "4 M N N"]
    intact: Float[Array | np.ndarray, "4 M N N"]
    targets: Float[Array | np.ndarray, "4 N N"]
    damaged: Bool[Array | np.ndarray, " 4"]
    reference: Float[Array | np.ndarray, "4 4"]


def make_pool(
    scenes: Sequence[Scene],
    *,
    seed: int,
    sets: int,
    count: int,
    size: int,
    damaged: float,
    refer: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Pool:
    """Sets of sources made from scenes.

    Args:
        scenes: Clean images.
        seed: Decides everything.
        sets: How many, rounded down to a multiple of the tasks.
        count: M.
        size: N.
        damaged: Share of the sets in which one source is made worse.
        refer: From sources, intact sources and targets of one set of every task to their reference measures.
    """
    rng = np.random.default_rng((seed, count))
    made, bad = [], []
    for index in range(sets // len(TASKS) * len(TASKS)):
        task = list(TASKS.values())[index % len(TASKS)]
        intact, target = task(rng, crop(rng, scenes[int(rng.integers(len(scenes)))], size), count)
        bad.append(bool(rng.random() < damaged))
        made.append((corrupt(rng, intact) if bad[-1] else intact, intact, np.clip(target, 0, 1)))
    sources, intact, targets = (np.rint(255 * np.stack(part)).astype(np.uint8) for part in zip(*made, strict=True))
    rows = range(0, len(made), len(TASKS))
    found = [refer(*(_floats(part[i : i + len(TASKS)]) for part in (sources, intact, targets))) for i in rows]
    return Pool(sources, intact, targets, np.array(bad), np.concatenate(found))


def make_batch(pools: Sequence[Pool], *, seed: int, step: int, share: float) -> Batch:
    """The batch of one step, turned and mirrored at random.

    Args:
        pools: Of different M.
        seed: With ``step`` decides everything.
        step: Counted from 0.
        share: Of the steps that take the first pool; the others take any of the rest.
    """
    rng = np.random.default_rng((seed, 1, step))
    pool = pools[0] if rng.random() < share or len(pools) == 1 else pools[int(rng.integers(1, len(pools)))]
    first = int(rng.integers(len(pool.damaged) // len(TASKS))) * len(TASKS)
    chosen = Pool(*(part[first : first + len(TASKS)] for part in pool))
    turned, mirrored = rng.random() < 0.5, rng.random() < 0.5

    def image(part: np.ndarray) -> np.ndarray:
        part = part.swapaxes(-1, -2) if turned else part
        return np.ascontiguousarray(_floats(part[..., ::-1] if mirrored else part))

    images = image(chosen.sources), image(chosen.intact), image(chosen.targets)
    return Batch(*images, damaged=chosen.damaged, reference=chosen.reference)


def every_batch(pool: Pool) -> list[Batch]:
    """The sets of a pool as batches, in order and as they are."""
    found = []
    for first in range(0, len(pool.damaged), len(TASKS)):
        chosen = Pool(*(part[first : first + len(TASKS)] for part in pool))
        images = _floats(chosen.sources), _floats(chosen.intact), _floats(chosen.targets)
        found.append(Batch(*images, damaged=chosen.damaged, reference=chosen.reference))
    return found


def _floats(pixels: np.ndarray) -> Float[np.ndarray, "..."]:
    return pixels.astype(np.float32) / 255
