"""Fixtures and house rules: shapes are checked while testing, and nothing may skip but what needs the shared data."""

import os
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

from tests import typecheck

install_import_hook(["ttd_jax", "convert"], f"{typecheck.__name__}.check")

SHARED = Path(__file__).parents[2] / "shared" / "data"

hypothesis.settings.register_profile("default", deadline=None, max_examples=15, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("default")


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
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason=f"no reference data at {SHARED}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("shared_data"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped; only tests marked shared_data may be ({report.longrepr})"
    return report


def pytest_terminal_summary(terminalreporter):
    def count(outcome: str) -> int:
        return sum("shared_data" in report.keywords for report in terminalreporter.getreports(outcome))

    terminalreporter.write_line(
        f"tests on the shared reference data: {count('passed')} passed, {count('failed')} failed, "
        f"{count('skipped')} skipped"
    )
