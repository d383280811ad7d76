"""Files of strangers: under names of ours, measured before they are read, forgotten in what errors say."""

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ttd_jax.errors import InputError
from ttd_jax.io.images import read_declared

_LONGEST = 60  # characters of a file's name


def safe_name(name: str | None) -> str:
    r"""The name of a file as it may lie in a folder of ours: no folder, nothing hidden, not long, its ending kept.

    Example:
        >>> safe_name("../../etc/pass wd"), safe_name("C:\\day.tif"), safe_name("..")
        ('pass_wd', 'day.tif', 'image')
    """
    last = re.split(r"[/\\]", name or "")[-1]
    plain = re.sub(r"[^\w.()+-]", "_", last).lstrip(".")
    stem, dot, ending = plain.rpartition(".")
    if not stem:
        stem, dot, ending = plain, "", ""
    return f"{stem[:_LONGEST] or 'image'}{dot}{ending[:8]}"


def place_for(folder: Path, number: int, name: str | None) -> Path:
    """Where the file of a stranger goes: in a folder of its own, so that equal names do not meet."""
    inside = folder / str(number)
    inside.mkdir(exist_ok=True)
    return inside / safe_name(name)


def as_sources(roles: Sequence[str | None], paths: Sequence[Path]) -> Mapping[str, Path] | list[Path]:
    """Sources as ``check_sources`` takes them: by role if all have one.

    Raises:
        InputError: Some have a role and some have none, one comes twice, or one is no name.
    """
    if not any(roles):
        return list(paths)
    if lacking := [path.name for role, path in zip(roles, paths, strict=True) if not role]:
        raise InputError(f"give every source a role or none; {lacking[0]} has none")
    named = [role for role in roles if role]
    if len(set(named)) < len(named):
        raise InputError("each role comes once: give the sources different roles")
    if odd := [role for role in named if not re.fullmatch(r"[A-Za-z]\w{0,39}", role)]:
        raise InputError(f"a role is a word such as visible or infrared; got {odd[0][:40]!r}")
    return dict(zip(named, paths, strict=True))


def check_pixels(paths: Sequence[Path], megapixels: int) -> None:
    """Refuses pictures that are too large together, by what their files say.

    Raises:
        InputError: They are, or one is no picture.
    """
    declared = [read_declared(path) for path in paths]
    total = sum(one.height * one.width for one in declared)
    if total > megapixels * 1_000_000:
        sizes = ", ".join(f"{p.name} {d.width} x {d.height}" for p, d in zip(paths, declared, strict=True))
        raise InputError(
            f"the sources of one fusion have {megapixels} megapixels at most, together; got {sizes}: send smaller ones"
        )


def without_paths(message: str, folder: Path) -> str:
    """An error's words for a client: on one line, with no path of this machine.

    Args:
        message: The words.
        folder: Where the client's files lie.

    Example:
        >>> without_paths("/srv/job/0/near.png is empty: expected an image file", Path("/srv/job"))
        'near.png is empty: expected an image file'
    """
    text = re.sub(re.escape(f"{folder}{os.sep}") + r"\d+" + re.escape(os.sep), "", " ".join(message.split()))
    for known in (str(folder), tempfile.gettempdir()):
        text = re.sub(re.escape(known) + r"[^\s'\":,]*", "a file", text)
    return text


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(_size(Path(where) / name) for where, _, names in os.walk(folder) for name in names)


def sweep(folder: Path, age: float) -> int:
    """Removes files below a folder that nothing has touched for so many seconds, and folders left empty.

    Returns:
        How many files there were.
    """
    count, now = 0, time.time()
    for where, _, names in os.walk(folder, topdown=False):
        inside = Path(where)
        try:
            untouched = now - inside.stat().st_mtime >= age
            for path in (inside / name for name in names):
                found = path.stat()
                if now - max(found.st_mtime, found.st_ctime) >= age:
                    path.unlink()
                    count += 1
            if untouched and inside != folder:
                inside.rmdir()
        except OSError:  # gone, or not empty
            continue
    return count


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
