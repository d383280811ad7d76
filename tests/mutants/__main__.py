"""Changes one expression at a time and says which changes no test notices.

``python -m tests.mutants --sample 300 --seed 0``: lines are drawn evenly from those of core, engine, io, ops, metrics
and convert that some test reaches, then one change of each. ``--work`` keeps the map from lines to tests, the compiled
programs and the answers, so that a run can be interrupted. Tests on the shared data are left out.
"""

import argparse
import difflib
import json
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.mutants.changes import Change, applied, changes, instrumented
from tests.mutants.tree import PACKAGES, ROOT, Tree, modules

FOLDERS = ("ops", "core", "metrics", "io", "convert", "engine")
NAMES = ("api", "inputs", "image_contract", "properties", "recipes", "bundled", "figures", "entry_points")
"""Tests that are run; what others would notice besides is not counted."""
BUDGET = 60.0  # processor seconds of tests for one mutant
_RESULTS = {0: "survived", 1: "killed", 2: "killed", -1: "timeout"}
"""By exit code of pytest; -1 where the process ended by the limit of its time, or crashed."""
Map = dict[str, dict]  # by test: seconds, and the statements it reaches


def main() -> int:
    """Runs the tests on every mutant of the sample; the exit code is 1 if more than one in twenty survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--package", action="append", choices=PACKAGES, help="change this one; more than once for several"
    )
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mutants in the sample, to try them again")
    parser.add_argument("--work", type=Path, help="folder for what is kept; a temporary one without it")
    parser.add_argument("--map", action="store_true", help="make the map and stop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        tree = Tree(work, work / "compiled")
        found = _map(tree, work / "map.json")
        if not options.map:
            answers = _try_all(tree, found, options, work / f"answers-{options.seed}.jsonl")
        tree.close()
    return 0 if options.map else _report(answers)


def _map(tree: Tree, kept: Path) -> Map:
    """Which tests reach which statements, made once for each file of tests."""
    done = json.loads(kept.read_text()) if kept.exists() else {}
    paths = [path for folder in FOLDERS for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))]
    paths += [ROOT / "tests" / f"test_{name}.py" for name in NAMES]
    files = [str(path.relative_to(ROOT)) for path in paths if path.stem != "test_kill"]  # by chance
    missing = [file for file in files if file not in done]
    if missing:
        for path in modules():
            tree.write(path, instrumented((ROOT / path).read_text(), path))
        for file in missing:
            answer = tree.run(files=[file], limit=900, wall=3600, bytecode=True)
            done[file] = {"tests": answer.get("tests", {}), "bad": answer.get("bad", ["all"])}
            kept.write_text(json.dumps(done))
            print(
                f"{file}: {len(done[file]['tests'])} tests, {answer['seconds']:.0f} s, not {done[file]['bad']}",
                flush=True,
            )
        for path in modules():
            tree.restore(path)
    return {name: test for file in done.values() for name, test in file["tests"].items()}


def _sample(found: Map, options: argparse.Namespace) -> list[tuple[str, Change]]:
    """Changes of lines that are drawn evenly from those that tests reach; their order depends on the seed alone."""
    reached = {tuple(pair) for test in found.values() for pair in test["reached"]}
    touched = {path for path, _ in reached}
    lines = defaultdict(list)
    for path in modules():
        if not path.startswith(tuple(f"{package}/" for package in options.package or PACKAGES)):
            continue
        for change in changes((ROOT / path).read_text()):
            if (path, change.where) in reached or (not change.where and path in touched):
                lines[path, change.line].append(change)
    drawn = sorted((random.Random(f"{options.seed} {path} {line}").random(), path, line) for path, line in lines)
    chosen = []
    for _, path, line in drawn[: options.sample]:
        draw = random.Random(f"{options.seed} {path} {line} which")
        chosen.append((path, draw.choice(lines[path, line])))
    return chosen


def _order(found: Map, path: str, change: Change) -> list[str]:
    """Tests that reach the statement, those of the module's own file first, then others of the same files and folder.

    What a module does when it is imported is reached by the first test that asks for it, and matters to others.
    """
    name, package = Path(path).stem, path.removeprefix("ttd_jax/").split("/")[0]

    def reach(test: dict) -> bool:
        return any(p == path and (not change.where or line == change.where) for p, line in test["reached"])

    direct = {test for test in found if reach(found[test])}
    files = {test.split("::")[0] for test in direct}
    files |= {file for file in (test.split("::")[0] for test in found) if file.startswith(f"tests/{package}/")}
    others = [test for test in found if test not in direct and test.split("::")[0] in files]

    def likely(test: str) -> float:
        file = test.split("::")[0]
        factor = 0.2 if Path(file).stem == f"test_{name}" else 0.5 if f"/{package}/" in file else 1
        return (found[test]["seconds"] + 0.05) * factor

    chosen, spent = [], 0.0
    for test in [*sorted(direct, key=likely), *sorted(others, key=likely)]:
        if spent + found[test]["seconds"] <= BUDGET:
            spent += found[test]["seconds"]
            chosen.append(test)
    return chosen


def _try_all(tree: Tree, found: Map, options: argparse.Namespace, kept: Path) -> list[dict]:
    sample = _sample(found, options)
    known = {}
    if kept.exists() and options.only is None:
        known = {tuple(a["key"]): a for a in map(json.loads, kept.read_text().splitlines())}
    answers = []
    for number, (path, change) in enumerate(sample):
        source = (ROOT / path).read_text()
        key = (path, change.kind, _diff(path, source, change))
        if options.only is not None and number not in options.only:
            continue
        if key not in known:
            order = _order(found, path, change)
            seconds = sum(found[test]["seconds"] for test in order)
            tree.write(path, applied(source, change))
            files = list(dict.fromkeys(test.split("::")[0] for test in order))
            answer = tree.run(files=files, order=order, limit=30 + 2 * seconds, wall=7200)
            tree.restore(path)
            result = _RESULTS.get(answer["code"], "unknown")
            known[key] = {"key": key, "result": result, "by": answer["by"], "seconds": answer["seconds"]}
            with kept.open("a") as file:
                file.write(json.dumps(known[key]) + "\n")
            print(
                f"{number} {result} {path}:{change.line} {change.kind} {answer['by']} {answer['seconds']:.1f} s",
                flush=True,
            )
        answers.append(known[key] | {"number": number})
    return answers


def _diff(path: str, source: str, change: Change) -> str:
    before, after = source.splitlines(), applied(source, change).splitlines()
    lines = difflib.unified_diff(before, after, path, path, f"line {change.line}", "", lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("@@", "+++")))


def _report(answers: list[dict]) -> int:
    tally: dict[str, dict[str, int]] = {package: {} for package in PACKAGES}
    for answer in answers:
        package = next(name for name in PACKAGES if answer["key"][0].startswith(f"{name}/"))
        tally[package][answer["result"]] = tally[package].get(answer["result"], 0) + 1
        if answer["result"] == "survived":
            print(f"\n{answer['number']} {answer['key'][1]}\n{answer['key'][2]}")
    columns = ("killed", "timeout", "survived", "unknown")
    print(f"\n{'':16}" + "".join(f"{name:>10}" for name in columns))
    for package, counts in tally.items():
        print(f"{package:16}" + "".join(f"{counts.get(name, 0):10}" for name in columns))
    survived = sum(counts.get("survived", 0) + counts.get("unknown", 0) for counts in tally.values())
    seconds = sum(answer["seconds"] for answer in answers)
    print(f"{len(answers) - survived} of {len(answers)} noticed, in {seconds:.0f} processor seconds")
    return 1 if 20 * survived > len(answers) else 0


if __name__ == "__main__":
    sys.exit(main())
