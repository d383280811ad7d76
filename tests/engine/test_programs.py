"""Programs are kept for 16 shapes, those used last, and freed with their fuser; results do not depend on it."""

import gc
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from tests import analytic
from tests.engine.test_compile import counted
from ttd_jax import Fuser, fuse
from ttd_jax.engine import programs

RNG = np.random.default_rng(0)
SIZES = [(6, 7 + n) for n in range(programs.MOST_PROGRAMS + 1)]
SETS = [list(RNG.random((2, *size)).astype(np.float32)) for size in SIZES]


def alive():
    """How many compiled fusions there are in the process, those of other tests too."""
    gc.collect()
    executables = jax.devices()[0].client.live_executables()
    return sum(executable.hlo_modules()[0].name == "jit_fuse" for executable in executables)


def compiles(run, *arguments):
    with counted() as found:
        run(*arguments)
    return bool(found)


@pytest.fixture
def backbone():
    """A network of its own, so that no other test's programs are shared; what others left is gone before it counts."""
    jax.clear_caches()
    return analytic.backbone("sum")


def test_the_seventeenth_shape_drops_the_one_unused_for_longest(backbone):
    assert programs.MOST_PROGRAMS == 16
    before = alive()
    fuser = Fuser(backbone)
    for sources in SETS[:16]:
        assert compiles(fuser, sources)
    assert alive() == before + 16
    assert not compiles(fuser, SETS[0])  # used again: the second is the oldest now
    assert compiles(fuser, SETS[16])
    assert alive() == before + 16
    assert not compiles(fuser, SETS[0]) and not compiles(fuser, SETS[2])
    assert compiles(fuser, SETS[1])


def test_programs_are_freed_with_their_fuser(backbone):
    before = alive()
    fuser = Fuser(backbone)
    for sources in SETS[:5]:
        fuser(sources, explain=True)  # by two weightings
    fuser.batch(np.stack([np.stack(SETS[5]), np.stack(SETS[5])]))
    assert alive() == before + 11
    del fuser
    assert alive() == before


def test_a_program_that_another_fuser_has_is_kept(backbone):
    first, second = Fuser(backbone), Fuser(backbone)
    first(SETS[0])
    assert not compiles(second, SETS[0])
    del first
    assert not compiles(Fuser(backbone), SETS[0])


def test_results_do_not_depend_on_what_was_dropped(backbone):
    fuser = Fuser(backbone)
    first = [fuser(sources) for sources in SETS]
    for sources, one in zip(SETS, first, strict=True):  # in the order in which each was dropped just before
        again = fuser(sources)
        np.testing.assert_array_equal(again.image, one.image)
        np.testing.assert_array_equal(again.weights, one.weights)


def test_fuse_keeps_programs_from_call_to_call_and_not_for_ever(backbone):
    def run(sources):
        fuse(sources, backbone=backbone)

    for sources in SETS[:16]:
        assert compiles(run, sources)
    full = alive()
    assert not compiles(run, SETS[0])
    assert compiles(run, SETS[16]) and compiles(run, SETS[1])
    assert not compiles(run, SETS[0])
    assert alive() == full


def test_threads_get_what_one_gets(backbone, monkeypatch):
    monkeypatch.setattr(programs, "MOST_PROGRAMS", 2)
    expected = [Fuser(backbone)(sources).image for sources in SETS[:5]]
    fuser = Fuser(backbone)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: fuser(SETS[n % 5]).image, range(40)))
    for n, image in enumerate(found):
        np.testing.assert_array_equal(image, expected[n % 5])
    assert len(list(fuser._programs._compiled)) == 2
