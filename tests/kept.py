"""Programs that the tests of one module share; users' are freed with their fuser, and tests make one for each set."""

import functools
from collections import OrderedDict
from typing import Any
from weakref import WeakSet

import pytest

MOST = 32


class Kept(OrderedDict[Any, Any]):
    """In place of ``ttd_jax.engine.programs._functions``: jitted fusions, those used last."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        value = super().setdefault(key, default)
        self.move_to_end(key)
        while len(self) > MOST:
            self.popitem(last=False)
        return value


KEPT = Kept()
_patching: WeakSet[pytest.MonkeyPatch] = WeakSet()


def forget_what_is_patched() -> None:
    """From now on to patch an attribute forgets all programs, and so does to undo that: they hold what was traced."""
    setattr_, undo = pytest.MonkeyPatch.setattr, pytest.MonkeyPatch.undo

    @functools.wraps(setattr_)
    def forgetting_setattr(self, *arguments, **options):
        KEPT.clear()
        _patching.add(self)
        return setattr_(self, *arguments, **options)

    @functools.wraps(undo)
    def forgetting_undo(self):
        undo(self)
        if self in _patching:
            KEPT.clear()
            _patching.discard(self)

    pytest.MonkeyPatch.setattr = forgetting_setattr
    pytest.MonkeyPatch.undo = forgetting_undo
