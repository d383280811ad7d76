"""Prints the lowest version of every dependency that pyproject.toml allows, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path


def lower_bounds(pyproject: Path, extras: list[str]) -> list[str]:
    """``name==version`` of each requirement of the package and of some of its extras.

    Raises:
        ValueError: A requirement has no lower bound.
    """
    project = tomllib.loads(pyproject.read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in extras for r in project["optional-dependencies"][extra])]
    bounds = []
    for requirement in wanted:
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[a-z0-9]+\])?(>=|==)([0-9.]+)", requirement)
        if found is None:
            raise ValueError(f"a requirement is written name>=version; got {requirement!r}")
        bounds.append(f"{found[1]}=={found[3]}")
    return bounds


if __name__ == "__main__":
    print("\n".join(lower_bounds(Path(__file__).parents[1] / "pyproject.toml", sys.argv[1:])))
