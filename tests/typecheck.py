"""How annotations are checked while testing: beartype, with an int where a float is asked for, as PEP 484 has it.

A ``Literal`` counts as the type of its choices: that a value is none of them is for the function to say, in words, and
for a test to see.
"""

import operator
from functools import reduce
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(thing: Any) -> Any:
    """The function or class with its annotations checked on every call."""
    if not isinstance(thing, type):
        thing.__annotations__ = {name: widened(hint) for name, hint in thing.__annotations__.items()}
    return _check(thing)


def widened(hint: Any) -> Any:
    """The hint with a ``Literal``, or those in a union, made the types of its choices."""
    if get_origin(hint) is Literal:
        return reduce(operator.or_, map(type, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return reduce(operator.or_, map(widened, get_args(hint)))
    return hint
