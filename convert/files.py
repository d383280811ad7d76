"""The files of one network: which is which is told by what is in them, and all that is wrong is told at once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ttd_jax.errors import CheckpointError

from .fitting import better_name
from .mappings import TABLES
from .torch_file import read_torch_file


class File(NamedTuple):
    """A file that could be read."""

    path: Path
    tensors: dict[str, np.ndarray]
    sha256: str

    def as_data(self) -> dict[str, str]:
        """Name and hash, for a manifest."""
        return {"file": self.path.name, "sha256": self.sha256}


class Gathered(NamedTuple):
    """What the files of one network hold together.

    Attributes:
        files: Those that hold something of it, in the order of its table.
        missing: Parts that none of them holds.
        problems: Everything else that is wrong, a sentence each.
    """

    files: list[File]
    missing: list[str]
    problems: list[str]

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by key."""
        return {key: array for file in self.files for key, array in file.tensors.items()}


def read_file(path: Path) -> File:
    """One file.

    Raises:
        CheckpointError: It cannot be read.
    """
    tensors = read_torch_file(path)
    with path.open("rb") as file:
        return File(path, tensors, hashlib.file_digest(file, "sha256").hexdigest())


def gather(backbone: str, preset: str, paths: Sequence[Path]) -> Gathered:
    """The files of a network that its authors split, in whatever order they are named.

    Args:
        backbone: The network; its table says which parts there are.
        preset: Its configuration.
        paths: The files.
    """
    table = TABLES[backbone]
    holders: dict[str, File] = {}
    seen: dict[str, Path] = {}
    problems: list[str] = []
    unread = 0
    for path in paths:
        try:
            file = read_file(path)
        except CheckpointError as error:
            problems.append(str(error))
            unread += 1
            continue
        if (first := seen.setdefault(file.sha256, path)) is not path:
            problems.append(f"{path} is the same file as {first}")
            continue
        parts = table.parts(file.tensors)
        if not parts:
            better = better_name(backbone, preset, file.tensors)
            problems.append(f"{path} holds no part of {backbone}" + (f", but is one of {better}" if better else ""))
        elif taken := sorted(parts & set(holders)):
            problems.append(f"{path} holds the {taken[0]}, as {holders[taken[0]].path} does: name one of them")
        else:
            holders |= dict.fromkeys(parts, file)
    missing = [part for part in table.files if part not in holders]
    if len(missing) > unread:  # else a file that could not be read may hold what is missing
        problems += [f"the {part} is missing: name its file too ({table.files[part]})" for part in missing]
    files = {id(holders[part]): holders[part] for part in table.files if part in holders}
    return Gathered(list(files.values()), missing, problems)
