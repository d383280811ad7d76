"""How far a long run is, on stderr: a bar on a terminal, else a line a minute, as for a log file."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias, TypeVar

T = TypeVar("T")
Unit: TypeAlias = Literal["sets", "frames", "slices", "windows"]
_EVERY = 60.0  # seconds from line to line
_TICK = 0.2  # seconds from look to look


def followed(items: Iterable[T], total: int, what: str, *, unit: Unit = "sets") -> Iterator[T]:
    """The items, in their order, while it is shown how many of them have been dealt with.

    Args:
        items: What is dealt with one after another.
        total: How many there are.
        what: What is done with them, such as "fusing".
        unit: What they are called on a terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]} a second"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task, started = bar.add_task(what, total=total or None, rate="?"), time.monotonic()
            for done, item in enumerate(items, 1):
                yield item
                bar.update(task, advance=1, rate=f"{done / (time.monotonic() - started):.2g}")
        return
    started = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - told >= _EVERY:
            told, seconds = now, (now - started) / done
            left = f"{max(seconds * (total - done), 0):.0f} s left"
            print(f"ttd-jax: {what}: {done} of {total}, {1 / seconds:.2f} a second, {left}", file=sys.stderr)
        yield item


def trimmed(items: Iterable[T], *, every: int) -> Iterator[T]:
    """The items, while memory that the C library keeps of arrays that are gone is given back after so many of them.

    Threads that read, compute and write have parts of memory of their own, and each keeps what it freed: without this a
    long run holds a hundred megabytes more than it uses. Where there is no glibc nothing is done.
    """
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    for done, item in enumerate(items, 1):
        yield item
        if trim is not None and done % every == 0:
            trim(0)


def awaited(work: Callable[[], T], *, expected: float | None, what: str) -> T:
    """What a piece of work gives, while it is shown how long it has taken, and how much longer it may.

    Args:
        work: Done in a thread of its own.
        expected: Seconds it will take; None if that is not known.
        what: What is done, such as "fusing".
    """
    from concurrent.futures import ThreadPoolExecutor, wait

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    started = told = time.monotonic()
    with ThreadPoolExecutor(1, thread_name_prefix="ttd-jax-work") as pool:
        future = pool.submit(work)
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
            )
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(what, total=expected, left="")
                while not wait([future], _TICK).done:
                    passed = time.monotonic() - started
                    bar.update(task, completed=min(passed, expected or 0), left=_left(passed, expected))
        while not wait([future], _TICK).done:
            if (now := time.monotonic()) - told >= _EVERY:
                told = now
                left = _left(now - started, expected)
                print(f"ttd-jax: {what}: {now - started:.0f} s{left and ', '}{left}", file=sys.stderr)
        return future.result()


def _left(passed: float, expected: float | None) -> str:
    if expected is None:
        return ""
    return f"about {expected - passed:.0f} s left" if passed < expected else "longer than the last one took"
