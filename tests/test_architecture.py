"""Which folder may import which, and what every public name must have."""

import ast
import doctest
import importlib
import inspect
import operator
import re
from pathlib import Path

import pytest

import convert
import ttd_jax

PACKAGE = Path(ttd_jax.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CONVERTER = sorted(Path(convert.__file__).parent.rglob("*.py"))

# Parts of the package, and the parts that each may import beside itself and the errors.
MAY_IMPORT = {
    "errors": set(),
    "options": set(),
    "core": {"ops", "options"},
    "ops": set(),
    "metrics": {"ops"},
    "align": {"options"},
    "io": {"ops"},
    "backbones": {"core", "io", "ops", "options"},
    "inputs": {"align", "io", "ops", "options"},
    "engine": {"backbones", "core", "inputs", "io", "ops", "options", "root"},  # root: the version
    "result": {"io"},
    "figures": {"ops", "result"},
    "fuser": {"backbones", "core", "engine", "inputs", "ops", "options", "result"},
    "api": {"backbones", "core", "engine", "fuser", "inputs", "ops", "options", "result"},
    "onnx": set(),
    "export": {"fuser", "io", "onnx", "ops", "options"},
    "training": {"backbones", "core", "io", "metrics", "ops", "options", "root"},
    "comparison": {"io", "metrics", "ops", "root", "text"},
    "text": set(),
    "stacks": {"inputs"},
    "device": {"options"},
    "distributed": {"backbones", "device", "fuser", "io", "options", "result", "root"},
    "cli": {
        "align",
        "api",
        "backbones",
        "comparison",
        "device",
        "distributed",
        "export",
        "figures",
        "inputs",
        "io",
        "metrics",
        "ops",
        "options",
        "result",
        "serve",
        "stacks",
        "text",
        "training",
        "root",
    },
    "serve": {"backbones", "engine", "figures", "fuser", "inputs", "io", "metrics", "options", "result", "root"},
    "root": {"api", "backbones", "cli", "core", "export", "figures", "fuser", "result"},  # __init__ and __main__
}
WITH_FLAX = {"backbones", "training"}
IN_WORKERS = [PACKAGE / "distributed" / f"{name}.py" for name in ("__init__", "cluster", "ledger", "run", "worker")]
CHECKPOINTS = PACKAGE / "io" / "checkpoints.py"  # the one file of io that needs jax
WITHOUT_JAX = {
    "align",
    "cli",
    "device",
    "errors",
    "figures",
    "inputs",
    "io",
    "options",
    "result",
    "root",
}  # before a subcommand runs, nothing loads jax
SERVING = {"fastapi", "fastapi_offline", "gradio", "limits", "prometheus_client", "starlette", "uvicorn"}
FORBIDDEN = {"torch", "torchvision", "convert", "ttd_jax_convert", "tests"}


def part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    if len(relative.parts) > 1:
        return relative.parts[0]
    return "root" if relative.stem in ("__init__", "__main__") else relative.stem


def imports(path: Path, at_once: bool = False) -> set[str]:
    """Modules that a file imports; with ``at_once`` only those that its own import imports."""
    tree = ast.parse(path.read_text())
    found = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path in CONVERTER, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif at_once and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        pending += list(ast.iter_child_nodes(node))
    return found


def parts_imported(path: Path) -> set[str]:
    names = set()
    for name in imports(path):
        if name == "ttd_jax" or name.startswith("ttd_jax."):
            rest = name.split(".")[1:]
            known = bool(rest) and ((PACKAGE / rest[0]).is_dir() or (PACKAGE / f"{rest[0]}.py").is_file())
            names.add(rest[0] if known else "root")
    return names


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def wrong_imports(path: Path, own: str) -> set[str]:
    """What a file of that part imports and should not."""
    outside = top_level(imports(path))
    wrong = parts_imported(path) - MAY_IMPORT[own] - {own, "errors"} | outside & FORBIDDEN
    if own not in WITH_FLAX:
        wrong |= outside & {"flax"}
    if own != "align":
        wrong |= outside & {"cv2"}
    if own != "serve":
        wrong |= outside & SERVING
    if path != CHECKPOINTS and own != "training":
        wrong |= outside & {"orbax"}
    return wrong


def test_imports_point_one_way():
    parts = {part(path) for path in MODULES}
    assert parts <= set(MAY_IMPORT), f"say in this test what {parts - set(MAY_IMPORT)} may import"
    assert len(MODULES) > 80
    wrong = {str(path.relative_to(PACKAGE)): found for path in MODULES if (found := wrong_imports(path, part(path)))}
    assert not wrong


def test_jax_is_imported_where_it_is_needed():
    light = [path for path in MODULES if part(path) in WITHOUT_JAX and path != CHECKPOINTS]
    without = [PACKAGE / name for name in ("ops/pixels.py", "serve/limits.py", "serve/run.py", "serve/wanted.py")]
    for path in [*light, *IN_WORKERS, *without]:
        assert not top_level(imports(path, at_once=True)) & {"jax", "jaxlib", "flax", "orbax"}, path


def test_the_rules_can_fail(tmp_path):
    source = "from ttd_jax.api import fuse\ndef f():\n    import flax.linen\n"
    path = tmp_path / "module.py"
    path.write_text(source)
    assert parts_imported(path) == {"api"}
    assert wrong_imports(path, "metrics") == {"api", "flax"}
    assert top_level(imports(path)) == {"ttd_jax", "flax"}
    assert top_level(imports(path, at_once=True)) == {"ttd_jax"}


def test_the_converter_reads_pickles_without_pytorch():
    names = set().union(*(top_level(imports(path)) for path in CONVERTER))
    assert not names & {"torch", "cv2", "tests"}


def test_public_names():
    assert set(ttd_jax.__all__) >= {
        "Fuser",
        "FusionResult",
        "GradientWeighting",
        "LossWeighting",
        "StaticWeighting",
        "__version__",
        "fuse",
        "load_backbone",
    }
    assert dir(ttd_jax) == sorted(ttd_jax.__all__)
    for name in ttd_jax.__all__:
        assert getattr(ttd_jax, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", ttd_jax.__version__)
    with pytest.raises(AttributeError, match="module 'ttd_jax' has no attribute 'fusion'"):
        operator.attrgetter("fusion")(ttd_jax)


def parameters(function) -> list[str]:
    """Names, with what stands for positional-only, keyword-only and defaults."""
    return [str(p.replace(annotation=inspect.Parameter.empty)) for p in inspect.signature(function).parameters.values()]


def test_public_signatures():
    assert parameters(ttd_jax.fuse) == [
        "sources",
        "*misplaced",
        "backbone=None",
        "checkpoint=None",
        "weighting='loss'",
        "recipe=None",
        "color='auto'",
        "dtype=None",
        "precision='float32'",
        "range=None",
        "keep_range=False",
        "align=None",
        "align_frame='crop'",
        "explain=False",
    ]
    assert parameters(ttd_jax.load_backbone) == ["name=None", "checkpoint=None", "**options"]
    assert parameters(ttd_jax.Fuser)[:2] == ["backbone=None", "weighting='loss'"]
    assert parameters(ttd_jax.Fuser.compile) == ["self", "shape"]
    assert parameters(ttd_jax.Fuser.batch) == ["self", "stack"]
    assert parameters(ttd_jax.Fuser.stream) == [
        "self",
        "items",
        "ahead=2",
        "errors='raise'",
        "workers=1",
        "temporal=0.0",
    ]
    assert parameters(ttd_jax.StaticWeighting) == ["rule=None"]
    assert {"loss=None", "scale=None", "component=None", "space=None"} <= set(parameters(ttd_jax.LossWeighting))
    fields = ("image", "weights", "losses", "components", "report")
    assert tuple(parameters(ttd_jax.FusionResult))[:5] == fields
    keyword_only = [p for p in inspect.signature(ttd_jax.fuse).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert len(keyword_only) == 12


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", sorted(set(ttd_jax.__all__) - {"__version__"}))
def test_docstrings_of_public_names_begin_with_one_sentence(name):
    public = getattr(ttd_jax, name)
    members = [m for m in vars(public) if not m.startswith("_")] if inspect.isclass(public) else []
    documented = [public, *(vars(public)[m] for m in members if callable(vars(public)[m]))]
    for thing in documented:
        first, *rest = (inspect.getdoc(thing) or "").splitlines() or [""]
        assert re.fullmatch(r"[A-Z`].*\.", first), f"{thing}: {first!r}"
        assert not rest or rest[0] == "", f"{thing}: the first line stands alone"


def test_modules_are_small_enough_to_read():
    large = {str(path.relative_to(PACKAGE)) for path in MODULES if len(path.read_text().splitlines()) > 330}
    assert not large, "what wants to leave this file?"


WITH_EXAMPLES = [module_name(path) for path in MODULES if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0


def test_public_names_have_examples():
    for name in sorted(set(ttd_jax.__all__) - {"__version__"}):
        assert ">>>" in (inspect.getdoc(getattr(ttd_jax, name)) or ""), name
