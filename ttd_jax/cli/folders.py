"""``ttd-jax fuse`` of many sets: folders, patterns of names, lists; on past what fails."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ttd_jax.cli.kinds import refuse_given
from ttd_jax.cli.progress import followed
from ttd_jax.errors import InputError

_MOST_NOTES = 10
_TIFF = (".tif", ".tiff")


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


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of many sets where there is one.

    Raises:
        InputError: One was given.
    """
    given = {"--recursive": options.recursive, "--suffix": options.suffix, "--failures": options.failures}
    refuse_given(given, "is for folders, --pair and --manifest; the sources are files")


def run_folders(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    """Fuses every set of files with equal names; returns the exit code.

    Raises:
        InputError: The folders hold no sets, or options contradict each other.
    """
    from ttd_jax.cli.fuse import real
    from ttd_jax.io.folders import match_stems

    if twice := next((path for path in paths if list(map(real, paths)).count(real(path)) > 1), None):
        raise InputError(f"the folder {twice} comes twice: every image would be fused with itself")
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


def _run(options: argparse.Namespace, roles: Sequence[str] | None, sets: Any, paths: list[Path]) -> int:
    from ttd_jax.cli.fuse import make_fusers, tell, write
    from ttd_jax.io.atomic import remove_leavings

    if options.overwrite and options.skip_existing:
        raise InputError("--overwrite does all sets again, --skip-existing only those that are not there: choose one")
    folders = _check_folders(options, paths)
    fuser, static = make_fusers(options)
    for folder in filter(None, folders):
        folder.mkdir(exist_ok=True)
        remove_leavings(folder)
    failures = {name: f"missing in {', '.join(map(str, lacking))}" for name, lacking in sets.incomplete.items()}
    wanted: dict[str, tuple[Any, list[Path | None]]] = {}
    for name, files in sets.complete.items():
        suffix = options.suffix or (".tif" if files[0].suffix.lower() in _TIFF else ".png")
        endings = suffix, suffix if suffix in _TIFF else ".png", suffix  # weights have 16 bits
        outputs = [f and f / f"{name}{ending}" for f, ending in zip(folders, endings, strict=True)]
        lacking = [str(path) for path in outputs if path is not None and not path.exists()]
        assert outputs[0] is not None
        if options.overwrite or not outputs[0].exists() or (lacking and options.skip_existing):
            wanted[name] = dict(zip(roles, files, strict=True)) if roles else files, outputs
        elif lacking:  # the image is written last
            failures[name] = f"{outputs[0]} exists already without {', '.join(lacking)}: pass --overwrite"
    kept = len(sets.complete) + len(sets.incomplete) - len(failures) - len(wanted)
    for folder in {path.parent for _, outputs in wanted.values() for path in outputs if path is not None}:
        folder.mkdir(parents=True, exist_ok=True)
    notes: Counter[str] = Counter()
    done = 0
    stream = fuser.stream((one for one, _ in wanted.values()), errors="yield", workers=options.workers)
    with closing(stream) as results:
        pairs = zip(wanted.items(), results, strict=False)  # the shorter one ends the other
        for (name, (one, outputs)), result in followed(pairs, len(wanted), "fusing"):
            try:
                if isinstance(result, Exception):
                    raise result
                report = write(result, static and static(one), outputs, overwrite=True, quality=options.quality)
            except (InputError, OSError) as error:
                failures[name] = str(error)
                continue
            done += 1
            notes.update(report["remarks"])
            if options.json:
                tell(report, True)
    _tell_notes(notes)
    for name, reason in failures.items():
        print(f"ttd-jax: failed: {name}: {reason}", file=sys.stderr)
    if options.failures:
        _write_failures(Path(options.failures), failures, sets, roles)
    if kept and options.skip_existing:
        print(f"ttd-jax: note: {kept} already there", file=sys.stderr)
    elif kept:
        print(f"ttd-jax: note: {kept} existed already and were kept: --overwrite replaces them", file=sys.stderr)
    if not options.json:
        print(f"{options.output}: {done} fused, {len(failures)} failed")
    return 1 if failures else 0


def _tell_notes(notes: Counter[str]) -> None:
    for note, times in notes.most_common(_MOST_NOTES):
        print(f"ttd-jax: note: {note}" + (f" ({times} times)" if times > 1 else ""), file=sys.stderr)
    if len(notes) > _MOST_NOTES:
        print(f"ttd-jax: note: {len(notes) - _MOST_NOTES} more notes, see --json", file=sys.stderr)


def _write_failures(path: Path, failures: dict[str, str], sets: Any, roles: Sequence[str] | None) -> None:
    """JSON lines: name, error, and the files of a set where it has all."""
    from ttd_jax.io.atomic import atomic_file

    lines = []
    for name, reason in failures.items():
        files = sets.complete.get(name, [])
        named = zip(roles or [f"source {i + 1}" for i in range(len(files))], files, strict=False)
        lines.append(json.dumps({"name": name, **{role: str(f.absolute()) for role, f in named}, "error": reason}))
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))


def _check_folders(options: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """The three output folders; each exists or can be made."""
    from ttd_jax.cli.fuse import refuse_clashes
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable

    suffix = options.suffix or ".png"
    if not suffix.startswith("."):
        raise InputError(f"--suffix is an ending such as .jpg; got {suffix}")
    check_writable(f"any{suffix}", quality=options.quality)
    folders = [Path(name) if name else None for name in (options.output, options.save_weights, options.save_static)]
    for folder in filter(None, folders):
        check_output(folder, overwrite=True)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"output {folder} is a file: name a folder, since the sources are folders")
        if folder.is_dir():
            check_output(folder / "any", overwrite=True)
    if options.failures:
        check_output(options.failures, overwrite=True)
    refuse_clashes(folders, paths)
    return folders
