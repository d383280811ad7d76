"""How annotations are checked while testing: beartype, with an int where a float is asked for, as PEP 484 has it.

Names of options are left to the package, whose own message for a wrong one is what the tests are about.
"""

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from beartype import BeartypeConf, FrozenDict, beartype


def literals(package: str) -> set[Any]:
    """Every ``Literal`` in a package's source, read and not imported, since what is imported is no longer checked."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    text = "\n".join(path.read_text() for path in Path(spec.submodule_search_locations[0]).rglob("*.py"))
    found = re.findall(r"\bLiteral\[([^\[\]]+)\]", text)
    return {Literal[ast.literal_eval(f"({choices},)")] for choices in found}


_NAMES = FrozenDict(dict.fromkeys(literals("ttd_jax"), object))

check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=_NAMES))
