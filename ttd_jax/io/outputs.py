"""Which sets of a run are to be fused, into which files, and which are done or cannot be."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ttd_jax.errors import InputError
from ttd_jax.io.atomic import check_output, remove_leavings
from ttd_jax.io.folders import FileSets
from ttd_jax.io.images import check_writable
from ttd_jax.io.storage import Address, Place, existing

TIFF = (".tif", ".tiff")


class Planned(NamedTuple):
    """What a run has to do.

    Attributes:
        wanted: Name to the files of a set and the files to write: image, weights, static image; None for those that
            are not asked for.
        failures: Name to why its set cannot be fused.
        kept: Names whose files are there already.
    """

    wanted: dict[str, tuple[list[Place], list[Place | None]]]
    failures: dict[str, str]
    kept: list[str]


def plan(
    sets: FileSets,
    folders: Sequence[Place | None],
    *,
    suffix: str | None = None,
    overwrite: bool = False,
    complete: bool = False,
) -> Planned:
    """What is to be done of some sets.

    Args:
        sets: All of them.
        folders: Where images, weights and static images go; None for those that are not asked for.
        suffix: Ending of the images; None for ``.tif`` where the first source is TIFF, else ``.png``.
        overwrite: Do all again.
        complete: Do those again that lack one of their files; else they have failed.

    Raises:
        InputError: A folder cannot be listed.
    """
    failures = {name: f"missing in {', '.join(map(str, lacking))}" for name, lacking in sets.incomplete.items()}
    there = [existing(folder) if folder else None for folder in folders]
    planned = Planned({}, failures, [])
    for name, files in sets.complete.items():
        ending = suffix or (".tif" if files[0].suffix.lower() in TIFF else ".png")
        endings = ending, ending if ending in TIFF else ".png", ending  # weights have 16 bits
        outputs = [folder / f"{name}{end}" if folder else None for folder, end in zip(folders, endings, strict=True)]
        lacking = []
        if not overwrite:
            lacking = [path for path, known in zip(outputs, there, strict=True) if path and known and not known(path)]
        if overwrite or outputs[0] in lacking or (lacking and complete):
            planned.wanted[name] = files, outputs
        elif lacking:  # the image is written last
            names = ", ".join(map(str, lacking))
            failures[name] = f"{outputs[0]} exists already without {names}: pass --overwrite"
        else:
            planned.kept.append(name)
    return planned


def check_folders(
    folders: Sequence[Place | None], sources: Sequence[Place], *, suffix: str | None = None, quality: int | None = None
) -> None:
    """Refuses folders that results cannot go to, before anything is computed.

    Args:
        folders: As for ``plan``.
        sources: Folders of sources.
        suffix: Ending of the images.
        quality: Of JPEG and WebP.

    Raises:
        InputError: One is a file, a source or another of them, cannot be made or written to, or there is no such
            ending.
    """
    ending = suffix or ".png"
    if not ending.startswith("."):
        raise InputError(f"--suffix is an ending such as .jpg; got {ending}")
    check_writable(f"any{ending}", quality=quality)
    for folder in folders:
        if isinstance(folder, Path):
            check_output(folder, overwrite=True)
            if folder.exists() and not folder.is_dir():
                raise InputError(f"output {folder} is a file: name a folder, since the sources are folders")
            if folder.is_dir():
                check_output(folder / "any", overwrite=True)
    refuse_clashes(folders, sources)


def make_folders(folders: Sequence[Place | None], planned: Planned) -> None:
    """Makes the folders that files go to, and removes what killed runs left there."""
    for folder in folders:
        if isinstance(folder, Path):
            folder.mkdir(exist_ok=True)
    for folder in _folders_written(planned):
        folder.mkdir(parents=True, exist_ok=True)
    clean_folders(folders, planned)


def clean_folders(folders: Sequence[Place | None], planned: Planned) -> None:
    """Removes what killed processes of this machine left in the folders that files go to, and in those within."""
    for folder in {folder for folder in folders if isinstance(folder, Path)} | _folders_written(planned):
        remove_leavings(folder)


def _folders_written(planned: Planned) -> set[Path]:
    outputs = (path for _, outputs in planned.wanted.values() for path in outputs)
    return {path.parent for path in outputs if isinstance(path, Path)}


def refuse_clashes(outputs: Sequence[Place | None], sources: Sequence[Place]) -> None:
    """Refuses outputs that are a source or another output.

    Raises:
        InputError: One is.
    """
    taken = {real(path) for path in sources}
    for output in outputs:
        if output is None:
            continue
        if real(output) in taken:
            raise InputError(f"output {output} is also a source or another output: choose another name")
        taken.add(real(output))


def refuse_twice(folders: Sequence[Place]) -> None:
    """Refuses a folder of sources that comes twice.

    Raises:
        InputError: One does.
    """
    names = [real(folder) for folder in folders]
    if twice := next((folder for folder, name in zip(folders, names, strict=True) if names.count(name) > 1), None):
        raise InputError(f"the folder {twice} comes twice: every image would be fused with itself")


def real(path: Place) -> str:
    """The file or folder that is meant, through links; of a link to itself, that link."""
    if isinstance(path, Address):
        return path.rstrip("/")
    return os.path.realpath(str(path).partition("\0")[0])
