"""Where the time of a process went, a step at a time from the start of its interpreter (``--timings``)."""

import os
import time
from pathlib import Path
from typing import Any

_TICKS = 22 - 3  # field of /proc/self/stat that says when the process began, after the name in brackets
_steps: list[tuple[str, float, float]] = []


def step(name: str) -> None:
    """Says what the time since the step before was taken by; costs a tenth of a millisecond."""
    _steps.append((name, _age(), time.process_time()))


def timeline(*, compiled: float | None = None) -> dict[str, Any]:
    """Seconds and processor seconds (of all threads) of every step, their sums, and the most memory held, in MB.

    Args:
        compiled: Seconds of the step ``fuse`` that went into getting a program, which becomes a step of its own.
    """
    rows: list[dict[str, Any]] = []
    wall = processor = 0.0
    for name, now, spent in _steps:
        rows.append({"step": name, "seconds": round(now - wall, 4), "processor": round(spent - processor, 4)})
        wall, processor = now, spent
        if name == "fuse" and compiled is not None:
            rows[-1]["seconds"] = round(rows[-1]["seconds"] - compiled, 4)
            rows.insert(-1, {"step": "program", "seconds": round(compiled, 4), "processor": None})
    return {"steps": rows, "seconds": round(wall, 4), "processor": round(processor, 4), "peak_mb": _peak()}


def table(found: dict[str, Any]) -> str:
    """The timeline as lines of text."""
    rows = [*found["steps"], {"step": "all", **found}]
    lines = [f"{'step':12}{'seconds':>9}{'processor':>11}"]
    for row in rows:
        processor = "" if row["processor"] is None else f"{row['processor']:.3f}"
        lines.append(f"{row['step']:12}{row['seconds']:9.3f}{processor:>11}")
    if found["peak_mb"]:
        lines.append(f"most memory: {found['peak_mb']} MB")
    return "\n".join(lines)


def _age() -> float:
    """Seconds since the process began; where the system does not say, processor seconds are what is known."""
    try:
        text = Path("/proc/self/stat").read_text()
        began = int(text.rpartition(")")[2].split()[_TICKS]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


_IMPORTED = time.perf_counter()


def _peak() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
