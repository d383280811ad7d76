"""How large a picture may say it is, looked at before it is read; and how much memory this machine has left."""

import os
from pathlib import Path
from typing import NamedTuple

from ttd_jax.errors import InputError

MOST_PIXELS = 178_956_970
"""Pixels beyond which a picture is taken for damaged or hostile, as in Pillow."""

VARIABLE = "TTD_JAX_MAX_PIXELS"
"""Environment variable that sets another limit."""

_CGROUPS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"),
    (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "sys/fs/cgroup/memory/memory.usage_in_bytes",
        "sys/fs/cgroup/memory/memory.stat",
    ),
)
"""Limit, use and its parts of a container, as its processes see them: version 2, version 1."""

_UNLIMITED = 2**60  # version 1 writes a number near 2**63 for no limit
_FLOAT = 4  # bytes of a number in the copy that is computed with
_LITTLE = 2**24  # bytes; to ask what is free costs more than to read a picture of some thousand pixels


class Declared(NamedTuple):
    """What a file says of its picture: pixels, numbers of one pixel, bytes of one number."""

    height: int
    width: int
    channels: int
    itemsize: int


def most_pixels() -> int:
    """The limit that holds: the environment's, else ``MOST_PIXELS``.

    Raises:
        InputError: The environment's is no positive number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MOST_PIXELS
    if not text.isdecimal() or not 0 < int(text[:20]) < 2**60:
        raise InputError(f"{VARIABLE} is a number of pixels such as 400000000; got {text!r}")
    return int(text)


def check_declared(path: Path, declared: Declared) -> None:
    """Refuses a picture that is too large to be meant, or to be held.

    Raises:
        InputError: It has more pixels than ``most_pixels``, or needs more memory than is free.
    """
    size = f"{path} says it has {declared.width} x {declared.height} pixels"
    pixels = declared.height * declared.width
    if pixels > (most := most_pixels()):
        raise InputError(
            f"{size}, and no more than {most:,} are read: it is damaged, or if that is meant raise the limit with "
            f"--max-pixels {pixels} ({VARIABLE})"
        )
    needed = pixels * declared.channels * (declared.itemsize + _FLOAT)
    if needed <= _LITTLE:
        return
    available = available_on_host()
    if available is not None and needed > available:
        raise InputError(
            f"{size}, for which about {needed / 1e9:.1f} GB are needed, and {available / 1e9:.1f} GB are free: use a "
            "smaller picture, or parts of it"
        )


def available_on_host(*, root: Path = Path("/")) -> int | None:
    """Bytes that new work can take: what the system has available, or what the container's limit leaves if less.

    None where the system tells neither (Linux does).

    Args:
        root: Where ``proc`` and ``sys`` are mounted.
    """
    found = [_from_meminfo(root), *(_from_container(root, *files) for files in _CGROUPS)]
    return min((one for one in found if one is not None), default=None)


def _from_meminfo(root: Path) -> int | None:
    return _field(root / "proc/meminfo", "MemAvailable:", 1024)


def _from_container(root: Path, limit_file: str, use_file: str, stat_file: str) -> int | None:
    try:
        limit, use = int((root / limit_file).read_text()), int((root / use_file).read_text())
    except (OSError, ValueError):  # no container, or "max"
        return None
    stat = root / stat_file
    cached = _field(stat, "total_inactive_file") or _field(stat, "inactive_file") or 0  # given back when asked for
    return None if limit >= _UNLIMITED else max(limit - use + cached, 0)


def _field(path: Path, name: str, unit: int = 1) -> int | None:
    try:
        fields = dict(line.split()[:2] for line in path.read_text().splitlines())
        return int(fields[name]) * unit
    except (OSError, ValueError, KeyError):
        return None
