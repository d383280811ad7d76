"""Every notebook runs from top to bottom, needs nothing but what it says, and is stored with what running it shows."""

import ast
import base64
import io
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from notebooks.store import LARGEST, as_jpeg, code_cells, differences, executed, notebooks, process

ROOT = Path(__file__).parents[1]
NOTEBOOKS = notebooks()
OTHERS = {"jax", "matplotlib", "numpy", "skimage"}
MORE = {"06_tables": {"studies"}}  # runs on data that are not in the repository, and says what is missing


NEEDS = {"06_tables": ("../shared/data/MRI_CT", "checkpoints/ifcnn-sum")}  # of others, for what is stored


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param, nbformat.read(request.param, as_version=4)


def test_it_is_small_and_shows_what_it_does(notebook):
    path, content = notebook
    assert path.stat().st_size < LARGEST
    outputs = [output for cell in code_cells(content) for output in cell.outputs]
    assert any(output.output_type in ("stream", "display_data", "execute_result") for output in outputs)
    assert not any("image/png" in output.get("data", {}) for output in outputs)  # figures are compressed
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)


def test_it_begins_with_what_the_reader_will_see(notebook):
    _, content = notebook
    first = content.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ") and "You will see" in first.source
    assert '`pip install ".[notebooks]"`' in first.source


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


@pytest.fixture(scope="module")
def run():
    with process() as run:
        yield run


def test_stored_outputs_are_what_running_gives(notebook, run):
    path, content = notebook
    fresh = executed(path, run)
    if all((ROOT / needed).exists() for needed in NEEDS.get(path.stem, ())):
        assert differences(content, fresh) == []


def changed(notebook, change):
    """A copy of a notebook whose first output is changed."""
    copy = nbformat.from_dict(deepcopy(notebook))
    change(next(output for cell in code_cells(copy) for output in cell.outputs))
    return copy


def test_stored_outputs_that_are_not_those_are_found():
    text = nbformat.v4.new_output("stream", name="stdout", text="mean 0.123, 4 pairs")
    cell = nbformat.v4.new_code_cell("print()", outputs=[text])
    stored = nbformat.v4.new_notebook(cells=[cell])
    assert differences(stored, changed(stored, lambda output: output.update(text="mean  0.125, 4 pairs"))) == []
    assert differences(stored, changed(stored, lambda output: output.update(text="none"))) != []
    assert differences(stored, changed(stored, lambda output: output.update(name="stderr"))) != []
    rng = np.random.default_rng(0)

    def with_figure(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        figure = as_jpeg(base64.b64encode(stream.getvalue()).decode())
        shown = nbformat.v4.new_output("display_data", data={"image/jpeg": figure})
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show()", outputs=[shown])])

    ramp = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (100, 1))
    noisy = np.clip(ramp + rng.normal(0, 5, ramp.shape), 0, 255).astype(np.uint8)
    assert differences(with_figure(ramp), with_figure(noisy)) == []
    assert "correlates" in differences(with_figure(ramp), with_figure(ramp[:, ::-1]))[0]
    assert "pixels" in differences(with_figure(ramp), with_figure(ramp[:50]))[0]


def test_the_first_one_opens_in_colab():
    first = nbformat.read(NOTEBOOKS[0], as_version=4)
    assert f"(https://colab.research.google.com/github/OWNER/ttd-jax/blob/main/notebooks/{NOTEBOOKS[0].name})" in (
        first.cells[0].source
    )
