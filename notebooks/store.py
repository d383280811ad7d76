"""Runs the notebooks and stores what they show, or says where stored outputs are not what running them gives.

``python notebooks/store.py [NAME ...]`` runs and stores; with ``--check`` nothing is written, and the exit code is 1
where something differs. Needs the ``test`` extra. Figures are stored as JPEG. No display is needed.
"""

import argparse
import base64
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
WIDEST, QUALITY = 1000, 80  # of a stored figure
LARGEST = 1_000_000  # bytes of a notebook with its outputs
AFRESH = "import os; os.chdir({folder!r}); get_ipython().run_line_magic('reset', '-f')"
"""Where and with what a notebook begins; run before it in a process that has run others."""
NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")


def notebooks() -> list[Path]:
    """All notebooks, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that can have outputs."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@contextmanager
def process() -> Iterator[Callable[[nbformat.NotebookNode], None]]:
    """A function that runs notebooks one after the other in one process, which saves importing and compiling.

    A notebook sees no name of those before; modules stay imported, and settings of modules as they are.
    """
    search = [str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search)), "JAX_PLATFORMS": "cpu"}
    environment.pop("MPLBACKEND", None)  # figures go into the notebook
    where = {"metadata": {"path": FOLDER}}
    first = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(AFRESH.format(folder=str(FOLDER)))])
    client = NotebookClient(first, timeout=600, kernel_name="python3", resources=where, coalesce_streams=True)

    def run(notebook: nbformat.NotebookNode) -> None:
        for client.nb in (first, notebook):
            client.execute(cleanup_kc=False)  # a failing cell raises, and shows its source and traceback

    with client.setup_kernel(env=environment):
        yield run


def executed(path: Path, run: Callable[[nbformat.NotebookNode], None] | None = None) -> nbformat.NotebookNode:
    """The notebook as it is after running from top to bottom, figures compressed, without when and where.

    Args:
        path: Where it is.
        run: What runs it; None for a process of its own.
    """
    if run is None:
        with process() as run:
            return executed(path, run)
    notebook = nbformat.read(path, as_version=4)
    run(notebook)
    notebook.metadata.language_info = {"name": "python"}
    for number, cell in enumerate(code_cells(notebook), 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
            if "image/png" in output.get("data", {}):
                output.data = {"image/jpeg": as_jpeg(output.data["image/png"])}
    return notebook


def as_jpeg(png: str) -> str:
    """A figure, base64 of PNG, as base64 of JPEG."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    image.thumbnail((WIDEST, 10 * WIDEST))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """What of the stored outputs is not what running gives, a line each.

    Figures agree if their sizes do, to 5 %, and they look alike (correlation of 0.9 or more when scaled to 64 × 64
    pixels); texts if they agree but for numbers, whose digits depend on the machine.
    """
    found = []
    for number, (old, new) in enumerate(zip(code_cells(stored), code_cells(fresh), strict=True), 1):
        kinds = [[sorted(o.get("data", {o.get("name"): 0})) for o in cell.outputs] for cell in (old, new)]
        if kinds[0] != kinds[1]:
            found.append(f"cell {number}: stored are outputs {kinds[0]}, running gives {kinds[1]}")
            continue
        for before, after in zip(old.outputs, new.outputs, strict=True):
            if "image/jpeg" in before.get("data", {}):
                found += [
                    f"cell {number}: {what}" for what in unlike(before.data["image/jpeg"], after.data["image/jpeg"])
                ]
            elif (texts := [words(output) for output in (before, after)])[0] != texts[1]:
                found.append(f"cell {number}: stored is {texts[0]!r}, running gives {texts[1]!r}")
    return found


def words(output: nbformat.NotebookNode) -> str:
    """The text of an output without numbers, addresses and spacing."""
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return " ".join(NUMBER.sub("#", re.sub(r"0x[0-9a-f]+", "#", text)).replace("-", " ").split())


def unlike(stored: str, fresh: str) -> list[str]:
    """In what two figures, base64 of JPEG, differ."""
    images = [Image.open(io.BytesIO(base64.b64decode(figure))).convert("RGB") for figure in (stored, fresh)]
    sizes = np.array([image.size for image in images])
    if np.any(np.abs(sizes[0] - sizes[1]) > 0.05 * sizes[0]):
        return [f"the stored figure has {images[0].size} pixels, running gives {images[1].size}"]
    small = [np.asarray(image.resize((64, 64)), np.float64).ravel() for image in images]
    correlation = np.corrcoef(*small)[0, 1]
    return [] if correlation >= 0.9 else [f"the stored figure correlates by {correlation:.2f} with that of running"]


def main() -> int:
    """Runs the notebooks asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 01_quickstart; default: all")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args()
    failed = False
    for path in (path for path in notebooks() if not options.names or path.stem in options.names):
        fresh = executed(path)
        if options.check:
            problems = differences(nbformat.read(path, as_version=4), fresh)
            failed |= bool(problems)
            print("\n".join([f"{path.name}: {'differs' if problems else 'as stored'}", *problems]), flush=True)
            continue
        text = nbformat.writes(fresh) + "\n"
        if len(text.encode()) > LARGEST:
            print(f"{path.name}: {len(text.encode()):,} bytes with outputs, at most {LARGEST:,}: show less")
            failed = True
            continue
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)
        print(f"{path.name}: {len(text.encode()):,} bytes", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
