"""Scores of folders of fused images: one image at a time, every method on the same images."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import jax
import numpy as np

from ttd_jax.errors import InputError
from ttd_jax.io.folders import match_stems
from ttd_jax.io.images import read_image
from ttd_jax.io.storage import Place
from ttd_jax.metrics.evaluation import evaluate, resolve_variants
from ttd_jax.metrics.planes import Channel, check_channel, check_image
from ttd_jax.metrics.record import Convention
from ttd_jax.metrics.table import METRICS
from ttd_jax.ops.pixels import to_float

Scores = Mapping[str, float]

_MOST_SIZES = 4  # compiled programs of all metrics for one size hold some hundred MiB


@dataclass(frozen=True)
class Comparison:
    """What :func:`evaluate_folders` found.

    An image that fails for one method counts for none, so that all means are over the same images.

    Attributes:
        sources: The source folders, as given.
        folders: The folder of each method, as given.
        scores: Method to image (name without ending) to metric to value.
        convention: Whose definitions were followed.
        variants: The variant of each metric.
        channel: What colour images were judged by.
        dtypes: Pixel types that occurred, by name.
        failed: Image to the reason why it was left out.
        unmatched: Folder to the names that other folders have and it lacks.
        remarks: What was done to pixels, and on how many files or images.

    Example:
        >>> scores = {"mean": {"1": {"EN": 6.0}, "2": {"EN": 7.0}}, "mine": {"1": {"EN": 7.0}, "2": {"EN": 7.5}}}
        >>> found = Comparison(
        ...     sources=("vis", "ir"),
        ...     folders={"mean": "mean/", "mine": "mine/"},
        ...     scores=scores,
        ...     convention="standard",
        ...     variants={"EN": "shannon"},
        ...     channel="y",
        ... )
        >>> found.means(), found.ranks()["mine"]
        ({'mean': {'EN': 6.5}, 'mine': {'EN': 7.25}}, {'EN': 1})
    """

    sources: tuple[str, ...]
    folders: Mapping[str, str]
    scores: Mapping[str, Mapping[str, Scores]]
    convention: str
    variants: Mapping[str, str]
    channel: str
    dtypes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    unmatched: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remarks: Mapping[str, int] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """Names of the images that were scored."""
        return list(next(iter(self.scores.values())))

    @property
    def undefined(self) -> dict[str, int]:
        """How many images a metric's mean leaves out, being NaN for a method; only metrics that have such."""
        counts = {name: int(np.isnan(values).any(axis=0).sum()) for name, values in self._by_metric().items()}
        return {name: count for name, count in counts.items() if count}

    def means(self) -> dict[str, dict[str, float]]:
        """Method to metric to the mean over the images where it is defined for every method; NaN if there is none."""
        found: dict[str, dict[str, float]] = {method: {} for method in self.scores}
        for name, values in self._by_metric().items():
            kept = values[:, ~np.isnan(values).any(axis=0)]
            for method, row in zip(self.scores, kept, strict=True):
                found[method][name] = float(np.mean(row)) if row.size else float("nan")
        return found

    def ranks(self) -> dict[str, dict[str, int | None]]:
        """Method to metric to the rank of its mean: 1 is best, equal means share a rank, a NaN has none."""
        means = self.means()
        found: dict[str, dict[str, int | None]] = {method: {} for method in means}
        for name in self.variants:
            sign = 1 if METRICS[name].direction == "higher" else -1
            for method in means:
                own = means[method][name]
                better = sum(sign * other[name] > sign * own for other in means.values())
                found[method][name] = None if np.isnan(own) else 1 + better
        return found

    def _by_metric(self) -> dict[str, np.ndarray]:
        """Values (methods, images) by metric."""
        return {
            name: np.array([[scores[name] for scores in by_image.values()] for by_image in self.scores.values()])
            for name in self.variants
        }


