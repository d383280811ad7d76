"""Sets of files that belong together: the same stem in several folders."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ttd_jax.errors import InputError
from ttd_jax.io.images import formats


class FileSets(NamedTuple):
    """Files matched by stem.

    Attributes:
        complete: Stem to one path per folder, in the folders' order.
        incomplete: Stem to the folders that lack it.
    """

    complete: dict[str, list[Path]]
    incomplete: dict[str, list[Path]]


def match_stems(folders: Sequence[str | os.PathLike[str]]) -> FileSets:
    """Matches the images of several folders by their names without endings.

    Raises:
        InputError: A folder is missing or empty, holds two images of one stem, or no stem is in all folders.
    """
    paths = [Path(folder) for folder in folders]
    listings = [_by_stem(folder) for folder in paths]
    stems = sorted(set().union(*listings))
    complete = {s: [listing[s] for listing in listings] for s in stems if all(s in listing for listing in listings)}
    incomplete = {
        s: [folder for folder, listing in zip(paths, listings, strict=True) if s not in listing]
        for s in stems
        if s not in complete
    }
    if not complete:
        raise InputError(
            f"no image name is in all of {', '.join(map(str, paths))}: sources of one set have the same name without "
            f"ending (found {', '.join(stems[:3])}, ...)"
        )
    return FileSets(complete, incomplete)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder: expected folders of images")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in formats.suffixes() and not path.name.startswith("."):
            if path.stem in found:
                raise InputError(f"{found[path.stem]} and {path.name} have the same stem: keep one of them")
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder} holds no images ({' '.join(formats.suffixes())})")
    return found
