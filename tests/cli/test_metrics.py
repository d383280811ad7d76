"""``ttd-jax metrics``: what each metric is."""

import re

import pytest

from ttd_jax.metrics import CONVENTIONS, METRICS


def test_metrics_lists_everything(ttd_jax):
    done = ttd_jax("metrics")
    assert (done.code, done.err) == (0, "")
    words = {line.split()[0] for line in done.out.splitlines() if line.startswith("  ")}
    assert words == {*METRICS, *CONVENTIONS}
    assert re.search(r"^  CE +↓ cross entropy", done.out, re.MULTILINE)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_explains_each(ttd_jax, name):
    out = ttd_jax("metrics", name.lower()).out
    metric = METRICS[name]
    assert out.startswith(f"{name} {metric.arrow} {metric.full_name}: {metric.direction} is better")
    assert metric.source in out
    for variant, meaning in metric.variants.items():
        (line,) = (line for line in out.splitlines() if line.startswith(f"  {name}/{variant} "))
        assert meaning in line
        used = {convention for convention, wanted in metric.conventions.items() if wanted == variant}
        assert set(re.findall(r"[a-z-]+", line.partition(meaning)[2])) == used


def test_metrics_of_an_unknown_name(ttd_jax):
    done = ttd_jax("metrics", "Q")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"ttd-jax: error: metrics are {', '.join(METRICS)}; got 'Q'\n"
