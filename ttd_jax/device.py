"""What a process sets up before it computes: jax on a device, and the compile cache."""

import os
import re
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError
from ttd_jax.options import Device

PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
_EXTRAS = {"gpu": "cuda12", "tpu": "tpu"}


def start_jax(*, device: Device = "auto", compile_cache: bool = True) -> Path | None:
    """Imports jax on a device, with the compile cache on unless it is switched off, and gives the cache's folder.

    Args:
        device: Where to compute; ``"auto"`` for the best there is.
        compile_cache: Keep compiled programs in the user's cache folder for the next process.

    Raises:
        InputError: There is no such device.
    """
    if device != "auto":
        os.environ["JAX_PLATFORMS"] = PLATFORMS[device]
    import jax

    try:
        found = jax.default_backend()
    except (RuntimeError, AssertionError):  # jax asserts where the plugin of a platform is not installed
        found = None
    if device == "auto" and found is None:
        raise InputError(
            f"jax finds no device with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}{_devices_there_are()}: set "
            "another, or unset it"
        )
    if device not in ("auto", found):
        extra = _EXTRAS.get(device)
        remedy = f"install the extra for it (pip install 'ttd-jax[{extra}]') or " if extra else ""
        raise InputError(f"no {device} device found{_devices_there_are()}: {remedy}leave --device out")
    if compile_cache and (folder := compile_cache_folder()):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        _drop_what_cannot_be_read(folder)
        return folder
    return None


def _devices_there_are() -> str:
    """What jax finds when it may look for anything, in words."""
    import jax

    platforms = jax.config.values["jax_platforms"]
    jax.config.update("jax_platforms", None)
    try:
        return ", only " + ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
    except (RuntimeError, AssertionError):
        return ""
    finally:
        jax.config.update("jax_platforms", platforms)


def _drop_what_cannot_be_read(folder: Path) -> None:
    """Removes entries of the compile cache that jax warns of, in place of the warning: then it writes them anew.

    jax keeps an entry that it cannot read (of a process that was killed while writing it, say), and would compile, and
    warn, in every run.
    """
    show, about = warnings.showwarning, "Error (reading|writing) persistent compilation cache entry"

    def handle(message: Any, *where: Any, **options: Any) -> None:
        if not re.match(about, str(message)):
            return show(message, *where, **options)
        if found := re.match(rf"{about} for '([\w.-]+)'", str(message)):
            for entry in folder.glob(f"{found[2]}-*"):
                entry.unlink(missing_ok=True)

    warnings.showwarning = handle
    warnings.filterwarnings("always", message=about)


def compile_cache_folder() -> Path | None:
    """A folder in the user's cache that only the user can enter, since its files are run; None if there can be none."""
    from platformdirs import user_cache_path

    folder = user_cache_path("ttd-jax", appauthor=False) / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to someone else")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
        return folder
    except OSError as error:
        print(f"ttd-jax: no compile cache ({error}): this run compiles afresh", file=sys.stderr)
        return None
