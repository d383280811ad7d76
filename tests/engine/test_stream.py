"""Streams: order, overlap, what fails where, and threads that end."""

import threading
import time

import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser
from ttd_jax.engine.stream import overlap
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
FRAMES = [list(frame) for frame in RNG.random((5, 2, 6, 8)).astype(np.float32)]
FUSER = Fuser(analytic.backbone("mean"))


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ttd-jax-read")]


def wait_until(happened):
    """Gives another thread up to ten seconds, and fails if it needs more."""
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not readers()


@pytest.mark.parametrize("ahead", [1, 2, 10])
def test_results_are_those_of_single_calls_in_order(ahead):
    results = list(FUSER.stream(iter(FRAMES), ahead=ahead))
    assert len(results) == len(FRAMES)
    for result, frame in zip(results, FRAMES, strict=True):
        np.testing.assert_array_equal(result.image, FUSER(frame).image)
        np.testing.assert_array_equal(result.weights, FUSER(frame).weights)


def test_nothing_is_a_stream_too():
    assert list(FUSER.stream([])) == []


def test_sizes_and_roles_may_change():
    sets = [FRAMES[0], {"infrared": FRAMES[1][0][:4], "visible": FRAMES[1][1][:4]}, [*FRAMES[2], FRAMES[3][0]]]
    results = list(FUSER.stream(sets))
    assert [result.weights.shape for result in results] == [(2, 6, 8), (2, 4, 8), (3, 6, 8)]
    assert results[1].report["reference"] == "visible"


def test_an_error_is_raised_in_its_place_with_its_number():
    stream = FUSER.stream([FRAMES[0], FRAMES[1], FRAMES[2][:1], FRAMES[3]])
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(InputError, match=r"^item 2: fusion takes two sources or more; got 1$"):
        next(stream)
    assert list(stream) == []


def test_errors_can_take_the_places_of_results(tmp_path):
    bad = [tmp_path / "missing.png", FRAMES[0][0]]
    results = list(FUSER.stream([bad, FRAMES[0], FRAMES[1][:1], FRAMES[2]], errors="yield"))
    assert [type(result).__name__ for result in results] == [
        *("InputError", "FusionResult", "InputError", "FusionResult")
    ]
    assert str(results[2]) == "fusion takes two sources or more; got 1"  # as for a single call
    np.testing.assert_array_equal(results[3].image, FUSER(FRAMES[2]).image)


def test_other_errors_are_raised_in_any_case():
    def broken(item):
        raise KeyError(item)

    with pytest.raises(KeyError):
        list(overlap([1], broken, int, int, ahead=1, keep_going=True))
    with pytest.raises(OSError, match="disk") as caught:
        list(overlap([0, 1], lambda i: i, lambda i: i, _fail_at_one, ahead=1, keep_going=False))
    assert caught.value.__notes__ == ["item 1 of the stream"]


def _fail_at_one(item):
    if item:
        raise OSError("disk")
    return item


@pytest.mark.parametrize("errors", ["raise", "yield"])
def test_an_error_of_the_iterator_comes_after_the_results_before_it(errors):
    def camera():
        yield from FRAMES[:3]
        raise RuntimeError("unplugged")

    results = []
    with pytest.raises(RuntimeError, match="unplugged"):
        for result in FUSER.stream(camera(), errors=errors):
            results.append(result)
    assert len(results) == 3


def test_leaving_early_ends_the_thread_and_pulls_no_more():
    pulled = []

    def endless():
        while True:
            pulled.append(len(pulled))
            yield FRAMES[0]

    stream = FUSER.stream(endless(), ahead=2)
    next(stream)
    wait_until(lambda: len(pulled) >= 2 + 1)  # read ahead beside the one handed over
    stream.close()
    assert not readers()  # so that nobody is left to pull
    assert len(pulled) <= 2 + 2 + 1  # and one launched, one about to be read


def test_memory_is_bounded():
    """However slow the caller, no more than the promised sets are on their way."""
    pulled, most = 0, 0

    def frames():
        nonlocal pulled
        for _ in range(12):
            pulled += 1
            yield 0

    stream = overlap(frames(), lambda i: i, lambda i: i, lambda i: i, ahead=3, keep_going=False)
    for handed, _ in enumerate(stream, start=1):
        wait_until(lambda handed=handed: pulled >= min(12, handed + 3))  # it does read ahead
        most = max(most, pulled - handed)
    assert pulled == 12
    assert most <= 3 + 1  # read or being read, and one launched


def test_the_next_is_read_and_launched_before_one_is_finished():
    events = []
    read = threading.Event()

    def reading(item):
        if item == 1:
            read.set()
        return item

    def finish(item):
        if item == 0:
            assert read.wait(10)  # only another thread can have read item 1 by now
        events.append(("finished", item))
        return item

    def launch(item):
        events.append(("launched", item))
        return item

    assert list(overlap([0, 1], reading, launch, finish, ahead=1, keep_going=False)) == [0, 1]
    assert events == [("launched", 0), ("launched", 1), ("finished", 0), ("finished", 1)]


@pytest.mark.parametrize("options", [{"ahead": 0}, {"workers": 0}, {"errors": "ignore"}])
def test_options_that_cannot_be(options):
    with pytest.raises(InputError, match="ahead, workers: 1 or more, errors: raise or yield; got "):
        FUSER.stream(FRAMES, **options)
