"""The guard against going back: what counts as slower, and that a change is seen where there is one."""

import numpy as np
import pytest

from benchmarks.compare import judged, told
from benchmarks.compare_cases import CASES, watch
from ttd_jax import Fuser
from ttd_jax.engine import programs


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.10, 1.09, 1.12], "slower"),
        ([1.04, 1.05, 1.03], ""),
        ([0.7, 1.06, 1.5, 0.8, 1.4], ""),  # the median alone says little
        ([0.80, 0.82, 0.81], "faster"),
        ([1.2], "slower"),
    ],
)
def test_slower_is_what_is_so_in_most_runs(ratios, verdict):
    assert judged(ratios)[0] == verdict


def test_stored_figures_tell_what_became_slower_failed_or_is_new(capsys):
    stored = {"a": 2.0, "b": 2.0, "c": 1.0}
    assert told(["a", "b", "c", "d"], stored, {"a": 2.2, "b": 2.05, "d": 1.0}) == 1
    printed = capsys.readouterr().out
    assert "failing: c, a" in printed and "new" in printed
    assert told(["a"], stored, {"a": 2.0}) == 0


def test_a_case_measures_its_own_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CASES["convolution"].prepare(8, 8)() is None


def test_programs_and_their_memory_are_counted(monkeypatch):
    monkeypatch.setattr(programs, "check_memory", programs.check_memory)  # put back at the end
    counted = []
    monkeypatch.setattr("jax.monitoring.register_event_duration_secs_listener", counted.append)
    seen = watch()
    fuser = Fuser("pyramid", weighting="static")
    for _ in range(2):
        fuser([np.zeros((40, 48)), np.ones((40, 48))])
    assert seen["between"] > 0
    for event in ("/jax/core/compile/backend_compile_duration", "/jax/core/compile/jaxpr_trace_duration"):
        counted[0](event, 0.1)
    assert seen["programs"] == 1
