"""What a library warns of while it reads a file: kept from the user, or taken for an error."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Literal

_turn = RLock()


@contextmanager
def warnings_as(action: Literal["ignore", "error"]) -> Iterator[None]:
    """Warnings in this block are left out or raised.

    Python's filters are those of the whole process, so threads take turns: else one could leave another's behind.
    """
    with _turn, warnings.catch_warnings():
        warnings.simplefilter(action)
        yield
