"""What is shipped: versions that agree, packages and bounds that are declared, documents whose links lead somewhere."""

import re
import runpy
import tomllib
from functools import cache
from pathlib import Path

import pytest

import convert
import ttd_jax

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = sorted(
    [*ROOT.glob("*.md"), *(path for part in ("docs", "benchmarks", "studies") for path in (ROOT / part).rglob("*.md"))]
)


def folders_with_code(root: Path, name: str) -> set[str]:
    """Import names of a package and all below it, the package itself called ``name``."""
    return {".".join([name, *path.parent.relative_to(root).parts]) for path in root.rglob("__init__.py")}


def test_every_package_is_in_the_wheel():
    declared = set(PROJECT["tool"]["setuptools"]["packages"])
    own = folders_with_code(Path(ttd_jax.__file__).parent, "ttd_jax")
    own.add("ttd_jax.serve.examples")  # pictures: no modules of a package
    assert declared == own | folders_with_code(Path(convert.__file__).parent, "ttd_jax_convert")


def test_one_version_everywhere():
    assert f"\nversion: {ttd_jax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == ttd_jax.__version__


def test_every_requirement_has_a_lower_bound_that_ci_installs(tmp_path):
    lower_bounds = runpy.run_path(str(ROOT / ".ci" / "lower_bounds.py"))["lower_bounds"]
    bounds = lower_bounds(ROOT / "pyproject.toml", ["test"])
    assert len(bounds) == len(PROJECT["project"]["dependencies"]) + len(
        PROJECT["project"]["optional-dependencies"]["test"]
    )
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\noptional-dependencies = {}\n')
    with pytest.raises(ValueError, match="a requirement is written name>=version; got 'numpy'"):
        lower_bounds(tmp_path / "pyproject.toml", [])


@cache
def anchors(path: Path) -> set[str]:
    """What the headings of a page are called in a link, as the usual renderers of Markdown have it."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Links of a page to files, or to headings, that do not exist."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


def test_links_lead_somewhere(tmp_path):
    assert len(PAGES) > 10
    assert {page.name: broken for page in PAGES if (broken := broken_links(page))} == {}
    page = tmp_path / "page.md"
    page.write_text("# A page\n[here](#a-page) [there](none.md) [below](#nothing) [web](https://example.org)\n")
    assert broken_links(page) == ["none.md", "#nothing"]
