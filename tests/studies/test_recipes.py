"""The study of recipes: its halves, its fusion, its ranking."""

from dataclasses import asdict, replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ttest_1samp

from studies.measures import CELLS
from studies.methods import control_weights
from studies.pairs import Pair, split_by_content
from studies.recipes import (
    BASELINES,
    Bench,
    Candidate,
    best,
    candidates,
    compare,
    describe,
    neighbours,
    print_tables,
    sureness,
)
from tests.networks import ifcnn_backbone, ifcnn_variables
from ttd_jax import Fuser, LossWeighting
from ttd_jax.core.weighting import PAPER

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 12, 14), dtype=np.uint8)


def names(half):
    return {pair.name for pair in half["medical"]}


def test_pairs_with_an_image_in_common_stay_together():
    distinct = [Pair(f"own {i}", IMAGES[[2 * i, 2 * i + 1]]) for i in range(6)]
    same_first = [Pair("a", IMAGES[[20, 21]]), Pair("b", IMAGES[[20, 22]])]
    chain = [Pair("c", IMAGES[[30, 31]]), Pair("d", IMAGES[[32, 33]]), Pair("e", IMAGES[[33, 30]].copy())]
    one, other = split_by_content({"medical": [chain[0], *distinct, *same_first, *chain[1:]]})
    for group in ({"a", "b"}, {"c", "d", "e"}):
        assert group <= names(one) or group <= names(other)
    assert names(one).isdisjoint(names(other))
    assert names(one) | names(other) == {"a", "b", "c", "d", "e", *(f"own {i}" for i in range(6))}
    assert abs(len(one["medical"]) - len(other["medical"])) <= 2


