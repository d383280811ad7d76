"""What was used last, at most so many: a bound for what costs memory to keep and seconds to make again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Values by key; of more than ``most`` those that were not used for longest are dropped. Safe in threads.

    Args:
        most: How many are kept, at least 1.

    Example:
        >>> squares = Recent(2)
        >>> [squares.get(n, lambda: n * n) for n in (1, 2, 1, 3)]
        [1, 4, 1, 9]
        >>> list(squares)
        [1, 3]
    """

    def __init__(self, most: int):
        self._most, self._lock = most, threading.Lock()
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there; threads that make one at once all get the first that is done."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()  # without the lock, since it may take seconds
        with self._lock:
            value = self._values.setdefault(key, made)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            return value

    def __iter__(self) -> Iterator[Any]:
        """The keys, those used last at the end."""
        with self._lock:
            return iter(list(self._values))
