"""What the page does, step by step and without Gradio: files in, files to show and to download out."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ttd_jax.errors import InputError
from ttd_jax.inputs import Sources, check_sources
from ttd_jax.io.images import read_image
from ttd_jax.result import FusionResult
from ttd_jax.serve.examples import Example, example_paths
from ttd_jax.serve.files import as_sources, check_pixels, without_paths
from ttd_jax.serve.job import archive, ending_of, fuse_sources, read_files
from ttd_jax.serve.pictures import (
    component_pictures,
    save_preview,
    score_rows,
    source_pictures,
    summary,
    weight_pictures,
)
from ttd_jax.serve.wanted import read_wanted
from ttd_jax.serve.work import Full, Work

T = TypeVar("T")

METRICS = ("EN", "SD", "AG", "SF", "MI", "Qabf", "SSIM", "VIF")
"""Those that the page shows."""

ORDER = "in any order, the first is the reference"
"""What the page says of sources without roles."""

ROLES = (ORDER, "visible, infrared", "mri, pet", "under, normal, over", "near, far")
"""Roles that the page suggests; others can be typed."""

Gallery = list[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """What the page has to show of one fusion so far.

    Attributes:
        words: What was done, as Markdown.
        image: The fused image for the screen.
        download: The fused image at full depth.
        pair: The static and the fused image for the screen; None until there are.
        archive: Everything as a file.
        weights: Weight maps with their names.
        components: Components with their names.
        sources: The files that were fused.
        static: The static image at full depth.
    """

    words: str
    image: str
    download: str
    pair: tuple[str, str] | None = None
    archive: str | None = None
    weights: Gallery = field(default_factory=list)
    components: Gallery = field(default_factory=list)
    sources: tuple[str, ...] = ()
    static: str | None = None


def fuse_for_page(
    work: Work, folder: Path, given: Sequence[str], roles: Sequence[str], texts: Mapping[str, Any]
) -> Iterator[Shown]:
    """The fusion at once, then what it is compared with and made of.

    Args:
        work: What fuses.
        folder: Where results lie.
        given: Files.
        roles: A role for each, or none.
        texts: Options by name, as a form has them.

    Raises:
        InputError: Files or options cannot be used, or the service is busy.
    """
    paths = [Path(name) for name in given]
    wanted = read_wanted({name: str(text or "") for name, text in texts.items()})
    if len(paths) > work.limits.files:
        raise InputError(f"one fusion takes {work.limits.files} images at most; got {len(paths)}")
    if roles and len(roles) != len(paths):
        raise InputError(
            f"{len(roles)} roles are named ({', '.join(roles)[:80]}) for {len(paths)} images: name as many, or none"
        )
    inside = Path(tempfile.mkdtemp(prefix="fused-", dir=folder))

    def first() -> tuple[Sources, FusionResult, Shown]:
        ending = ending_of(wanted, paths[0]) if paths else "png"
        sources = read_files(list(roles) or [None] * len(paths), paths, wanted, megapixels=work.limits.megapixels)
        result = fuse_sources(work, sources, wanted)
        download = inside / f"fused.{ending}"
        result.save(download)
        shown = save_preview(result.image, inside / "fused.jpg")
        return sources, result, Shown(summary(result.report), str(shown), str(download))

    def second() -> Shown:
        packed = inside / "fusion.zip"
        packed.write_bytes(archive(result, Path(shown.download), inside))
        still = fuse_sources(work, sources, replace(wanted, weighting="static", recipe=None))
        static = inside / f"static{Path(shown.download).suffix}"
        still.save(static)
        pair = str(save_preview(still.image, inside / "static.jpg")), shown.image
        return replace(
            shown,
            pair=pair,
            archive=str(packed),
            weights=weight_pictures(result, inside),
            components=component_pictures(result, inside),
            sources=tuple(str(path) for path in paths) if wanted.align is None else (),
            static=str(static),
        )

    sources, result, shown = _run(work, first, paths)
    yield shown
    yield _run(work, second, paths)


def roles_in(text: str | None) -> list[str]:
    """The roles that a text names; none for ``ORDER``.

    Example:
        >>> roles_in("visible,  infrared"), roles_in(ORDER)
        (['visible', 'infrared'], [])
    """
    return [] if not text or text == ORDER else [role for role in re.split(r"[,\s]+", text.strip()) if role]


def see_sources(work: Work, folder: Path, given: Sequence[str], roles: Sequence[str]) -> Gallery:
    """The sources for a gallery.

    Args:
        work: Where files are read.
        folder: Where pictures of them lie.
        given: Files.
        roles: A role for each, or none.

    Raises:
        InputError: Files cannot be used.
    """
    paths = [Path(name) for name in given]

    def look() -> Gallery:
        named = list(roles) if len(roles) == len(paths) else [None] * len(paths)
        check_pixels(paths, work.limits.megapixels)
        sources = check_sources(as_sources(named, paths), suspect=False)
        return source_pictures(sources, Path(tempfile.mkdtemp(prefix="seen-", dir=folder)))

    return _run(work, look, paths)


def score_for_page(work: Work, shown: Shown) -> list[list[str]]:
    """A table of metrics, of the fused and of the static image.

    Args:
        work: Where they are computed.
        shown: What is on the page.

    Raises:
        InputError: Its files have been removed since, or there is nothing to compare with.
    """
    if not shown.sources or shown.static is None:
        raise InputError("metrics are shown of images that were fused as they are: choose no alignment, and fuse again")

    def score() -> list[list[str]]:
        from ttd_jax.metrics import METRICS as KNOWN
        from ttd_jax.metrics import evaluate

        names = {"fused": shown.download, "static": shown.static}
        if lost := [name for name in (*names.values(), *shown.sources) if not Path(str(name)).is_file()]:
            raise InputError(f"{Path(str(lost[0])).name} was removed in the meantime: fuse again")
        sources = [read_image(name).pixels for name in shown.sources]
        scores = {
            kind: evaluate(read_image(str(name)).pixels, sources, metrics=METRICS) for kind, name in names.items()
        }
        return score_rows(scores, KNOWN)

    return _run(work, score, [Path(name) for name in shown.sources])


def open_example(folder: Path, example: Example) -> list[str]:
    """Copies of an example's files, as if they had been uploaded.

    Args:
        folder: Where they lie.
        example: The set.
    """
    inside = Path(tempfile.mkdtemp(prefix="example-", dir=folder))
    return [str(shutil.copy(path, inside)) for path in example_paths(example)]


def _run(work: Work, job: Callable[[], T], paths: Sequence[Path]) -> T:
    """Runs a job; whatever keeps it from being done is said in words that name no path.

    Raises:
        InputError: It cannot be done.
    """
    try:
        return work.run(job)
    except InputError as error:
        raise InputError(_without(str(error), paths)) from None
    except Full:
        raise InputError("many others are fusing: try again in half a minute") from None
    except TimeoutError:
        raise InputError(f"this took longer than {work.limits.seconds} seconds: try smaller images") from None


def _without(message: str, paths: Sequence[Path]) -> str:
    for path in paths:
        message = message.replace(str(path), path.name)
    return without_paths(message, Path(tempfile.gettempdir()))
