"""What became of the sets of tasks under way, where no lost worker can take it along."""

from collections import Counter
from typing import Any

MOST_TRIES = 3
"""Workers that may be lost by one set before it is left alone."""


class Ledger:
    """Kept by a process of its own beside the driver's: the sets that were begun, and the rows of those done."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()
        self._rows: dict[str, dict[str, Any]] = {}

    def open(self, task: str, keys: list[str]) -> tuple[int, dict[str, dict[str, Any]]]:
        """How often a task was begun before, and the rows that came of it."""
        self._tasks[task] += 1
        return self._tasks[task] - 1, {key: self._rows[key] for key in keys if key in self._rows}

    def begin(self, key: str) -> int:
        """How often a set was begun on its own, this time included."""
        self._begun[key] += 1
        return self._begun[key]

    def done(self, row: dict[str, Any]) -> None:
        """Keeps a row until it has arrived."""
        self._rows[row["key"]] = row

    def forget(self, key: str) -> None:
        """Lets go of a row that has arrived."""
        self._rows.pop(key, None)
