"""What this machine has for computing: cores, vector instructions, memory, and where compiled programs are kept."""

import os
import platform
from pathlib import Path
from typing import Any

EXTENSIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_bf16": "AMX", "asimd": "NEON"}
"""Instructions that matter to the networks, by their names in Linux's list of a processor's flags."""

LITTLE_MEMORY = 4e9
"""Bytes below which a large picture may not fit."""


def machine() -> dict[str, Any]:
    """The processor as far as this process may use it; what the system does not tell is None."""
    told = _first_core()
    flags = told.get("flags", told.get("Features"))
    return {
        "name": told.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "extensions": flags and [name for flag, name in EXTENSIONS.items() if flag in flags.split()],
        "memory": _memory(),
    }


def cache(folder: Path | None) -> dict[str, Any] | None:
    """How much is in the folder of compiled programs; None where there is none."""
    if folder is None:
        return None
    sizes = [file.stat().st_size for file in folder.glob("*") if file.is_file()]
    return {"folder": str(folder), "files": len(sizes), "bytes": sum(sizes)}


def in_words(facts: dict[str, Any], kept: dict[str, Any] | None) -> list[str]:
    """Lines about both, and what is slower for it; pixels are the same everywhere."""
    extensions = facts["extensions"]
    processor = f"{facts['name']}, {_count(facts['cores'], 'core')} for this process"
    processor += f", {', '.join(extensions)}" if extensions else ""
    remarks = []
    if facts["cores"] == 1:
        remarks.append("one core takes up to twice as long as two")
    if extensions is not None and not {"AVX2", "NEON"} & set(extensions):
        remarks.append("no wide vector instructions: networks are slower")
    if extensions is not None and "AMX" not in extensions:
        remarks.append("no AMX: --precision bfloat16 gains nothing")
    memory = "unknown" if facts["memory"] is None else f"{facts['memory'] / 1e9:.1f} GB"
    if facts["memory"] is not None and facts["memory"] < LITTLE_MEMORY:
        memory += ": a colour pair of 12 megapixels takes 1.4, by the pyramid .9"
    programs = "none: every run compiles its program, which takes some seconds"
    if kept is not None:
        programs = f"{kept['folder']}: {_count(kept['files'], 'file')}, {kept['bytes'] / 1e6:.0f} MB"
    return [
        f"processor  {processor}" + "".join(f"; {remark}" for remark in remarks),
        f"memory     {memory}",
        f"programs   {programs}",
    ]


def _count(number: int | None, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _first_core() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> int | None:
    """Bytes of the machine, or of the container if that may have fewer."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return whole
