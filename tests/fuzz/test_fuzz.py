"""Some seconds of fuzzing in every run; ``python -m tests.fuzz KIND --count N`` goes on from there."""

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import KINDS, cases

FOUND: dict[str, list[int]] = {
    **{kind: [] for kind in KINDS},
    "images": [95, 178, 264, 289, 681, 788],
    "series": [1025],
    "stacks": [100187, 100481],
    "videos": [1045, 1079, 1129, 1214, 202521, 204415, 208553],
}
"""Seeds that once broke something."""


@pytest.mark.parametrize(("kind", "count"), [("images", 300), ("torch", 300), ("folders", 60)])
def test_mutated_files_are_read_or_refused(tmp_path, kind, count):
    first = random.Random().randrange(10**9)
    for seed, name, attempt in cases(kind, tmp_path, first, count):
        try:
            attempt()
        except Exception as error:
            raise AssertionError(f"python -m tests.fuzz {kind} --first {seed} --count 1 ({name})") from error


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind, seeds in FOUND.items() for seed in [*seeds, 0]])
def test_what_was_found_before(tmp_path, kind, seed):
    for _, _, attempt in cases(kind, tmp_path, seed, 1):
        attempt()


def test_the_mutator_is_the_same_everywhere_and_does_something():
    data = bytes(range(256)) * 4
    assert mutated(data, 7) == mutated(data, 7)
    assert len({mutated(data, seed) for seed in range(100)}) > 90
    assert mutated(b"", 1) == b""
