"""The table of results: one row a key, however often a run is started again."""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ttd_jax.io.extras import load
from ttd_jax.io.storage import Place, exists, files_in, local_copy, remove, whole_file

NAME = "results.parquet"
_PARTS = ".results"
_EVERY_ROWS, _EVERY_SECONDS = 10_000, 30.0
_TEXTS = ("key", "status", "error", "output", "worker", "report")


class ResultTable:
    """``results.parquet`` in a folder, and while a run lasts parts of it beside.

    Rows that were added are in a part after half a minute at the latest; ``close`` puts all parts into the table, and
    so does the next run after one that was killed. The last row of a key counts.

    Args:
        folder: Where images go.

    Attributes:
        file: The table.
        keys: Those that have a row.

    Raises:
        InputError: The folder cannot be read or written.
    """

    def __init__(self, folder: Place):
        self.file = folder / NAME
        self._folder = folder / _PARTS
        self._rows: list[Mapping[str, Any]] = []
        self.keys: set[str] = set(self._merge().column("key").to_pylist())
        self._write_part()  # a folder that denies does so now

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds the row of a key."""
        self._rows.append(row)
        if len(self._rows) >= _EVERY_ROWS or time.monotonic() - self._written > _EVERY_SECONDS:
            self._write_part()

    def close(self) -> None:
        """Writes the table."""
        self._write_part()
        self._merge()

    def _write_part(self) -> None:
        if isinstance(self._folder, Path):
            self._folder.mkdir(exist_ok=True)
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"  # listed in the order of writing
        _write(self._folder / name, _as_table(self._rows))
        self._rows, self._written = [], time.monotonic()

    def _merge(self) -> Any:
        """Puts all parts into the table, and removes them; returns the table."""
        pyarrow = load("pyarrow", "ray", "a table of results")
        parts = files_in(self._folder) if exists(self._folder) else []
        table = _read(self.file) if exists(self.file) else _as_table([])
        new = [_read(part) for part in parts]
        if any(part.num_rows for part in new):
            table = pyarrow.concat_tables([table, *new])
            last = {key: index for index, key in enumerate(table.column("key").to_pylist())}
            table = table.take([last[key] for key in sorted(last)])
            _write(self.file, table)
        for part in parts:
            remove(part)
        if isinstance(self._folder, Path) and self._folder.is_dir():
            self._folder.rmdir()
        return table


def _as_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as Arrow has them; texts in columns that may be larger than 2 GB."""
    pyarrow = load("pyarrow", "ray", "a table of results")
    types = [(name, pyarrow.large_string()) for name in _TEXTS]
    schema = pyarrow.schema([*types[:2], ("seconds", pyarrow.float64()), *types[2:]])
    return pyarrow.Table.from_pylist(list(rows), schema=schema)


def _read(file: Place) -> Any:
    with local_copy(file) as copy:
        return load("pyarrow.parquet", "ray", "a table of results").read_table(copy)


def _write(file: Place, table: Any) -> None:
    with whole_file(file, overwrite=True) as temporary:
        load("pyarrow.parquet", "ray", "a table of results").write_table(table, temporary, compression="zstd")
