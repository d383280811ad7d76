"""Scores of any fusion function in the sixteen cells, on one half of the test pairs, clean or with a damaged source.

``score_cells(fuse, half="choose", limit=6)`` takes a function of a list of grey uint8 images and returns the mean
score by cell, seconds after the measures are compiled: cheap enough to be called while a network is trained.
``peer_scores`` gives the same of a method by name, computed once and kept among the temporary files.

The half ``"choose"`` is for every decision; ``"report"`` for the figures that are published, and for nothing else.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from studies.damage import DAMAGES, damaged
from studies.measures import CELLS, Scores, score
from studies.methods import STUDIES, FuseFn, Method, named_method
from studies.pairs import Pair, load_half, spaced
from ttd_jax import metrics

DATA = STUDIES.parents[1] / "shared" / "data"
"""Where the reference data lies beside a checkout."""


def score_cells(
    fuse: FuseFn,
    half: str = "choose",
    limit: int | None = 6,
    robust: bool = False,
    *,
    data: Path = DATA,
    size: int = 256,
    damages: Iterable[str] = tuple(DAMAGES),
) -> Scores:
    """Mean scores of a fusion function in the sixteen cells, or in the robust ones.

    Args:
        fuse: Takes a list of two grey uint8 images, returns a grey uint8 image.
        half: ``"choose"``, ``"report"`` or ``"both"``.
        limit: At most so many pairs of each task, evenly spaced; None for all.
        robust: Damage one source of each pair, the first and the second in turns, and measure against the clean ones.
        data: Folder of test pairs, see ``studies.pairs``.
        size: Central pixels of each pair.
        damages: Kinds of damage, see ``studies.damage``.

    Example:
        >>> score_cells(lambda sources: sources[0], limit=1)["infrared", "SSIM"] > 1  # doctest: +SKIP
        True
    """
    keep_programs()
    pairs = load_half(data, half, size)
    pairs = {task: spaced(members, limit or len(members)) for task, members in pairs.items()}
    if robust:
        return {(kind, *cell): v for kind in damages for cell, v in score_pairs(fuse, pairs, kind).items()}
    return score_pairs(fuse, pairs)


def score_pairs(fuse: FuseFn, pairs: Mapping[str, Sequence[Pair]], damage: str | None = None) -> Scores:
    """Mean scores over pairs by task, by (task, measure); with ``damage``, one source of each is made worse.

    A measure that is not defined for an image, as SCD for a copy of a source, is left out of the mean.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for task, members in pairs.items():
        for index, pair in enumerate(members):
            sources = damaged(pair.sources, damage, index % 2) if damage else pair.sources
            for cell, value in score(task, pair, fuse(list(sources))).items():
                found.setdefault(cell, []).append(value)
    return {cell: _mean([value for value in values if not np.isnan(value)]) for cell, values in found.items()}


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def won(scores: Scores, against: Scores, task: str | None = None, ties: bool = False) -> tuple[int, int]:
    """In how many cells of ``CELLS`` the first is better (or as good), and how many there are; of one task, or all.

    Scores that are not defined lose against those that are.
    """
    cells = [c for c in scores if c in against and c[-1] in CELLS[c[-2]] and task in (None, c[-2])]
    scores, against = ({c: -np.inf if np.isnan(each[c]) else each[c] for c in cells} for each in (scores, against))
    better = sum(scores[c] > against[c] or (ties and scores[c] == against[c]) for c in cells)
    return better, len(cells)


def peer_scores(
    method: Method | str, half: str = "choose", limit: int | None = 6, robust: bool = False, **options
) -> Scores:
    """``score_cells`` of a method or a name, from the temporary files if it has been computed before.

    A change in the method's code or checkpoint, in the measures, the damages or the data makes it be computed again.

    Example:
        >>> peer_scores("pyramid")["focus", "PSNR"] > 45  # doctest: +SKIP
        True
    """
    method = named_method(method) if isinstance(method, str) else method
    key = hashlib.sha256(repr((method.name, half, limit, robust, sorted(options.items()))).encode())
    measuring = [STUDIES / f"{part}.py" for part in ("measures", "pairs", "damage", "scoring")]
    for path in (*method.code, *measuring, Path(metrics.__file__).parent):
        key.update(digest(path))
    images = sorted(options.get("data", DATA).rglob("*.*g"))
    key.update(repr([(path.name, path.stat().st_size) for path in images]).encode())
    path = temporary_folder() / "scores" / f"{key.hexdigest()[:32]}.json"
    if path.exists():
        return {tuple(cell): value for cell, value in json.loads(path.read_text())}
    scores = score_cells(method.fuse, half, limit, robust, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(list(scores.items())))
    part.replace(path)
    return scores


def digest(path: Path) -> bytes:
    """A hash of a file, or of all files of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.suffix != ".pyc")).digest()


def temporary_folder() -> Path:
    """Where the studies keep what can be computed again: a folder of this user among the system's temporary files."""
    return Path(tempfile.gettempdir()) / f"ttd-jax-studies-{os.getuid()}"


def keep_programs() -> None:
    """Keeps compiled measures for the next process, unless jax has been told where to."""
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(temporary_folder() / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
