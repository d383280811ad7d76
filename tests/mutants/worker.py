"""A process that has imported what the package needs, but not the package, and forks for every mutant.

It runs in a scratch copy of the tree, told what to do by one line of JSON at a time, and answers by one.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

SLOW_IMPORTS = (
    "hypothesis.extra.numpy, jax.numpy, jax.export, jax.experimental.serialize_executable, flax.linen, "
    "orbax.checkpoint, tensorstore, scipy.ndimage, scipy.signal, skimage.metrics, skimage.data, skimage.transform, "
    "skimage.filters, tifffile, imagecodecs, PIL.Image, rich.progress, beartype.door, jaxtyping, pydicom, nibabel"
)


class Recorder:
    """Notes which statements each test reaches, and the processor seconds it takes."""

    def __init__(self):
        self.found: dict[str, dict] = {}
        self.bad: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        import mutant_hits  # type: ignore[import-not-found]

        mutant_hits.seen.clear()
        started = _seconds()
        yield
        reached = mutant_hits.seen | mutant_hits.collect()
        self.found[item.nodeid] = {"seconds": _seconds() - started, "reached": sorted(reached)}
        return True

    def pytest_runtest_logreport(self, report):
        if not report.passed:
            self.bad.add(report.nodeid)


class Chooser:
    """Runs the chosen tests in their order, and remembers the first that fails."""

    def __init__(self, order: list[str]):
        self.order = {name: at for at, name in enumerate(order)}
        self.failed = ""

    def pytest_collection_modifyitems(self, session, config, items):
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda i: self.order[i.nodeid])

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report):
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid} (collected)"


def _seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _run(task: dict, answer: Path) -> None:
    """In the fork: one run of pytest, and what came out of it as a file."""
    with Path("said").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    import hypothesis

    hypothesis.settings.register_profile(
        "mutants", parent=hypothesis.settings(), derandomize=True, database=None, phases=[hypothesis.Phase.generate]
    )
    hypothesis.settings.load_profile("mutants")
    resource.setrlimit(resource.RLIMIT_CPU, (int(task["limit"]), int(task["limit"]) + 5))
    common = ["-n", "0", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=line", "-m", "not shared_data"]
    common += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # plugins are imported already
    if "order" in task:
        chooser = Chooser(task["order"])
        code = pytest.main([*task["files"], *common, "-x"], plugins=[chooser])
        answer.write_text(json.dumps({"code": int(code), "by": chooser.failed}))
    else:
        recorder = Recorder()
        pytest.main([*task["files"], *common], plugins=[recorder])
        good = {name: found for name, found in recorder.found.items() if name not in recorder.bad}
        answer.write_text(json.dumps({"tests": good, "bad": sorted(recorder.bad)}))


def _fork(task: dict) -> dict:
    answer = Path("answer.json")
    answer.unlink(missing_ok=True)
    started, began = time.monotonic(), _seconds()
    process = os.fork()
    if process == 0:
        os.setsid()
        try:
            _run(task, answer)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    waited_for = True
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() - started > task["wall"]:
            waited_for = False
            break
        time.sleep(0.05)
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(process, 0)
    found = json.loads(answer.read_text()) if answer.exists() else {"code": -1 if waited_for else -2, "by": ""}
    return found | {"seconds": _seconds() - began}


def main() -> None:
    """Answers until standard input ends."""
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    importlib.import_module("tests.conftest")  # sets what jax reads when it is imported
    for name in SLOW_IMPORTS.split(", "):
        importlib.import_module(name)
    for line in sys.stdin:
        task = json.loads(line)
        sys.dont_write_bytecode = not task.get("bytecode", False)
        print(json.dumps(_fork(task)), flush=True)


if __name__ == "__main__":
    main()
