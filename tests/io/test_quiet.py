"""Filters of warnings that threads change in turns."""

import warnings
from threading import Event, Thread

import pytest

from ttd_jax.io.quiet import warnings_as


def test_a_warning_is_raised_or_left_out():
    with warnings_as("error"), pytest.raises(UserWarning, match="odd"):
        warnings.warn("odd", stacklevel=1)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with warnings_as("ignore"):
            warnings.warn("odd", stacklevel=1)
    assert not seen


def test_threads_that_overlap_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    first_inside, second_inside = Event(), Event()

    def first():
        with warnings_as("error"):
            first_inside.set()
            second_inside.wait(0.3)  # in turns it does not come; else it would take this one's filters for its own

    def second():
        first_inside.wait()
        with warnings_as("ignore"):
            second_inside.set()
            threads[0].join(0.3)

    threads = [Thread(target=part) for part in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
