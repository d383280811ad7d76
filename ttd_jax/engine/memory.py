"""How much memory there is, and whether a compiled program fits: asked before it runs, as the system would kill it.

What a program needs is what its compiler reports: arguments, results and intermediate arrays. That leaves out what
libraries take for themselves while they run.
"""

from typing import Any
from weakref import WeakKeyDictionary

from ttd_jax.errors import InputError
from ttd_jax.io.limits import available_on_host

_found: WeakKeyDictionary[Any, int | None] = WeakKeyDictionary()  # the answer takes 30 ms


def needed_memory(program: Any) -> int | None:
    """Bytes that a compiled program takes on each device while it runs; None if its compiler does not say."""
    if program not in _found:
        sizes = program.memory_analysis()
        _found[program] = (
            None
            if sizes is None
            else sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
        )
    return _found[program]


def available_on(device: Any) -> int | None:
    """Bytes that are free on a jax device; None if it does not say."""
    if device.platform == "cpu":
        return available_on_host()
    found = device.memory_stats() or {}
    return found["bytes_limit"] - found["bytes_in_use"] if {"bytes_limit", "bytes_in_use"} <= found.keys() else None


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
        "images or parts of them, fewer at a time, or a backbone that works in strips (ifcnn)"
    )
