"""Prints the licence of every package that ttd-jax needs to run, by their own metadata: ``python .ci/licences.py``."""

import re
from importlib.metadata import PackageNotFoundError, distribution


def needed(name: str, found: dict[str, str]) -> None:
    """Collects versions and licences of a package and of what it needs, without extras."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return
    about = package.metadata
    key = about["Name"].lower().replace("_", "-")
    if key in found:
        return
    named = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    text = (about.get("License") or "").strip().splitlines()
    licence = about.get("License-Expression") or ", ".join(named) or (text[0][:60] if text else "not said")
    found[key] = f"| {about['Name']} | {package.version} | {licence} |"
    for requirement in package.requires or ():
        if "extra ==" not in requirement:
            needed(re.match(r"[\w.-]+", requirement)[0], found)


if __name__ == "__main__":
    rows: dict[str, str] = {}
    needed("ttd-jax", rows)
    print("| package | version | licence |\n|---|---|---|")
    print("\n".join(rows[key] for key in sorted(rows)))
