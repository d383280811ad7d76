"""How far a long run is, on stderr: a bar on a terminal, else a line a minute, as for a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_EVERY = 60.0  # seconds from line to line


def followed(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, in their order, while it is shown how many of them have been dealt with.

    Args:
        items: What is dealt with one after another.
        total: How many there are.
        what: What is done with them, such as "fusing".
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, what, total, console=console, transient=True)
        return
    started = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - told >= _EVERY:
            told, seconds = now, (now - started) / done
            left = f"{seconds * (total - done):.0f} s left"
            print(f"ttd-jax: {what}: {done} of {total}, {1 / seconds:.2f} a second, {left}", file=sys.stderr)
        yield item
