"""What kind the sources are, and which options belong to a kind."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError


def are_all(paths: Sequence[Path], is_one: Callable[[Path], bool], kind: str) -> bool:
    """Whether the sources are all of a kind, rather than none of them.

    Args:
        paths: The sources.
        is_one: Whether a path is of that kind.
        kind: What one is called.

    Raises:
        InputError: Some are, and some are not.
    """
    found = [path for path in paths if is_one(path)]
    if found and len(found) < len(paths):
        other = next(path for path in paths if path not in found)
        raise InputError(f"{kind}s go together with {kind}s; got the {kind} {found[0]} and {other}")
    return bool(found)


def refuse_given(options: Mapping[str, Any], reason: str) -> None:
    """Refuses options that mean nothing here.

    Args:
        options: What was given, by the option's name; false values count as not given.
        reason: What the message says after the name.

    Raises:
        InputError: One was given.
    """
    if given := next((name for name, value in options.items() if value), None):
        raise InputError(f"{given} {reason}")
