"""Fixtures and house rules: shapes are checked while testing, and nothing may skip but what needs the shared data."""

import gc
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

from tests import typecheck
from tests.kept import KEPT, forget_what_is_patched

# Nine tenths of the time would go into optimizing programs that run once. So they are not, but for TESTS=optimized,
# and tests marked ``optimized`` are run like that as well (tests/test_optimized.py).
if os.environ.get("TESTS") != "optimized":
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if tuple(map(int, version("jaxlib").split(".")[:2])) <= (0, 10):  # later ones have the emitters only
        # No emitters, and one module of machine code a program: both compile with less work.
        flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ.setdefault("XLA_FLAGS", flags)

os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "1")  # ten frames for every operation take time
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")  # what is mixed is mixed on purpose

if importlib.util.find_spec("convert") is None:  # not in a checkout: the wheel has it under another name
    sys.modules["convert"] = importlib.import_module("ttd_jax_convert")
if os.environ.get("TESTS") != "optimized":  # those are run without, too
    install_import_hook(["ttd_jax", "convert"], f"{typecheck.__name__}.check")

forget_what_is_patched()

# What one worker needs twice is compiled once, in notebooks and commands too. Workers share nothing, since jax does not
# write an entry in one go. Set the variable to a folder of your own to keep it from run to run.
CACHE = "JAX_COMPILATION_CACHE_DIR"

MAY_SKIP = ("shared_data", "browser")
FIRST = ("test_optimized.py", "test_notebooks.py", "test_cluster.py", "test_page.py", "test_trainer.py")
"""Files with tests of ten seconds to a minute: a worker that began with one last would keep the others waiting."""
SHARED = Path(__file__).parents[2] / "shared" / "data"

hypothesis.settings.register_profile("default", deadline=None, max_examples=15, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("default")


def pytest_configure(config):
    started_here = not hasattr(config, "workerinput")
    if started_here and CACHE not in os.environ:
        os.environ[CACHE] = config.own_compile_cache = tempfile.mkdtemp(prefix="ttd-jax-tests-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    elif not started_here:
        os.environ[CACHE] = str(Path(os.environ[CACHE]) / config.workerinput["workerid"])


def pytest_unconfigure(config):
    if folder := getattr(config, "own_compile_cache", None):
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ[CACHE]


def pytest_collection_finish():
    """What is imported stays: looking for garbage in it again and again would take a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def _programs_serve_a_module(request):
    """Programs of one module serve the next seldom, and thousands of them fill the memory."""
    engine = sys.modules.get("ttd_jax.engine.programs")
    with pytest.MonkeyPatch.context() as patch:
        if engine is not None and not hasattr(request.module, "counted"):  # who counts programs has them as users do
            patch.setattr(engine, "_functions", KEPT)
        yield
    KEPT.clear()
    if "jax" in sys.modules:
        import jax

        jax.clear_caches()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The reference data beside the checkout; for tests marked ``shared_data``."""
    return SHARED


@pytest.fixture(scope="session")
def ifcnn_variables():
    """Parameters of an IFCNN that behaves like a trained one."""
    from tests.networks import ifcnn_variables

    return ifcnn_variables()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, ifcnn_variables) -> Path:
    """A checkpoint folder of that IFCNN, with the mean rule."""
    from ttd_jax.io.checkpoints import save_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints") / "ifcnn-mean"
    manifest = {"backbone": "ifcnn", "preset": "mean", "config": {"rule": "mean"}, "licence": "none: random numbers"}
    save_checkpoint(folder, ifcnn_variables, manifest)
    return folder


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason=f"no reference data at {SHARED}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not any(map(item.get_closest_marker, MAY_SKIP)):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped; only tests marked {' or '.join(MAY_SKIP)} may be ({report.longrepr})"
        )
    return report


def pytest_terminal_summary(terminalreporter):
    def count(outcome: str) -> int:
        return sum("shared_data" in report.keywords for report in terminalreporter.getreports(outcome))

    terminalreporter.write_line(
        f"tests on the shared reference data: {count('passed')} passed, {count('failed')} failed, "
        f"{count('skipped')} skipped"
    )
