"""Sets of files that belong together: the same name in several folders, patterns of names, or a list of sets."""

import csv
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ttd_jax.errors import InputError, shown
from ttd_jax.io.extras import load
from ttd_jax.io.images import formats
from ttd_jax.io.storage import Address, Place, files_in, local_copy, place


class FileSets(NamedTuple):
    """Files that were matched by name.

    Attributes:
        complete: Name to one path per source, in the sources' order.
        incomplete: Name to the sources that lack it.
    """

    complete: dict[str, list[Place]]
    incomplete: dict[str, list[Place]]


def match_stems(folders: Sequence[str | os.PathLike[str]], *, recursive: bool = False) -> FileSets:
    """Matches the images of several folders by their names without endings.

    Args:
        folders: One a source.
        recursive: Look into folders inside them, too; a name is then a path such as ``monday/0001``.

    Raises:
        InputError: A folder is missing or empty, holds two images of one stem, or no stem is in all folders.
    """
    paths = [place(folder) for folder in folders]
    listings = [_by_stem(folder, recursive) for folder in paths]
    sets = _match(listings, paths)
    if not sets.complete:
        found = list(sets.incomplete)[:3]
        raise InputError(
            f"no image name is in all of {', '.join(map(str, paths))}: sources of one set have the same name without "
            f"ending (found {', '.join(found)}, ...), or are told by --pair or --manifest"
        )
    return sets


def match_patterns(patterns: Sequence[str]) -> FileSets:
    """Matches files by patterns such as ``vis_{}.png``, where ``{}`` is what the names of one set have in common.

    Args:
        patterns: One a source; ``*`` stands for anything in a name, ``**`` for any folders.

    Raises:
        InputError: A pattern has no ``{}`` or fits no file, two files of a source have one name, or no name is found
            for all sources.
    """
    listings = [_by_pattern(pattern) for pattern in patterns]
    sets = _match(listings, [place(pattern) for pattern in patterns])
    if not sets.complete:
        raise InputError(
            f"no name fits all of {' '.join(patterns)} (found {', '.join(list(sets.incomplete)[:3])}, ...)"
        )
    return sets


def read_manifest(path: str | os.PathLike[str]) -> tuple[list[str], FileSets]:
    """The roles and sets of a list: CSV with a line of column names, JSON lines, or a table in Parquet.

    Every column is a source, but for ``name``, which says what the result is called (without ending); without it that
    is the first file's name. Relative paths start where the list lies.

    Raises:
        InputError: The list cannot be read, has fewer than two sources, or two of its sets have one name.
    """
    path = place(path)
    try:
        with local_copy(path) as copy:
            rows = _rows(copy)
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror or error}") from None
    except InputError:
        raise
    except (ValueError, csv.Error) as error:  # JSON's, Unicode's and Arrow's errors are ValueErrors
        raise InputError(
            f"{path} is a list of sets as CSV, JSON lines or Parquet; it cannot be read: {error}"
        ) from None
    roles = list(dict.fromkeys(key for row in rows for key in row if key not in ("name", "error")))
    if len(roles) < 2:
        raise InputError(f"{path} has the sources {', '.join(map(shown, roles)) or 'none'}: name two columns or more")
    complete: dict[str, list[Place]] = {}
    incomplete: dict[str, list[Place]] = {}
    for number, row in enumerate(rows, 1):
        files = [_beside(path, row[role]) for role in roles if row.get(role)]
        name = row.get("name") or (files[0].stem if files else f"set {number}")
        if name in complete or name in incomplete:
            raise InputError(f"{path} has two sets called {shown(name)}: give every set a name in a column 'name'")
        if len(files) == len(roles):
            complete[_safe(name)] = files
        else:
            incomplete[_safe(name)] = [Path(role) for role in roles if not row.get(role)]
    if not complete:
        raise InputError(f"{path} lists no complete set of {', '.join(roles)}")
    return roles, FileSets(complete, incomplete)


def _beside(listed_in: Place, name: str) -> Place:
    """The file that a list means; a relative path starts where the list lies."""
    file = place(name)
    return file if isinstance(file, Address) or file.is_absolute() else listed_in.parent / name


def _rows(path: Path) -> list[Mapping[str, str]]:
    if path.suffix.lower() == ".parquet":
        rows = load("pyarrow.parquet", "ray", "a list in Parquet").read_table(path).to_pylist()
        return [{key: str(cell) for key, cell in row.items() if cell is not None} for row in rows]
    text = path.read_text(encoding="utf-8-sig")
    if not text.lstrip().startswith("{"):
        table = csv.DictReader(text.splitlines(), strict=True)
        return [{key.strip(): cell.strip() for key, cell in row.items() if key and cell} for row in table]
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
            raise ValueError("every line is an object of texts")
    return rows


def _safe(name: str) -> str:
    """A name of a result, which stays in the output folder."""
    if not name.isprintable() or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise InputError(f"the name {shown(name)} leaves the output folder: choose another")
    return name


def _match(listings: Sequence[Mapping[str, Place]], sources: Sequence[Place]) -> FileSets:
    names = sorted(set().union(*listings))
    complete = {n: [listing[n] for listing in listings] for n in names if all(n in listing for listing in listings)}
    incomplete = {
        n: [source for source, listing in zip(sources, listings, strict=True) if n not in listing]
        for n in names
        if n not in complete
    }
    return FileSets(complete, incomplete)


def _by_pattern(pattern: str) -> dict[str, Place]:
    if pattern.count("{}") != 1:
        raise InputError(f"a pattern has one {{}} for what names of a set have in common; got {pattern}")
    words = {"{}": "([^/]+)", "**/": "(?:.*/)?", "*": "[^/]*"}
    pattern = pattern if isinstance(place(pattern), Address) else os.path.normpath(place(pattern))
    parts = re.split(r"(\{\}|\*\*/|\*)", pattern)
    expression = re.compile("".join(words.get(part, re.escape(part)) for part in parts))
    found: dict[str, Place] = {}
    fixed = parts[0].rpartition("/")
    base = place(fixed[0] or fixed[1] or ".")
    deep = "/" in "".join(parts[1:])
    for path in files_in(base, recursive=deep) if isinstance(base, Address) or base.is_dir() else ():
        fits = None if path.name.startswith(".") else expression.fullmatch(path.as_posix())
        if fits and fits[1] in found:
            raise InputError(f"{found[fits[1]]} and {path} both are {shown(fits[1])} of {pattern}: keep one of them")
        if fits:
            found[fits[1]] = path
    if not found:
        raise InputError(f"no file fits the pattern {pattern}")
    return found


def _by_stem(folder: Place, recursive: bool) -> dict[str, Place]:
    if isinstance(folder, Path) and not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder: expected folders of images")
    suffixes = formats.suffixes()
    found: dict[str, Place] = {}
    for path in files_in(folder, recursive=recursive):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            stem = path.relative_to(folder).with_suffix("").as_posix() if recursive else path.stem
            if stem in found:
                raise InputError(f"{found[stem]} and {path.name} have the same stem: keep one of them")
            found[stem] = path
    if not found:
        raise InputError(f"{folder} holds no images ({' '.join(formats.suffixes())})")
    return found
