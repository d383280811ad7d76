"""How far a long run is, on stderr: a bar on a terminal, else a line a minute, as for a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias, TypeVar

T = TypeVar("T")
Unit: TypeAlias = Literal["sets", "frames", "slices", "windows"]
_EVERY = 60.0  # seconds from line to line


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
