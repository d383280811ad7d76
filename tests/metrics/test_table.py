"""The table of metrics: complete, consistent with the functions, and as documented."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from ttd_jax import metrics
from ttd_jax.errors import InputError
from ttd_jax.metrics import CONVENTIONS, METRICS

DOCS = Path(__file__).parents[2] / "docs"


def call(metric, images, variant):
    fused, sources = images
    arguments = (fused, sources) if metric.needs_sources else (fused,)
    return metric.function(*arguments, variant=variant)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_facts_agree_with_the_function(metric, fused, sources):
    signature = inspect.signature(metric.function)
    assert ("sources" in signature.parameters) == metric.needs_sources
    assert signature.parameters["variant"].default == metric.conventions["standard"]
    assert set(metric.conventions) <= set(CONVENTIONS)
    assert set(metric.conventions.values()) <= set(metric.variants)
    assert list(get_args(signature.parameters["variant"].annotation)) == list(metric.variants)
    assert metric.function is getattr(metrics, metric.function.__name__)
    with pytest.raises(InputError, match=r"has the variants .*; got 'nonsense'") as caught:
        call(metric, (fused, sources), "nonsense")
    assert ", ".join(metric.variants) in str(caught.value)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_docstrings_explain_every_variant(metric):
    text = inspect.getdoc(metric.function)
    first = text.splitlines()[0]
    assert f"({metric.name})" in first or f"{metric.name} " in first
    assert f"{metric.direction} is better" in first
    for variant in metric.variants:
        assert f'``"{variant}"``' in text, variant


def test_conventions_hold_what_their_toolkits_have():
    held = {c: {m.name for m in METRICS.values() if c in m.conventions} for c in CONVENTIONS}
    assert held["standard"] == set(METRICS)
    assert held["ttd"] == {"EN", "SD", "AG", "EI", "SF", "SCD", "CE", "SSIM"}
    assert held["cddfuse"] == {
        "EN", "SD", "SF", "AG", "MI", "MSE", "CC", "PSNR", "SCD", "VIF", "Qabf", "SSIM",
    }  # fmt: skip
    assert len(held["vifb"]) == 13
    assert "Qabf" not in held["tang-published"]  # its published values could not be recomputed


def test_documentation_lists_every_variant_and_convention():
    rows = {}
    for line in (DOCS / "studies" / "metrics.md").read_text().splitlines():
        if found := re.match(r"\| `([\w-]+)/([\w-]+)` \|", line):
            rows.setdefault(found[1], []).append(found[2])
    assert {name: sorted(variants) for name, variants in rows.items()} == {
        name: sorted(metric.variants) for name, metric in METRICS.items()
    }
    text = (DOCS / "reference" / "metrics.md").read_text()
    for convention in CONVENTIONS:
        assert f"`{convention}`" in text


def test_importing_the_metrics_loads_no_network_library_and_no_reader():
    code = "import sys, ttd_jax.metrics; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("flax", "orbax", "imageio", "PIL", "tifffile"):
        assert f"'{name}'" not in loaded
