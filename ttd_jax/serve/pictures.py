"""What a page shows of a fusion: pictures of 8 bits, no larger than a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from ttd_jax.figures import colorize
from ttd_jax.inputs import Sources
from ttd_jax.result import FusionResult

_LONGEST_SIDE = 1600  # pixels; downloads have all


def save_preview(image: np.ndarray, path: Path) -> Path:
    """An image as JPEG for the page: 8 bits, its longer side at most 1600 pixels.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16, or floats, which are clipped to [0, 1].
        path: File to write.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    picture.convert("RGB").save(path, "JPEG", quality=92)
    return path


def source_pictures(sources: Sources, folder: Path) -> list[tuple[str, str]]:
    """The sources with their names, for a gallery."""
    return _gallery(sources.pixels, sources.roles, folder, "source")


def component_pictures(result: FusionResult, folder: Path) -> list[tuple[str, str]]:
    """The components with the names of their sources, for a gallery."""
    return _gallery(result.components, result.report["sources"], folder, "component")


def weight_pictures(result: FusionResult, folder: Path) -> list[tuple[str, str]]:
    """The weights in colours, dark for 0 and bright for 1, with their means, for a gallery."""
    if result.weights is None:
        return []
    maps = [colorize(weights, "weight", 0, 1) for weights in result.weights]
    names = [
        f"{name} {weights.mean():.0%}" for name, weights in zip(result.report["sources"], result.weights, strict=True)
    ]
    return _gallery(maps, names, folder, "weights")


def summary(report: Mapping[str, Any]) -> str:
    """A report in words, as Markdown."""
    height, width = report["shape"][:2]
    depth = {"uint8": "8 bit", "uint16": "16 bit"}.get(report["dtype"], report["dtype"])
    color = {"gray": "grey", "luma": "colour kept", "rgb": "colour"}.get(report["color"], report["color"])
    network = f"{report['backbone']} {report['preset'] or ''}".strip()
    seconds = report["seconds"]["fuse"]
    lines = [f"**{len(report['sources'])} images** of {width} × {height}, {depth}, {color}; {network}, {seconds:.1f} s"]
    lines += [f"- {plain(remark)}" for remark in report["remarks"]]
    return "\n".join([lines[0], "", *lines[1:]])


def plain(text: str) -> str:
    """A text whose signs mean nothing in Markdown and HTML, as names of files may hold any."""
    return "".join(
        f"\\{c}" if c in r"\`*_{}[]()#+-.!|~$" else {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(c, c) for c in text
    )


def score_rows(scores: Mapping[str, Mapping[str, float]], metrics: Mapping[str, Any]) -> list[list[str]]:
    """Rows of a table: a metric and its value for each image.

    Args:
        scores: For each image, values by abbreviation.
        metrics: What is known of each, ``ttd_jax.metrics.METRICS``.
    """
    first = next(iter(scores.values()))
    return [
        [
            f"{name} {metrics[name].arrow}",
            metrics[name].full_name,
            *(_number(values[name]) for values in scores.values()),
        ]
        for name in first
    ]


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"


def _gallery(
    images: Sequence[Float[np.ndarray, "H W ..."]] | Any, names: Sequence[str], folder: Path, kind: str
) -> list[tuple[str, str]]:
    if images is None:
        return []
    paths = [save_preview(image, folder / f"{kind}_{number + 1}.jpg") for number, image in enumerate(images)]
    return [(str(path), name) for path, name in zip(paths, names, strict=True)]
