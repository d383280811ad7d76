"""Every variant of every metric gives the numbers that it gave when it agreed with the toolkits'."""

import json

import pytest

from tests.metrics import pinned
from ttd_jax.metrics import METRICS

KEPT = json.loads(pinned.STORED.read_text())


def test_nothing_is_left_out():
    assert {name: [*found] for name, found in KEPT.items()} == {name: [*m.variants] for name, m in METRICS.items()}


@pytest.mark.parametrize("name", METRICS)
def test_numbers_of_every_variant_are_what_they_were(name):
    assert pinned.values(name) == pytest.approx(KEPT[name], rel=1e-9, nan_ok=True)
