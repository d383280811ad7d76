"""The code in the guides runs as printed."""

import re
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"


def test_bring_your_own_backbone():
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "bring_your_own_backbone.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    result, sources = names["result"], np.stack(names["sources"])
    assert result.report["backbone"] == "two-scales"
    np.testing.assert_array_equal(result.weights > 0, True)
    assert result.image.std() < sources.std(axis=(1, 2)).min()  # three kinds of noise are averaged
