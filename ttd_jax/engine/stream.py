"""Reading, computing and what the caller does with results, each while the others go on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ttd_jax.engine.stack import Stack
from ttd_jax.errors import InputError

_END = object()


@dataclass
class Job:
    """A stack on its way.

    Attributes:
        stack: What was read.
        read: Seconds that took.
        launched: When it was launched, by the clock that never goes back.
        prepared: Seconds that getting a program took: compiling it, reading it from a folder, or nothing.
        fused: What is being computed, once launched.
    """

    stack: Stack
    read: float
    launched: float = 0.0
    prepared: float = 0.0
    fused: Any = None


def overlap(
    items: Iterable[Any],
    read: Callable[[Any], Any],
    launch: Callable[[Any], Any],
    finish: Callable[[Any], Any],
    ahead: int,
    keep_going: bool,
    *,
    workers: int = 1,
) -> Iterator[Any]:
    """``finish(launch(read(item)))`` of every item, in order.

    Items are pulled in one thread and read in ``workers`` others, up to ``ahead`` of them before they are needed.
    ``launch`` starts a computation and returns at once; the next one is launched before the one before is finished
    and handed over.

    Args:
        items: Whatever ``read`` takes; pulled in the reading thread.
        read: First step, in the reading thread.
        launch: Second step.
        finish: Third step, which waits for the computation.
        ahead: Items read in advance, at least 1.
        keep_going: Whether the error of an item takes its result's place; else it is raised there.
        workers: Threads that read.
    """
    iterator = iter(items)

    def pull() -> Any:
        item = next(iterator, _END)
        if workers == 1 or item is _END:
            return _END if item is _END else _attempt(read, item)
        return pool.submit(_attempt, read, item)

    def hand_over(launched: Any) -> Any:
        index, outcome = launched
        outcome = _attempt(finish, outcome)
        if isinstance(outcome, Exception) and not keep_going:
            raise _numbered(outcome, index)
        return outcome

    with (
        ThreadPoolExecutor(workers, thread_name_prefix="ttd-jax-read") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="ttd-jax-pull") as reader,
    ):
        reading = deque(reader.submit(pull) for _ in range(ahead))
        launched: deque[tuple[int, Any]] = deque()
        broken: Exception | None = None  # what the iterator itself raised, after the items before it
        index = 0
        try:
            while broken is None:
                try:
                    outcome = reading.popleft().result()
                    outcome = outcome.result() if isinstance(outcome, Future) else outcome
                except Exception as error:
                    broken = error
                    break
                if outcome is _END:
                    break
                reading.append(reader.submit(pull))
                launched.append((index, _attempt(launch, outcome)))
                index += 1
                if len(launched) > 1:
                    yield hand_over(launched.popleft())
            while launched:
                yield hand_over(launched.popleft())
            if broken is not None:
                raise broken
        finally:
            for future in reading:
                future.cancel()


def _attempt(step: Callable[[Any], Any], value: Any) -> Any:
    """The step's result, or the user's mistake or the file's fault that stopped it, now or before."""
    if isinstance(value, Exception):
        return value
    try:
        return step(value)
    except (InputError, OSError) as error:
        return error


def _numbered(error: Exception, index: int) -> Exception:
    """The error with its item's place in the stream."""
    if not isinstance(error, InputError):
        error.add_note(f"item {index} of the stream")
        return error
    numbered = InputError(f"item {index}: {error}")
    numbered.__cause__ = error
    return numbered
