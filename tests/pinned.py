"""Numbers of the network in the package, so that a change of it, or of what surrounds it, is not unseen.

``python -m tests.pinned`` writes them anew, after a new checkpoint or a change that is meant.
"""

import json
from pathlib import Path

import numpy as np

STORED = Path(__file__).with_name("pinned.json")
ROWS, COLUMNS = 44, 52


def sources() -> list[np.ndarray]:
    """Two colour pictures without a random generator: waves, of which each lacks some in one half; noise in one."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    coarse = 0.5 + 0.2 * np.sin(x / 9) * np.cos(y / 11)
    fine = 0.2 * np.sin(2.1 * x + 0.7 * y) + 0.1 * np.cos(1.3 * y - 0.4 * x)
    share = 1 / (1 + np.exp((x - COLUMNS / 2) / 3))
    noise = np.modf(np.sin(12.9898 * x + 78.233 * y) * 43758.5453)[0]
    grey = [coarse + share * fine, 0.9 * coarse + (1 - share) * fine + 0.1 * noise]
    tint = np.array([1.0, 0.9, 0.75])
    pictures = [picture[..., None] * tint ** (1 + number) for number, picture in enumerate(grey)]
    return [np.clip(picture, 0, 1).astype(np.float32) for picture in pictures]


def numbers() -> dict[str, list]:
    """Image, weights and losses of the pair as the package fuses it, at some places."""
    from ttd_jax import Fuser

    found = {}
    for name, options in {"dynamic": {}, "static": {"weighting": "static"}}.items():
        result = Fuser(dtype="float32", **options)(sources())
        arrays = {"image": result.image, "weights": result.weights, "losses": result.losses}
        for key, array in arrays.items():
            if array is not None:
                found[f"{name} {key}"] = np.asarray(array, np.float64).reshape(-1)[::397].round(6).tolist()
    return found


def fingerprint() -> str:
    """That of the checkpoint."""
    from ttd_jax.backbones import BUNDLED

    (manifest,) = BUNDLED.rglob("manifest.json")
    return json.loads(manifest.read_text())["sha256"]


if __name__ == "__main__":
    STORED.write_text(json.dumps({"sha256": fingerprint(), **numbers()}, indent=1) + "\n")