def evaluate_folders(
    fused: Mapping[str, str | os.PathLike[str]],
    sources: Sequence[str | os.PathLike[str]],
    *,
    metrics: Iterable[str] | None = None,
    convention: Convention = "standard",
    variants: Mapping[str, str] | None = None,
    channel: Channel = "y",
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Comparison:
    """Metrics of every fused image of one or more methods.

    Images belong together if their names without ending are equal. One set is in memory at a time. Alpha is
    dropped. Where the images of a set have different depths, each is taken at its own full scale,
    and channel ``"gray"`` rounds nothing.

    Every size of images compiles its own programs. So that memory stays bounded in a folder of many sizes, all that
    jax has compiled is dropped (``jax.clear_caches``) after every few new sizes.

    Args:
        fused: The folder of each method, by the method's name.
        sources: The folders of the sources, at least two.
        metrics: As for :func:`evaluate`.
        convention: As for :func:`evaluate`.
        variants: As for :func:`evaluate`.
        channel: As for :func:`evaluate`.
        progress: Called with the names of all images, gives them back one by one; for a progress bar.

    Returns:
        The scores. What could not be scored is listed in it, and the rest is scored nevertheless.

    Raises:
        InputError: A folder is missing or empty, fewer than two source folders, no name is in all folders, or an
            unknown metric, convention, variant or channel.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, level in (("vis", 0), ("ir", 200), ("out", 100)):
        ...         Path(folder, name).mkdir()
        ...         Image.new("L", (4, 4), level).save(Path(folder, name, "1.png"))
        ...     paths = [f"{folder}/vis", f"{folder}/ir"]
        ...     found = evaluate_folders({"mine": f"{folder}/out"}, paths, metrics=["RMSE"])
        >>> found.means()
        {'mine': {'RMSE': 100.0}}
    """
    if len(sources) < 2:
        raise InputError(f"metrics compare fused images with two or more source folders; got {len(sources)}")
    if not fused:
        raise InputError("name at least one folder of fused images")
    check_channel(channel)
    chosen = resolve_variants(metrics, convention=convention, variants=variants)
    sets = match_stems([*sources, *fused.values()])
    measure = partial(evaluate, metrics=list(chosen), convention=convention, variants=chosen, channel=channel)
    scores: dict[str, dict[str, Scores]] = {method: {} for method in fused}
    failed: dict[str, str] = {}
    remarks: Counter[str] = Counter()
    dtypes: set[str] = set()
    sizes: set[tuple[int, ...]] = set()
    for stem in progress(list(sets.complete)):
        try:
            images, said, found = _read_set(sets.complete[stem])
            if images[0].shape[:2] not in sizes and len(sizes) == _MOST_SIZES:
                jax.clear_caches()
                sizes.clear()
            sizes.add(images[0].shape[:2])
            given, results = images[: len(sources)], images[len(sources) :]
            rows = {method: measure(*_one_depth(result, given)) for method, result in zip(fused, results, strict=True)}
        except (InputError, OSError) as error:
            failed[stem] = str(error)
            continue
        for method, row in rows.items():
            scores[method][stem] = row
        remarks.update(said)
        dtypes |= found
    unmatched: dict[str, list[str]] = {}
    for stem, lacking in sets.incomplete.items():
        for folder in lacking:
            unmatched.setdefault(str(folder), []).append(stem)
    return Comparison(
        sources=tuple(str(folder) for folder in sources),
        folders={method: str(folder) for method, folder in fused.items()},
        scores=scores,
        convention=convention,
        variants=chosen,
        channel=channel,
        dtypes=tuple(sorted(dtypes)),
        failed=failed,
        unmatched=unmatched,
        remarks=remarks,
    )


def _read_set(paths: Sequence[Place]) -> tuple[list[np.ndarray], list[str], set[str]]:
    """Checked pixels of one set of files, remarks on them, and their pixel types."""
    images, remarks = [], []
    for path in paths:
        picture = read_image(path)
        remarks += [remark.replace(path.name, "an image") for remark in picture.remarks]
        if picture.pixels.shape[2:] in ((2,), (4,)):
            remarks.append("alpha was dropped")
        images.append(check_image(picture.pixels, str(path)))
    if len({image.shape[:2] for image in images}) > 1:
        sizes = ", ".join(f"{p} {i.shape[1]} x {i.shape[0]}" for p, i in zip(paths, images, strict=True))
        raise InputError(f"sizes differ: {sizes} (width x height): crop or resize them to match")
    dtypes = {image.dtype.name for image in images}
    if len(dtypes) > 1:
        remarks.append(f"pixels are {' and '.join(sorted(dtypes))} in one set: each was taken at its own full scale")
    return images, remarks, dtypes


def _one_depth(fused: np.ndarray, sources: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """All as they are if they have one depth, else as floats in [0, 1]."""
    if len({image.dtype for image in (fused, *sources)}) > 1:
        return to_float(fused), [to_float(source) for source in sources]
    return fused, list(sources)
