"""What the mutation run changes, and that a counted module runs as before."""

import ast
import sys
from types import SimpleNamespace

from tests.mutants.changes import applied, changes, instrumented

SOURCE = '''"""A module."""

from math import floor

_MOST: int = 3


def cut(values: list[int], most: int = 2) -> list[int]:
    """What is small."""
    if not values or len(values) < 1:
        raise ValueError(f"expected {most + 1} values")
    found = [floor(v) for v in values if v <= most]
    return found[:_MOST]
'''


def test_every_change_is_one_of_the_code_and_can_be_run():
    found = changes(SOURCE)
    texts = {applied(SOURCE, change) for change in found}
    assert SOURCE not in texts and len(texts) == len(found)
    for text in texts:
        ast.parse(text)
        before, after = SOURCE.splitlines(), text.splitlines()
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    kinds = {change.kind for change in found}
    assert kinds == {
        "off by one",
        "sign or not removed",
        "operand dropped",
        "boolean",
        "comparison",
        "another function",
        "call dropped",
        "dropped",
    }
    unchanged = ('"""A module."""', "from math import floor", '    """What is small."""')
    assert all(line in text for text in texts for line in unchanged)
    assert all("list[int]) ->" in text or "-> list[int]" in text for text in texts)


def test_a_counted_module_runs_as_before_and_says_what_it_reached(monkeypatch):
    reached = set()
    monkeypatch.setitem(sys.modules, "mutant_hits", SimpleNamespace(hit=lambda path, line: reached.add((path, line))))
    names: dict = {}
    exec(compile(instrumented(SOURCE, "a.py"), "a.py", "exec"), names)
    assert names["__doc__"] == "A module." and names["cut"].__doc__ == "What is small."
    assert names["cut"]([1, 5, 2.5, 2, 0, 1]) == [1, 2, 0]
    assert reached == {("a.py", 10), ("a.py", 12), ("a.py", 13)}
    assert {change.where for change in changes(SOURCE)} <= {0, 10, 11, 12, 13}
