"""The study of networks that reconstruct: what it prints of a network whose components are known."""

import numpy as np
import pytest

from studies import reconstruction
from studies.cells import methods
from studies.damage import COUNTED
from studies.networks import files_in, network_methods, print_networks
from studies.pairs import Pair
from studies.reconstruction import Row, cells_won, facts, judge, peers, print_cells, print_facts, print_shares, study
from tests import analytic
from ttd_jax import Fuser, LossWeighting

RNG = np.random.default_rng(0)
PAIRS = [Pair(str(i), RNG.integers(20, 230, (2, 48, 48), dtype=np.uint8)) for i in range(2)]


@pytest.fixture(autouse=True)
def quick_measures(monkeypatch):
    """Two cells that cost nothing."""
    found = {("infrared", "VIF"): 1.0, ("infrared", "SSIM"): 0.0}
    monkeypatch.setitem(reconstruction.CELLS, "infrared", ("VIF", "SSIM"))
    monkeypatch.setattr(
        reconstruction,
        "score",
        lambda task, pair, fused: found | {("infrared", "SSIM"): -float(np.abs(fused - pair.sources[0] / 1.0).mean())},
    )


def test_facts_of_a_known_network():
    found = facts(analytic.backbone(), PAIRS)
    assert {"PSNR", "brightness", "gradient", "loss", "loss in box", *COUNTED} <= found.keys()
    assert found["loss"] >= 0 and -1 <= found["brightness"] <= 1


def test_rows_and_tables(capsys, monkeypatch):
    monkeypatch.setattr(reconstruction, "WEIGHTINGS", {"paper": LossWeighting("l1", scale=5.0, form="linear")})
    monkeypatch.setattr(reconstruction, "fused_by_control", lambda backbone, detail: lambda sources: sources[0])
    found = print_cells("known", "infrared", study(analytic.backbone(), PAIRS, "infrared", ["paper"]))
    assert list(found) == ["static", "paper", "control: brightness", "control: brightness, detail"]
    assert found["paper"].clean.shape == (2, 2) and np.isfinite(found["paper"].theory).all()
    assert np.isnan(found["static"].theory).all() and set(found["paper"].shares) == set(COUNTED)
    assert cells_won(found["control: brightness"], found["static"])[0] == 1  # a copy of the first source
    print_facts({"known": facts(analytic.backbone(), PAIRS)})
    print_shares("known", found)
    printed = capsys.readouterr().out
    assert "| known, infrared | VIF | SSIM | better, of 4 | damaged, of 12 |" in printed
    assert printed.count("\n| paper |") == 2 and "nan" not in printed


def test_shares_are_of_the_damaged_source(monkeypatch):
    seen = []

    def fused(fuser, sources, explain):
        seen.append(sources)
        weights = np.full(sources.shape, 0.5)
        weights[sources == 0] = 0.1
        return sources[0], weights, [np.nan] * 3

    monkeypatch.setattr(reconstruction, "_fused", fused)
    row = judge(Fuser(analytic.backbone(), weighting="loss"), PAIRS, "infrared")
    np.testing.assert_allclose(row.shares["box"], 0.2)
    assert [np.any(seen[4 * i + 1][m] != PAIRS[i].sources[m]) for i in (0, 1) for m in (0, 1)] == [1, 0, 0, 1]


def test_peers_are_compared_with_doing_nothing(capsys, monkeypatch):
    monkeypatch.setattr(reconstruction, "PEERS", {"average": "average", "first": "copy first"})
    found = print_cells("without them", "infrared", peers(PAIRS, "infrared"))
    assert cells_won(found["first"], found["average"]) == (1, 3)  # by the measure above a copy is better
    *_, average, first = capsys.readouterr().out.splitlines()
    assert average.startswith("| average | 1.000 |") and average.count(" | | ") and "| 1 | 3 |" in first


def test_won_counts_means():
    def row(*values):
        clean = np.array([values])
        return Row(clean, {kind: clean for kind in COUNTED}, np.zeros((1, 3)), {})

    assert cells_won(row(1.0, 2.0), row(0.5, 2.0)) == (1, 3)


def test_networks_beside_ours(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("studies.networks.SIDE", 24)
    assert list(network_methods([checkpoint])) == ["ifcnn, static", "ifcnn"]
    assert {"ours", "ifcnn, static", "ifcnn"} <= set(methods("pyramid", networks=[checkpoint]))
    print_networks([checkpoint])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("| ifcnn (mean) | in the package | none | 83,587 | 0.")
    assert files_in({"files": [{"file": "a"}, {"file": "b"}]}) == ["a", "b"] and files_in({"file": "c"}) == ["c"]
