"""How much memory there is, and whether a compiled program fits: asked before it runs, as the system would kill it.

What a program needs is what its compiler reports: arguments, results and intermediate arrays. That leaves out what
libraries take for themselves while they run.
"""

from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError

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


def needed_memory(program: Any) -> int | None:
    """Bytes that a compiled program takes on each device while it runs; None if its compiler does not say."""
    found = program.memory_analysis()
    if found is None:
        return None
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes


def available_on(device: Any) -> int | None:
    """Bytes that are free on a jax device; None if it does not say."""
    if device.platform == "cpu":
        return available_on_host()
    found = device.memory_stats() or {}
    return found["bytes_limit"] - found["bytes_in_use"] if {"bytes_limit", "bytes_in_use"} <= found.keys() else None


def available_on_host(root: Path = Path("/")) -> int | None:
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


def check_memory(program: Any, devices: list[Any], what: str) -> None:
    """Refuses a compiled program that does not fit in the memory there is now.

    Args:
        program: The compiled program.
        devices: Where it runs.
        what: What it does, for the message.

    Raises:
        InputError: It needs more; says how much of each.
    """
    on_host = devices[0].platform == "cpu"
    needed, available = needed_memory(program), available_on(devices[0])
    if needed is None or available is None:
        return
    needed *= len(devices) if on_host else 1
    if needed <= available:
        return
    place = "memory" if on_host else f"memory on {devices[0].device_kind}"
    raise InputError(
        f"{what} needs about {needed / 1e9:.1f} GB of {place}, and {available / 1e9:.1f} GB are free: use smaller "
        "images or parts of them, fewer at a time, or a backbone that works in strips (ttdnet, ifcnn)"
    )
