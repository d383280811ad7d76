"""Values of every variant for one triple, as they were when they agreed with the toolkits' (test_golden.py).

``python -m tests.metrics.pinned`` writes them anew, after a change that is meant. The golden values are not part of a
checkout; these are, so that a change of a variant is noticed without them.
"""

import json
from pathlib import Path

import jax
import numpy as np

from ttd_jax.metrics import METRICS

STORED = Path(__file__).with_name("pinned.json")


def triple() -> tuple[np.ndarray, np.ndarray]:
    """A fused image and two sources of 60 x 72 pixels, from integers alone."""
    y, x = np.mgrid[:60, :72].astype(np.int64)
    first = 20 + (2 * x + 3 * y + (x * x + 5 * x * y) // 13 % 53 + 60 * ((x // 8 + y // 6) % 2)) % 200
    second = 5 + (3 * y - x + (x * x * y) % 29 + 90 * (((x - 36) ** 2 + (y - 30) ** 2) < 400)) % 230
    fused = np.clip((4 * first + 3 * second + 3) // 7 + 25 * ((2 * x + y) % 7 == 0) - 15 * (x * y % 5 == 2), 0, 255)
    return fused.astype(np.uint8), np.stack([first, second]).astype(np.uint8)


def values(name: str) -> dict[str, float]:
    """Of every variant of a metric, in double precision; NaN where the images are too small for it."""
    metric, (fused, sources) = METRICS[name], triple()
    images = (fused, sources) if metric.needs_sources else (fused,)
    with jax.enable_x64(True):
        return {variant: float(metric.function(*images, variant=variant)) for variant in metric.variants}


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: values(name) for name in METRICS}, indent=1) + "\n")
