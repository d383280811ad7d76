"""What the site shows beside the pages in ``docs``: API pages, and files that pages link to outside that folder.

Plain functions of text and paths, without MkDocs, so that tests need none.
"""

import ast
import base64
import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("ttd_jax", "convert")
LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
BADGE = re.compile(r"\[!\[[^\]]*\]\(https:[^)]*\)\]\([^)]*\) ?")  # a picture that would be fetched from elsewhere
ROLE = re.compile(r":([a-z]+):`~?([^`]+)`")


def modules() -> dict[str, Path]:
    """Public modules of the package and of the converter by import name, packages before what is in them."""
    found = {}
    for package in PACKAGES:
        spec = find_spec(package)  # in the checkout, or where it is installed
        folder = (
            Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else ROOT / package
        )
        for path in folder.rglob("*.py"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            if not any(part.startswith("_") and part != "__init__" for part in parts):
                found[".".join(parts).removesuffix(".__init__")] = path
    return dict(sorted(found.items()))


def public(name: str, path: Path) -> Iterator[str]:
    """Full names of the public functions, classes and methods of a module that have a docstring."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if ast.get_docstring(node):
                    yield f"{prefix}.{node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f"{prefix}.{node.name}")

    return walk(ast.parse(path.read_text()).body, name)


def documented() -> dict[str, list[str]]:
    """Public names by module, for the modules that define any."""
    found = {name: list(public(name, path)) for name, path in modules().items()}
    return {name: names for name, names in found.items() if names}


def api_page(module: str) -> str:
    """The page of one module."""
    return (
        f"# {module}\n\n::: {module}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
    )


def api_index(homes: dict[str, str]) -> str:
    """The page of what the package exports, from names to the modules they are defined in."""
    lines = ["# ttd_jax", "", "What `import ttd_jax` offers; everything else is by module, in the navigation.", ""]
    lines += ["| name | what it is |", "|---|---|"]
    for name, home in sorted(homes.items()):
        lines.append(f"| [`{name}`]({api_path(home)[4:]}#{home}.{name}) | {summary(home, name)} |")
    return "\n".join(lines) + "\n"


def summary(module: str, name: str) -> str:
    """The first sentence of a definition's docstring, as Markdown in a table."""
    body = ast.parse(modules()[module].read_text()).body
    node = next(node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name)
    return unrolled((ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " "), set()).replace("|", "\\|")


def api_path(module: str) -> str:
    """Where the page of a module lies."""
    return f"api/{module.replace('.', '/')}.md"


def api_nav(names: list[str]) -> list[dict]:
    """Navigation: the modules of the package itself, then a section for each package in it, and the converter's."""
    sections: dict[str, list] = {}
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    for name in names:
        root, *inner = name.split(".")
        package = "converter"
        if root == "ttd_jax":
            package = inner[0] if f"{root}.{inner[0]}" in packages else root
        sections.setdefault(package, []).append({inner[-1]: api_path(name)})
    first = sections.pop("ttd_jax")
    return [*first, *({package: pages} for package, pages in sorted(sections.items()))]


def linked(page: Path, text: str) -> dict[str, Path]:
    """Targets of a page's links that are files of the project outside ``docs``, by how they are written."""
    found = {}
    for _, target, _ in LINK.findall(text):
        path = Path(os.path.normpath(page.parent / target))
        if not re.match(r"[a-z]+:", target) and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS):
            found[target] = path
    return found


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook with its stored outputs as Markdown, and its figures by the name the page gives them."""
    parts: list[str] = []
    figures: dict[str, bytes] = {}
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(BADGE.sub("", source))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/jpeg" in data:
                name = f"{path.stem}_{len(figures)}.jpg"
                figures[name] = base64.b64decode(data["image/jpeg"])
                parts.append(f"![what the cell above shows]({name})")
            elif text := "".join(data.get("text/plain", "")).rstrip():
                parts.append(f"```text\n{text}\n```")
    parts.append(f"[The notebook itself](../files/notebooks/{path.name})")
    return "\n\n".join(parts) + "\n", figures


def fetched(html: str) -> list[str]:
    """What a page loads from elsewhere: pictures, scripts, styles and fonts, not what it links to."""
    return re.findall(r'(?:\bsrc|<link rel="(?:stylesheet|preconnect)" href)="(https?:[^"]*)"', html)


def in_site(path: Path) -> str:
    """Where a file of the project lies in the site: a page of ``docs`` as it is, any other under ``files``."""
    if path.suffix == ".ipynb":
        return f"notebooks/{path.stem}.md"
    special = {ROOT / "README.md": "index.md", ROOT / "CHANGELOG.md": "changelog.md"}
    if path in special:
        return special[path]
    return str(path.relative_to(DOCS)) if path.is_relative_to(DOCS) else f"files/{path.relative_to(ROOT)}"


def relinked(text: str, page: Path, at: str) -> str:
    """The text of a page of the project, with its links as they lead from ``at`` in the site.

    A link to a folder is its text alone.
    """

    def write(match: re.Match[str]) -> str:
        target = match[2]
        path = Path(os.path.normpath(page.parent / target))
        if re.match(r"[a-z]+:", target) or not path.is_relative_to(ROOT):
            return match[0]
        return match[1] + os.path.relpath(in_site(path), os.path.dirname(at) or ".") + match[3]

    text = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", lambda m: m[1] if (page.parent / m[2]).is_dir() else m[0], text)
    return LINK.sub(write, text)


def unrolled(text: str, known: set[str]) -> str:
    """A docstring's roles as Markdown: formulas between dollars, names as code, linked where they have an entry."""

    def write(match: re.Match[str]) -> str:
        role, target = match[1], match[2]
        if role == "math":
            return f"${target}$"
        short = f"`{target.rpartition('.')[2]}`" if match[0].startswith(f":{role}:`~") else f"`{target}`"
        return f"[{short}][{target}]" if target in known else short

    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)  # what the site's reader of docstrings knows
    return ROLE.sub(write, text)
