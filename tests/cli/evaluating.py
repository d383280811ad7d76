"""What tests of ``ttd-jax evaluate`` share: names, options, and the figures that are expected."""

import pytest

from ttd_jax.io.images import read_image
from ttd_jax.metrics import evaluate

NAMES = ["1", "2", "3"]
CHOSEN = ["EN", "CE", "AG"]
SOURCES = ["--sources", "vis", "ir"]
FEW = ["--metrics", *CHOSEN]


def expected(method: str, name: str, suffix: str, **options) -> dict[str, float]:
    images = [read_image(path).pixels for path in (f"{method}/{name}{suffix}", f"vis/{name}.png", f"ir/{name}.bmp")]
    return evaluate(images[0], images[1:], metrics=CHOSEN, **options)


def close(found, wanted) -> bool:
    return found == pytest.approx(wanted, rel=1e-6)
