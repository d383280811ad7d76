"""Scores by cell: damages, halves, what is measured against what, what is remembered."""

import io

import numpy as np
import pytest
from PIL import Image

from studies import scoring
from studies.cells import best_rule, print_pairwise, print_robust
from studies.damage import DAMAGES, damaged
from studies.measures import CELLS, score
from studies.methods import named_method
from studies.pairs import Pair, known_focus_pairs, load_half, load_pairs
from studies.scoring import peer_scores, score_cells, score_pairs, won
from ttd_jax import LossWeighting, fuse

RNG = np.random.default_rng(0)
PAIRS = known_focus_pairs(96)
SOURCES = PAIRS[0].sources


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_changes_one_source_and_is_repeatable(kind):
    for which in (0, 1):
        once = damaged(SOURCES, kind, which)
        assert once.dtype == np.uint8 and once.shape == SOURCES.shape
        assert (once[1 - which] == SOURCES[1 - which]).all() and (once[which] != SOURCES[which]).any()
        assert (once == damaged(SOURCES, kind, which)).all()


def test_damages_are_what_they_are_called():
    flat = np.full((2, 120, 120), 128, np.uint8)
    assert abs(np.std(damaged(flat, "noise", 0)[0]) - 20) < 1
    struck = damaged(flat, "impulses", 0)[0]
    assert set(np.unique(struck)) == {0, 128, 255} and abs((struck != 128).mean() - 0.05) < 0.01
    hidden = damaged(flat, "box", 0)[0]
    assert (hidden[40:80, 40:80] == 0).all() and (hidden == 0).sum() == 1600
    file = io.BytesIO()
    Image.fromarray(SOURCES[1]).save(file, "JPEG", quality=8)
    assert (damaged(SOURCES, "jpeg", 1)[1] == np.asarray(Image.open(file))).all()
    assert damaged(SOURCES, "defocus", 0)[0].std() < SOURCES[0].std()


def test_truth_is_what_focus_is_measured_against():
    found = score("truth", PAIRS[0], PAIRS[0].truth)
    assert found == {("focus", "PSNR"): np.inf, ("focus", "SSIM truth"): 1.0}


def test_damaged_sources_are_fused_and_clean_ones_measured_against():
    seen = []

    def first(sources):
        seen.append(sources)
        return sources[0]

    pair = Pair("own", SOURCES)
    clean = score_pairs(lambda sources: SOURCES[0], {"infrared": [pair]})
    found = score_pairs(first, {"infrared": [pair, pair]}, "noise")
    assert [(sources[m] != SOURCES[m]).any() for sources in seen for m in (0, 1)] == [True, False, False, True]
    assert found["infrared", "SSIM"] < clean["infrared", "SSIM"]  # the first of the two images was noisy
    assert np.isnan(clean["infrared", "SCD"])  # one of its differences is 0 everywhere, for a copy of a source


def test_cells_won():
    ours = {("focus", "PSNR"): 3.0, ("focus", "VIF"): 1.0, ("exposure", "VIF"): np.nan, ("focus", "SD"): 9.0}
    peer = {("focus", "PSNR"): 2.0, ("focus", "VIF"): 1.0, ("exposure", "VIF"): 0.5, ("focus", "SD"): 1.0}
    assert won(ours, peer) == (1, 3) and won(ours, peer, ties=True) == (2, 3) and won(peer, ours) == (1, 3)
    assert won(ours, peer, "focus") == (1, 2) and won(ours, peer, "medical") == (0, 0)


def scores(value):
    return {(task, name): value for task, names in CELLS.items() for name in names}


def test_printed_counts(capsys):
    ours = scores(1.0) | {("focus", "VIF"): 0.0, ("focus", "Qabf"): 0.0}
    print_pairwise({"ours": ours, "weak": scores(0.5), "strong": scores(2.0)})
    printed = capsys.readouterr().out
    assert "| weak | 4 | 4 | 2 | 4 | 14 of 16 | 3 of 4 |" in printed
    assert "| strong | 0 | 0 | 0 | 0 | 0 of 16 | 0 of 4 |" in printed
    assert "better in 14 of 32 cells, and best of all 3 methods in 0" in printed
    robust = {(kind, *cell): value for kind in DAMAGES for cell, value in ours.items()}
    print_robust({"ours": robust, "weak": {(kind, *c): 0.5 for kind in DAMAGES for c in ours}})
    assert "14 of 16 | 42 of 48 | 70 of 80 |" in capsys.readouterr().out


def test_best_rule_is_chosen_by_task():
    one, other = scores(1.0), scores(0.5) | {("medical", name): 2.0 for name in CELLS["medical"][1:]}
    best = best_rule({"one": one, "other": other})
    assert best["medical", "VIF"] == 0.5 and best["medical", "SSIM"] == 2.0 and best["focus", "VIF"] == 1.0


def test_scores_are_remembered_until_the_code_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "temporary_folder", lambda: tmp_path / "kept")
    monkeypatch.setattr(scoring, "keep_programs", lambda: None)
    code = tmp_path / "code.py"
    code.write_text("one")
    calls = []
    method = scoring.Method("mine", lambda sources: calls.append(1) or sources[0], [code])
    settings = dict(half="both", limit=1, data=tmp_path, size=64)  # no files: photographs with a known truth only
    first = peer_scores(method, **settings)
    assert len(calls) == 1 and first == score_cells(lambda sources: sources[0], **settings)
    assert peer_scores(method, **settings) == first and len(calls) == 1
    code.write_text("two")
    assert peer_scores(method, **settings) == first and len(calls) == 2
    assert peer_scores(method, robust=True, **settings).keys() == {(kind, *cell) for kind in DAMAGES for cell in first}


def test_methods_by_name():
    named = named_method("fuse scale=0 form=log")
    expected = fuse(list(SOURCES), weighting=LossWeighting(scale=0, form="log")).image
    assert (named.fuse(list(SOURCES)) == expected).all()
    assert (named_method("copy second").fuse(list(SOURCES)) == SOURCES[1]).all()
    with pytest.raises(ValueError, match=r"methods are pyramid, .*; got 'pyramids'"):
        named_method("pyramids")


@pytest.mark.shared_data
def test_halves_share_no_image_and_leave_nothing_out(shared_data):
    halves = [load_half(shared_data, half, 64) for half in ("choose", "report")]
    everything = load_pairs(shared_data, 64)
    for task, members in everything.items():
        one, other = ({pair.sources.tobytes() for pair in half[task]} for half in halves)
        assert not one & other
        assert len(halves[0][task]) + len(halves[1][task]) == len(members)
        assert abs(len(halves[0][task]) - len(halves[1][task])) < 3
    larger = load_half(shared_data, "choose", 80)
    assert [[pair.name for pair in larger[t]] for t in larger] == [[pair.name for pair in halves[0][t]] for t in larger]
    with pytest.raises(ValueError, match="halves are choose, report and both; got 'test'"):
        load_half(shared_data, "test")
