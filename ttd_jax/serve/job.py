"""One fusion for a client: files in, files out, and a report that names none of this machine's paths."""

import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.inputs import Sources, check_sources
from ttd_jax.io.images import check_writable, write_image
from ttd_jax.result import FusionResult
from ttd_jax.serve.files import as_sources, check_pixels, safe_name
from ttd_jax.serve.wanted import Wanted
from ttd_jax.serve.work import Work

MEDIA = {"png": "image/png", "tif": "image/tiff", "jpg": "image/jpeg", "webp": "image/webp", "zip": "application/zip"}
"""Media types by ending."""

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Answered:
    """What a client gets.

    Attributes:
        content: The file.
        ending: Its kind, a key of ``MEDIA``.
        report: Of the fusion.
        seconds: By step.
    """

    content: bytes
    ending: str
    report: Mapping[str, Any]
    seconds: Mapping[str, float]


def read_files(roles: Sequence[str | None], paths: Sequence[Path], wanted: Wanted, *, megapixels: int) -> Sources:
    """Checked sources from a client's files.

    Args:
        roles: A role for each, or None for each.
        paths: The files.
        wanted: Options.
        megapixels: The most that all have together.

    Raises:
        InputError: They cannot be used.
    """
    if len(paths) < 2:
        raise InputError(f"fusion takes two sources or more; got {len(paths)}")
    sources = as_sources(roles, paths)
    check_pixels(paths, megapixels)
    return check_sources(sources, range=wanted.range, align=wanted.align, frame=wanted.align_frame)


def ending_of(wanted: Wanted, first: Path) -> str:
    """The ending of the image that is wanted, beside a first source.

    Raises:
        InputError: A quality is given for a format that has none, or is not from 1 to 100.
    """
    auto = "tif" if first.suffix.lower() in _TIFF else "png"
    ending = auto if wanted.format == "auto" else wanted.format
    check_writable(f"fused.{ending}", quality=wanted.quality)
    return ending


def fuse_sources(work: Work, sources: Sources, wanted: Wanted) -> FusionResult:
    """The fusion, by a program that others may have had compiled.

    Args:
        work: Whose fusers are used.
        sources: Checked sources.
        wanted: Options.

    Raises:
        InputError: The options do not suit the network or the sources, or memory is short.
    """
    fuser = work.fuser(wanted)
    result = fuser(sources)
    work.saw((wanted.program, len(sources.pixels), sources.shape))
    return result


def answer(work: Work, roles: Sequence[str | None], paths: Sequence[Path], wanted: Wanted, folder: Path) -> Answered:
    """A client's files fused.

    Args:
        work: What fuses.
        roles: A role for each file, or None for each.
        paths: The files.
        wanted: Options.
        folder: Where results may lie for a moment.

    Raises:
        InputError: Files or options cannot be used; the message may hold paths (``without_paths``).
    """
    started = time.perf_counter()
    ending = ending_of(wanted, paths[0]) if paths else "png"
    work.fuser(wanted)  # options that do not fit are told before files are read
    sources = read_files(roles, paths, wanted, megapixels=work.limits.megapixels)
    read = time.perf_counter()
    result = fuse_sources(work, sources, wanted)
    fused = time.perf_counter()
    image = folder / f"fused.{ending}"
    result.save(image, quality=wanted.quality)
    content = image.read_bytes() if wanted.answer == "image" else archive(result, image, folder)
    seconds = {"read": read - started, "fuse": fused - read, "write": time.perf_counter() - fused}
    return Answered(content, ending if wanted.answer == "image" else "zip", result.report, seconds)


def write_weights(result: FusionResult, folder: Path) -> list[Path]:
    """The weight maps as 16-bit grey PNG, one a source in its order; none where there are no weights."""
    paths = []
    for number, weights in enumerate(() if result.weights is None else result.weights):
        name = safe_name(Path(result.report["sources"][number]).stem)
        path = folder / f"weight_{number + 1}_{name}.png"
        write_image(path, np.rint(weights * 65535).astype(np.uint16), overwrite=True)
        paths.append(path)
    return paths


def archive(result: FusionResult, image: Path, folder: Path) -> bytes:
    """A zip archive of image, weights and report; not compressed, since pictures are.

    Args:
        result: Of the fusion.
        image: Its image as a file.
        folder: Where weights may lie for a moment.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.write(image, image.name)
        for path in write_weights(result, folder):
            packed.write(path, f"weights/{path.name.removeprefix('weight_')}")
        packed.writestr("report.json", json.dumps(result.report, indent=2))
    return buffer.getvalue()
