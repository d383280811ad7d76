"""The checkpoint in the package does what it is for, on photographs that it was not trained on."""

import json
from functools import partial

import numpy as np
import pytest

from studies.pairs import known_focus_pairs
from studies.weights import fade, hide, weights_of
from tests import pinned
from ttd_jax import Fuser
from ttd_jax.backbones import BUNDLED, load_backbone
from ttd_jax.io.checkpoints import tree_differences

pytestmark = pytest.mark.optimized

PAIRS = known_focus_pairs(128)[:4]


@pytest.fixture(scope="module")
def fuser():
    return Fuser()


def decibels(image, truth):
    return -10 * np.log10(np.mean((image.astype(float) / 255 - truth / 255.0) ** 2))


def test_focus_is_restored_better_than_by_the_mean_of_the_network_and_of_the_pixels(fuser):
    static = Fuser(weighting="static")
    for pair in PAIRS:
        sources = list(pair.sources)
        dynamic = decibels(fuser(sources).image, pair.truth)
        assert dynamic > decibels(static(sources).image, pair.truth) + 3, pair.name
        assert dynamic > decibels(pair.sources.mean(axis=0), pair.truth) + 6, pair.name


def test_a_hidden_area_and_fading_contrast_lose_weight(fuser):
    assert weights_of(fuser, PAIRS, np.copy, inside=True).mean() == pytest.approx(0.5, abs=1e-6)
    assert weights_of(fuser, PAIRS, hide, inside=True).mean() < 0.4
    faded = [weights_of(fuser, PAIRS, partial(fade, degree=degree)).mean() for degree in (0, 0.5, 0.9)]
    assert faded == sorted(faded, reverse=True) and faded[2] < 0.45


def test_numbers_of_a_pair_are_what_they_were():
    stored = json.loads(pinned.STORED.read_text())
    assert stored.pop("sha256") == pinned.fingerprint(), "a new checkpoint: python -m tests.pinned"
    found = pinned.numbers()
    assert found.keys() == stored.keys()
    for name, values in stored.items():
        np.testing.assert_allclose(found[name], values, atol=2e-4, err_msg=name)
    assert np.ptp(stored["dynamic weights"]) > 0.3 and max(stored["dynamic losses"]) > 0.001


def test_the_checkpoint_is_small():
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 4_000_000


def test_the_arrays_fit_the_network_that_the_manifest_names():
    """They are read without being compared, since this is so."""
    for folder in (path.parent for path in BUNDLED.glob("*/manifest.json")):
        backbone = load_backbone(checkpoint=folder.name)
        assert tree_differences(backbone.variables, backbone.spec.abstract(backbone.model)) == []
