"""What the site is made of: a page for everything public, links that leave docs, notebooks, and a menu of it all."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

import ttd_jax

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_site"))
pages = importlib.import_module("pages")
sys.path.remove(str(ROOT / "docs" / "_site"))


def test_every_exported_name_has_a_page():
    documented = pages.documented()
    for name in ttd_jax.__all__:
        if name != "__version__":
            home = ttd_jax._HOME[name]
            assert f"{home}.{name}" in documented[home]


def test_the_menu_has_every_module_and_every_page():
    def targets(entries):
        for entry in entries:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else targets(value)

    names = list(pages.documented())
    assert sorted(targets(pages.api_nav(names))) == sorted(map(pages.api_path, names))
    menu = set(re.findall(r"[\w/.]+\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert written <= menu
    assert {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")} <= menu


def test_the_index_says_what_each_exported_name_is():
    index = pages.api_index(ttd_jax._HOME)
    assert "| [`fuse`](ttd_jax/api.md#ttd_jax.api.fuse) | " in index
    assert not re.search(r"\|  \|$", index, re.MULTILINE)


def test_public_names_of_a_module(tmp_path):
    module = tmp_path / "module.py"
    module.write_text('def said():\n    """Said."""\ndef unsaid(): ...\ndef _own():\n    """Own."""\n')
    assert list(pages.public("module", module)) == ["module.said"]


@pytest.mark.parametrize(
    ("page", "at", "text", "expected"),
    [
        ("README.md", "index.md", "[a](docs/theory.md#what-holds)", "[a](theory.md#what-holds)"),
        ("README.md", "index.md", "[a](CHANGELOG.md) [b](https://e.org/x)", "[a](changelog.md) [b](https://e.org/x)"),
        ("README.md", "index.md", "[a](notebooks/01_quickstart.ipynb)", "[a](notebooks/01_quickstart.md)"),
        ("docs/studies/cells.md", "studies/cells.md", "[a](../../studies/cells.py)", "[a](../files/studies/cells.py)"),
        ("docs/studies/cells.md", "studies/cells.md", "[a](../bands.md)", "[a](../bands.md)"),
        ("docs/bands.md", "bands.md", "[a](../examples)", "a"),
        ("docs/bands.md", "bands.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/bands.md", "bands.md", "[a](#here)", "[a](#here)"),
    ],
)
def test_links_lead_to_where_files_lie_in_the_site(page, at, text, expected):
    assert pages.relinked(text, ROOT / page, at) == expected


def test_docstrings_become_markdown():
    known = {"ttd_jax.core.fusion.fuse"}
    assert pages.unrolled(r"of :math:`\sum_k p_k`", known) == r"of $\sum_k p_k$"
    assert pages.unrolled(":func:`~ttd_jax.core.fusion.fuse`", known) == "[`fuse`][ttd_jax.core.fusion.fuse]"
    assert pages.unrolled(":func:`jax.vmap`", known) == "`jax.vmap`"
    assert pages.unrolled("Of it.\n\nExample:\n    >>> 1\n    1", known) == "Of it.\n\nExamples:\n    >>> 1\n    1"


def test_what_a_page_would_fetch_is_found():
    html = '<a href="https://e.org"><img src="x.png"><script src="https://e.org/a.js"></script>'
    assert pages.fetched(html + '<link rel="stylesheet" href="https://e.org/b.css">') == [
        "https://e.org/a.js",
        "https://e.org/b.css",
    ]
    assert pages.fetched('<a href="https://e.org"><img src="x.png"><link rel="stylesheet" href="a.css">') == []


def test_a_notebook_becomes_a_page(tmp_path):
    shown = {"output_type": "display_data", "data": {"image/jpeg": "QUJD"}}
    said = {"output_type": "stream", "name": "stdout", "text": ["4 pairs\n"]}
    badge = "[![Open](https://e.org/badge.svg)](https://e.org/open) In words."
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", badge]},
        {"cell_type": "code", "source": ["show()"], "outputs": [shown, said]},
    ]
    path = tmp_path / "07_new.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    page, figures = pages.notebook_page(path)
    assert figures == {"07_new_0.jpg": b"ABC"}
    assert page.startswith(
        "# Title\n\nIn words.\n\n```python\nshow()\n```\n\n![what the cell above shows](07_new_0.jpg)"
    )
    assert "```text\n4 pairs\n```" in page
