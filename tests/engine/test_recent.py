"""What was used last is kept, in threads too."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttd_jax.engine.recent import Recent


@given(keys=st.lists(st.integers(0, 6)), most=st.integers(1, 4))
def test_the_last_used_are_kept_and_nothing_is_made_twice_while_it_is(keys, most):
    recent, made, kept = Recent(most), [], []

    def make(key):
        made.append(key)
        return f"value of {key}"

    for key in keys:
        recent.get(key, partial(make, key))
        if key not in kept:  # a list restates it, the last used at the end
            assert made.pop() == key
        kept = [*(k for k in kept if k != key), key][-most:]
        assert list(recent) == kept
        assert not made


def test_what_cannot_be_made_is_not_kept():
    recent = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.get("a", lambda: 1 / 0)
    assert list(recent) == [] and recent.get("a", lambda: 1) == 1


def test_threads_that_make_one_at_once_get_the_same():
    recent, ready = Recent(2), threading.Barrier(4)

    def make():
        ready.wait(10)  # all four are making it
        return object()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: recent.get("a", make), range(4)))
    assert len(set(map(id, found))) == 1


def test_making_one_does_not_keep_others_waiting():
    recent, started, finish = Recent(2), threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(recent.get, "slow", lambda: started.set() or finish.wait(10))
        assert started.wait(10) and recent.get("fast", lambda: 1) == 1
        finish.set()
        assert slow.result() is True
