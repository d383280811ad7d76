"""Every notebook runs from top to bottom, needs nothing but what it says, and is committed without outputs."""

import ast
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OTHERS = {"jax", "matplotlib", "numpy", "skimage"}
MORE = {"06_tables": {"studies"}}  # runs on data that are not in the repository, and says what is missing


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param, nbformat.read(request.param, as_version=4)


def test_it_is_committed_without_outputs(notebook):
    _, content = notebook
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(content))


def test_it_begins_with_what_the_reader_will_see(notebook):
    _, content = notebook
    first = content.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ") and "You will see" in first.source


def test_it_imports_the_package_and_little_else(notebook):
    path, content = notebook
    lines = [line for cell in code_cells(content) for line in cell.source.splitlines() if not line.startswith("%")]
    found = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert "ttd_jax" in found
    assert found - {"ttd_jax"} <= OTHERS | sys.stdlib_module_names | MORE.get(path.stem, set())


def test_it_runs(notebook, monkeypatch):
    path, content = notebook
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures go into the notebook
    client = NotebookClient(content, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.execute()  # a failing cell raises, and shows its source and traceback
    outputs = [output for cell in code_cells(content) for output in cell.outputs]
    assert any(output.output_type in ("stream", "display_data", "execute_result") for output in outputs)
