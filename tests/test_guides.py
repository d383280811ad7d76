"""The code in the guides runs as printed."""

import re
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"


def run(guide: str) -> dict:
    """The names that a guide's code leaves behind."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / guide).read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names


def test_your_own_weighting():
    names = run("your_own_weighting.md")
    assert names["result"].weights.shape == (2, 40, 50)


def test_bring_your_own_backbone():
    names = run("bring_your_own_backbone.md")
    result, sources = names["result"], np.stack(names["sources"])
    assert result.report["backbone"] == "two-scales"
    np.testing.assert_array_equal(result.weights > 0, True)
    assert result.image.std() < sources.std(axis=(1, 2)).min()  # three kinds of noise are averaged
