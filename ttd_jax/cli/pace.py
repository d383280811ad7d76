"""How long a fusion takes on this machine, by the last one of its kind: seconds a megapixel, in the user's cache."""

import json
import math
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError

_LEAST = 1.0  # megapixels of all sources, of what is remembered


def expected_seconds(kind: str, megapixels: float) -> float | None:
    """Seconds that a fusion will take; None if none of its kind is remembered.

    Args:
        kind: Network, weighting and device.
        megapixels: Of all sources.
    """
    pace = _paces().get(kind)
    return pace * megapixels if isinstance(pace, int | float) and math.isfinite(pace) and pace > 0 else None


def remember_pace(kind: str, megapixels: float, seconds: float) -> None:
    """Keeps how long a fusion took, if it was large enough to tell; where nothing can be kept, nothing is."""
    from ttd_jax.io.atomic import atomic_file

    if megapixels < _LEAST:
        return
    path = _file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_file(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps({**_paces(), kind: seconds / megapixels}))
    except (InputError, OSError):
        pass


def _paces() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("ttd-jax", appauthor=False) / "pace.json"