def test_pairs_made_from_one_photograph_stay_together():
    pairs = [Pair(str(i), IMAGES[[2 * i, 2 * i + 1]], truth=IMAGES[30 + i // 2]) for i in range(8)]
    for half in split_by_content({"truth": pairs}):
        assert [pair.name for pair in half["truth"]] in (["0", "1", "4", "5"], ["2", "3", "6", "7"])


def test_a_split_can_separate_pairs_that_only_look_alike():
    brighter = Pair("b", IMAGES[:2] // 2)
    one, other = split_by_content({"medical": [Pair("a", IMAGES[:2]), brighter]})
    assert (names(one), names(other)) == ({"a"}, {"b"})


@pytest.fixture(scope="module")
def bench():
    made = Bench(ifcnn_backbone(ifcnn_variables(), "sum"))
    made.take(Pair("pair", RNG.integers(0, 256, (2, 24, 28), dtype=np.uint8)))
    return made


@pytest.mark.parametrize(
    "weighting",
    [
        replace(PAPER, loss="l1", scale=10.0, component="alone", space="image", form="exp", smoothing=2.0),
        replace(PAPER, loss="mse", scale=50.0, component="fused", space="image", form="linear", smoothing=0.0),
        replace(PAPER, loss="l1", scale=1.0, component="black", space="mixed", form="log", smoothing=0.0),
    ],
)
def test_the_study_fuses_as_fuse_does(bench, weighting):
    expected = Fuser(bench.backbone, weighting=weighting)(list(bench.pair.sources)).image
    difference = bench.image(Candidate(weighting)).astype(int) - expected
    assert np.abs(difference).max() <= 1  # rounding to 8 bits
    assert np.mean(difference != 0) < 0.01


def test_the_study_fuses_statically_as_fuse_does(bench):
    expected = Fuser(bench.backbone, weighting="static")(list(bench.pair.sources)).image
    assert np.abs(bench.image("static").astype(int) - expected).max() <= 1


def test_losses_against_the_fused_image(bench):
    options = replace(PAPER, loss="l1", scale=5.0, component="alone", space="image", form="exp", smoothing=0.0)
    got = np.asarray(bench.losses(Candidate(options, "fused")))
    np.testing.assert_allclose(
        np.asarray(bench.losses(Candidate(replace(options, component="fused"), "fused"))), 0, atol=1e-4
    )
    model, variables = bench.backbone.model, bench.backbone.variables
    features = model.encode(variables, jnp.asarray(bench.pair.sources[..., None], jnp.float32) / 255)
    by_hand = np.abs(model.decode(variables, features[0]) - model.decode(variables, features[0] + features[1])).mean(-1)
    np.testing.assert_allclose(got[0], by_hand, rtol=1e-4, atol=1e-4)


def test_controls_prefer_brightness_and_detail():
    grey = np.full((2, 40, 40), 0.5, np.float32)
    grey[0] += 0.2
    np.testing.assert_allclose(control_weights(grey, detail=False)[0], 1 / (1 + np.exp(-0.1)), rtol=1e-5)
    textured = np.full((2, 40, 40), 0.5, np.float32)
    textured[1, ::2] = 0.7
    textured[1, 1::2] = 0.3
    assert (control_weights(textured, detail=True)[1] > 0.5).mean() > 0.5
    np.testing.assert_allclose(control_weights(textured, detail=True).sum(axis=0), 1, rtol=1e-6)


def table(**gains):
    return {(task, name): 1 + gains.get(task, 0.0) for task, measures in CELLS.items() for name in measures}


def test_comparison_counts_cells_and_averages_gains():
    static = table()
    assert compare(table(focus=0.01, medical=0.01), static, CELLS) == (8, pytest.approx(0.5))
    assert compare(table(focus=0.5), static, ["focus"]) == (4, pytest.approx(50))
    assert compare(static, static, CELLS) == (0, 0)


def pairs_scored(offset, spread, **exceptions):
    """Scores of eight pairs in every cell: the static ones, a gain, and how it varies from pair to pair."""
    wobble = spread * np.array([-1, 1] * 4)
    return {
        (task, name): list(np.arange(8.0) + exceptions.get(name, offset) + wobble)
        for task, measures in CELLS.items()
        for name in measures
    }


def test_ranking_is_by_the_cell_that_is_least_sure():
    static, sure, large = pairs_scored(0, 0), pairs_scored(0.2, 0.1), pairs_scored(5.0, 0.1, SCD=0.05)
    gains = np.subtract(sure["medical", "VIF"], static["medical", "VIF"])
    assert sureness(sure, static, CELLS) == pytest.approx(ttest_1samp(gains, 0).statistic, rel=1e-6)
    a, b = Candidate(LossWeighting(scale=1.0)), Candidate(LossWeighting(scale=2.0))
    found = {"static": static, a: sure, b: large}
    assert best(found, CELLS, 2) == [a, b]
    assert best(found, ["focus"], 1) == [b]  # no SCD among its cells
    assert sureness(pairs_scored(1.0, 0.1, VIF=-0.3), static, ["medical"]) < 0


def test_neighbours_differ_in_one_option():
    for candidate in candidates():
        options = asdict(candidate.weighting)
        for near in neighbours(candidate):
            changed = {name for name, value in asdict(near.weighting).items() if value != options[name]}
            assert changed in ({"scale"}, {"smoothing"})
            assert near.target == candidate.target


def test_the_grid_holds_complete_weightings_once_each():
    grid = candidates()
    assert len(set(grid)) == len(grid)
    assert all(value is not None for candidate in grid for value in asdict(candidate.weighting).values())
    assert {candidate.target for candidate in grid} == {"source", "fused"}


def test_tables_hold_what_they_are_given(capsys):
    static, better = table(), table(medical=0.25)
    for scores in (static, better):
        scores |= {(task, name): 0.0 for task in CELLS for name in ("SD", "AG", "SF")}
    rows = {task: {"static": static, "`x`": better} for task in CELLS}
    print_tables("held out", rows, static, [static, better])
    printed = capsys.readouterr().out
    assert "| `x` | 4 of 4 | 4 and 0 | +25.00 | 1.2500 |" in printed
    for block in printed.strip().split("\n\n"):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_what_differs_from_the_paper_is_named():
    assert describe(Candidate(PAPER)) == "as printed"
    assert describe(Candidate(LossWeighting(scale=50.0).complete(PAPER), "fused")) == "scale 50.0, target fused"


def test_baselines_are_static_and_two_controls():
    assert BASELINES[0] == "static" and len(BASELINES) == 3
