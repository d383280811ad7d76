"""``ttd-jax fuse`` of many sets: folders, patterns of names, lists; on past what fails."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ttd_jax.cli import cluster
from ttd_jax.cli.kinds import refuse_given
from ttd_jax.cli.progress import followed
from ttd_jax.errors import InputError

_MOST_NOTES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which files are sets, and how a run of many goes."""
    group = parser.add_argument_group("many sets")
    group.add_argument(
        "--pair",
        nargs="+",
        metavar="PATTERN",
        help="one pattern a source in place of SOURCE, such as 'vis_{}.png' 'ir_{}.png', or with roles; "
        "{} is what names of a set have in common, * anything, **/ any folders",
    )
    group.add_argument("--manifest", metavar="FILE", help="a list of sets in place of SOURCE: CSV or JSON lines")
    group.add_argument("--recursive", action="store_true", help="look into folders inside the folders, too")
    group.add_argument("--skip-existing", action="store_true", help="leave complete results alone, do others again")
    group.add_argument("--suffix", metavar=".EXT", help="ending of the results (default: .tif for TIFF, else .png)")
    group.add_argument("--failures", metavar="FILE", help="also write what failed, as a list for --manifest")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="threads that read files (default: 1)")
    cluster.add_arguments(parser)


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of many sets where there is one.

    Raises:
        InputError: One was given.
    """
    given = {
        "--recursive": options.recursive,
        "--suffix": options.suffix,
        "--failures": options.failures,
        "--ray": options.ray is not None,
    }
    refuse_given(given, "is for folders, --pair and --manifest; the sources are files")


def run_folders(options: argparse.Namespace, sources: Any, paths: Sequence[Any]) -> int:
    """Fuses every set of files with equal names; returns the exit code.

    Raises:
        InputError: The folders hold no sets, or options contradict each other.
    """
    from ttd_jax.io.folders import match_stems
    from ttd_jax.io.outputs import refuse_twice

    refuse_twice(paths)
    sets = match_stems(paths, recursive=options.recursive)
    return _run(options, list(sources) if isinstance(sources, dict) else None, sets, paths)


def run_lists(options: argparse.Namespace) -> int:
    """Fuses the sets of patterns or of a list; returns the exit code.

    Raises:
        InputError: There are no sets, or options contradict each other.
    """
    from ttd_jax.cli.fuse import parse_sources
    from ttd_jax.io.folders import match_patterns, read_manifest

    if options.sources or (options.pair and options.manifest):
        raise InputError("name the sources once: as SOURCE, by --pair, or by --manifest")
    if options.manifest:
        roles, sets = read_manifest(options.manifest)
        return _run(options, roles, sets, [])
    patterns = parse_sources(options.pair)
    texts = [str(path) for path in (patterns.values() if isinstance(patterns, dict) else patterns)]
    if len(texts) < 2:
        raise InputError(f"--pair takes two patterns or more; got {texts[0]}")
    if len(set(texts)) < len(texts):
        raise InputError("a pattern comes twice: every image would be fused with itself")
    return _run(options, list(patterns) if isinstance(patterns, dict) else None, match_patterns(texts), [])


def _run(options: argparse.Namespace, roles: Sequence[str] | None, sets: Any, sources: Sequence[Any]) -> int:
    from ttd_jax.cli.fuse import tell
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.outputs import check_folders, plan
    from ttd_jax.io.storage import Address, place

    if options.overwrite and options.skip_existing:
        raise InputError("--overwrite does all sets again, --skip-existing only those that are not there: choose one")
    folders = [place(name) if name else None for name in (options.output, options.save_weights, options.save_static)]
    if options.ray is None and (remote := next((one for one in folders if isinstance(one, Address)), None)):
        raise InputError(f"{remote} is on other storage: add --ray, or name a folder here")
    check_folders(folders, sources, suffix=options.suffix, quality=options.quality)
    if options.failures:
        check_output(options.failures, overwrite=True)
    planned = plan(sets, folders, suffix=options.suffix, overwrite=options.overwrite, complete=options.skip_existing)
    outcomes = (_fuse_here if options.ray is None else cluster.fuse_there)(options, roles, folders, planned)
    failures, notes, done = planned.failures, Counter[str](), 0
    with closing(outcomes):
        for name, outcome in followed(outcomes, len(planned.wanted), "fusing"):
            if isinstance(outcome, str):
                failures[name] = outcome
                continue
            done += 1
            notes.update(outcome["remarks"])
            if options.json:
                tell(outcome, True)
    _tell_notes(notes)
    for name, reason in failures.items():
        print(f"ttd-jax: failed: {name}: {reason}", file=sys.stderr)
    if options.failures:
        _write_failures(Path(options.failures), failures, sets, roles)
    if (kept := len(planned.kept)) and options.skip_existing:
        print(f"ttd-jax: note: {kept} already there", file=sys.stderr)
    elif kept:
        print(f"ttd-jax: note: {kept} existed already and were kept: --overwrite replaces them", file=sys.stderr)
    if not options.json:
        print(f"{options.output}: {done} fused, {len(failures)} failed")
    return 1 if failures else 0


def _fuse_here(
    options: argparse.Namespace, roles: Sequence[str] | None, folders: Sequence[Any], planned: Any
) -> Generator[tuple[str, Any], None, None]:
    """Name, and the report or why not, of every set, in this process."""
    from ttd_jax.cli.fuse import make_fusers
    from ttd_jax.io.outputs import make_folders
    from ttd_jax.result import write_files

    fuser, static = make_fusers(options)
    make_folders(folders, planned)
    sets = [(dict(zip(roles, files, strict=True)) if roles else files, o) for files, o in planned.wanted.values()]
    stream = fuser.stream((one for one, _ in sets), errors="yield", workers=options.workers)
    with closing(stream) as results:
        for name, (one, outputs), result in zip(planned.wanted, sets, results, strict=False):
            try:
                if isinstance(result, Exception):
                    raise result
                plain = static and static(one)
                yield name, write_files(result, plain, outputs, overwrite=True, quality=options.quality)
            except (InputError, OSError) as error:
                yield name, str(error)


def _tell_notes(notes: Counter[str]) -> None:
    for note, times in notes.most_common(_MOST_NOTES):
        print(f"ttd-jax: note: {note}" + (f" ({times} times)" if times > 1 else ""), file=sys.stderr)
    if len(notes) > _MOST_NOTES:
        print(f"ttd-jax: note: {len(notes) - _MOST_NOTES} more notes, see --json", file=sys.stderr)


def _write_failures(path: Path, failures: dict[str, str], sets: Any, roles: Sequence[str] | None) -> None:
    """JSON lines: name, error, and the files of a set where it has all."""
    from ttd_jax.io.atomic import atomic_file
    from ttd_jax.io.storage import absolute

    lines = []
    for name, reason in failures.items():
        files = sets.complete.get(name, [])
        named = zip(roles or [f"source {i + 1}" for i in range(len(files))], files, strict=False)
        lines.append(json.dumps({"name": name, **{role: absolute(f) for role, f in named}, "error": reason}))
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))
