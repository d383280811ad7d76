"""Hooks of MkDocs: pages that are made while the site is built, and the check that nothing public is left out."""

import sys
import zlib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))
import pages

import ttd_jax

try:
    from mathml import MathML
except ImportError as error:
    raise PluginError(f"{error.name} is missing: pip install '.[docs]'") from None

FIRST = 100


@event_priority(FIRST)
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds formulas, docstrings' roles and the navigation of the API."""
    config.markdown_extensions.append(MathML())  # type: ignore[arg-type]
    handlers = config.plugins["mkdocstrings"].config.handlers
    options = handlers.setdefault("python", {}).setdefault("options", {})
    options["extensions"] = [str(Path(__file__).parent / "docstrings.py")]
    for section in config.nav or []:
        if "API" in section:
            section["API"] += pages.api_nav(list(pages.documented()))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the README as the first page, the changelog, API pages, and what pages link to outside ``docs``."""
    written = {"index.md": pages.ROOT / "README.md", "changelog.md": pages.ROOT / "CHANGELOG.md"}
    outside = {}
    for page in [*written.values(), *(Path(str(f.abs_src_path)) for f in files.documentation_pages())]:
        outside |= {path: None for path in pages.linked(page, page.read_text()).values() if path.is_file()}
    for path in sorted((pages.ROOT / "notebooks").glob("*.ipynb")):
        text, figures = pages.notebook_page(path)
        files.append(File.generated(config, pages.in_site(path), content=text))
        files.append(File.generated(config, f"files/notebooks/{path.name}", abs_src_path=str(path)))
        for name, figure in figures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=figure))
    for path in outside:
        at = pages.in_site(path)
        if at not in written and path.suffix != ".ipynb":
            if path.suffix == ".md":
                written[at] = path
            else:
                files.append(File.generated(config, at, abs_src_path=str(path)))
    for at, path in written.items():
        wide = "---\nhide: [navigation, toc]\n---\n\n" if at == "index.md" else ""
        files.append(File.generated(config, at, content=wide + pages.relinked(path.read_text(), path, at)))
    files.append(File.generated(config, "api/index.md", content=pages.api_index(ttd_jax._HOME)))
    for module in pages.documented():
        files.append(File.generated(config, pages.api_path(module), content=pages.api_page(module)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links out of ``docs`` to their copies."""
    if page.file.generated_by:
        return markdown
    return pages.relinked(markdown, Path(str(page.file.abs_src_path)), page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Checks that every public name has an entry, and that no page loads anything from elsewhere.

    Raises:
        PluginError: Some have none, or do.
    """
    for page in Path(config.site_dir).rglob("*.html"):
        if found := pages.fetched(page.read_text()):
            raise PluginError(f"{page.name} loads {', '.join(found)}: keep pictures and scripts in the project")
    inventory = (Path(config.site_dir) / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    wanted = {name for names in pages.documented().values() for name in names}
    if missing := sorted(wanted - entries):
        raise PluginError(f"public, with a docstring, and without an entry in the site: {', '.join(missing)}")
