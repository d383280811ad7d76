"""The table and the figure of ``docs/metrics.md`` and ``docs/studies/metrics.md``.

``python -m studies.metrics_docs`` prints every variant of every metric with its value on one fused image;
``python -m studies.metrics_docs --figure docs/figures/metrics_gamed.png`` draws which metrics prefer a
damaged image to the truth (needs matplotlib). The scene is a photograph of scikit-image (``data.camera``,
CC0) focused on its left half in one source and on its right half in the other, so the photograph itself is
the perfect fusion.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from scipy import ndimage
from skimage import data

from ttd_jax.metrics import METRICS, evaluate


def quantized(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def two_focus_scene() -> tuple[np.ndarray, list[np.ndarray]]:
    """The photograph and its two views, out of focus on the right and on the left."""
    photo = data.camera()
    blurred = ndimage.gaussian_filter(photo.astype(float), 2.5)
    side = 1 / (1 + np.exp(-(np.arange(photo.shape[1]) - photo.shape[1] / 2) / 6))
    return photo, [
        quantized(photo * (1 - side) + blurred * side),
        quantized(photo * side + blurred * (1 - side)),
    ]


def print_variants() -> None:
    _, sources = two_focus_scene()
    fused = quantized(np.mean(sources, axis=0))
    print("| variant | what it is | conventions | value |")
    print("|---|---|---|---|")
    for name, metric in METRICS.items():
        for variant, meaning in metric.variants.items():
            named = ", ".join(f"`{c}`" for c, held in metric.conventions.items() if held == variant)
            with jax.enable_x64(True):
                value = evaluate(fused, sources, metrics=[name], variants={name: variant})[name]
            print(f"| `{name}/{variant}` | {meaning} | {named or '-'} | {value:.6g} |")


def candidates() -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The sources and, by name, what a method might hand in; the truth comes first."""
    photo, sources = two_focus_scene()
    truth = photo.astype(float)
    noise = np.random.default_rng(0).normal(size=photo.shape)
    detail = truth - ndimage.gaussian_filter(truth, 1.5)
    images = {
        "the photograph": truth,
        "noise, sd 5": truth + 5 * noise,
        "noise, sd 20": truth + 20 * noise,
        "sharpened, 1x": truth + detail,
        "sharpened, 3x": truth + 3 * detail,
        "contrast x 1.3": 128 + 1.3 * (truth - 128),
        "blurred, sd 1": ndimage.gaussian_filter(truth, 1),
        "mean of sources": np.mean(sources, axis=0),
        "first source": sources[0],
    }
    return sources, {name: quantized(image) for name, image in images.items()}


def draw(path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    sources, images = candidates()
    with jax.enable_x64(True):
        scores = {name: evaluate(image, sources) for name, image in images.items()}
    truth = scores.pop("the photograph")
    figure, axes = plt.subplots(figsize=(8.6, 7.2), layout="constrained")
    for row, (name, metric) in enumerate(METRICS.items()):
        for column, score in enumerate(scores.values()):
            gain = score[name] - truth[name]
            better = gain > 0 if metric.direction == "higher" else gain < 0
            color = "#c8553d" if better else "#dfe7ea"
            axes.add_patch(plt.Rectangle((column, row), 0.96, 0.9, color=color, linewidth=0))
            ink = "white" if better else "#33454d"
            axes.text(column + 0.48, row + 0.46, f"{score[name]:.4g}", ha="center", va="center", color=ink, size=8)
        label = f"{name} {metric.arrow}  {truth[name]:.4g}"
        axes.text(-0.1, row + 0.46, label, ha="right", va="center", size=9, family="monospace")
    for column, name in enumerate(scores):
        axes.text(column + 0.48, -0.2, name, ha="left", va="bottom", rotation=30, size=9)
    axes.text(-0.1, -0.2, "the photograph", ha="right", va="bottom", size=9)
    legend = "red: preferred to the photograph, which is the perfect fusion"
    axes.text(len(scores), len(METRICS) + 0.5, legend, ha="right", va="center", size=9, color="#c8553d")
    axes.set(xlim=(-2.4, len(scores) + 0.6), ylim=(len(METRICS) + 1, -2.2))
    axes.axis("off")
    figure.savefig(path, dpi=110)
    with Image.open(path) as image:
        image.convert("RGB").quantize(32).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, help="draw the figure into this file instead of printing the table")
    options = parser.parse_args()
    if options.figure:
        draw(options.figure)
    else:
        print_variants()


if __name__ == "__main__":
    main()
