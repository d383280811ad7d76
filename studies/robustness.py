"""What becomes of the weights and of the fused images when a source or the network is damaged by degrees.

``python -m studies.robustness [STUDY ...] [--checkpoint DIR] [--data DATA] [--figures DIR]``

- ``mask`` (the paper's Figure 6): a box in one source is set to black. The weight of that source inside the box, before
  and after, and in how many cases it fell.
- ``contrast`` (Figure 7): one source is faded towards its mean by degrees. Its weight over the image.
- ``noise`` (Table 8): Gaussian noise is added to every parameter array of the network, its standard deviation a
  multiple of the array's own. Metrics of static fusion and of TTD with the same damaged network, and in how many pairs
  TTD is better.

Tables are printed as Markdown. Without ``--data`` the pairs are made from photographs and scenes
(``studies.weights.own_pairs``), and the figures always are; ``--figures`` draws ``robustness_STUDY.png``.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from studies.measures import MEASURES
from studies.pairs import Pair, load_pairs, spaced
from studies.weights import DEGREES, fade, hide, own_pairs, weights_of
from ttd_jax import Fuser, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.metrics import entropy

Pairs = dict[str, list[Pair]]

NOISE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
METRICS: dict[str, Any] = {"EN": lambda fused, sources: entropy(fused)}
METRICS |= {name: MEASURES[name] for name in ("SD", "AG", "SF", "VIF", "Qabf", "SCD", "SSIM")}
"""Of (H, W) and (2, H, W) uint8; the first four do not look at the sources, and more is better in all."""


def mask_study(fuser: Fuser, pairs: Pairs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By task, the weight of each source inside the box before and after it is hidden there."""
    return {
        task: (weights_of(fuser, members, np.copy, inside=True), weights_of(fuser, members, hide, inside=True))
        for task, members in pairs.items()
    }


def contrast_study(fuser: Fuser, pairs: Pairs, degrees: Sequence[float] = DEGREES) -> dict[str, np.ndarray]:
    """By task, (degrees, pairs, 2): the weight of each source over the image when it is faded."""
    return {
        task: np.stack([weights_of(fuser, members, partial(fade, degree=degree)) for degree in degrees])
        for task, members in pairs.items()
    }


def damage(backbone: Backbone, level: float, seed: int) -> Backbone:
    """The backbone with Gaussian noise on its parameters, ``level`` times the standard deviation of each array."""
    leaves, tree = jax.tree.flatten(backbone.variables)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noise = [jnp.std(leaf) * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    noisy = [leaf + level * draw for leaf, draw in zip(leaves, noise, strict=True)]
    return replace(backbone, variables=jax.tree.unflatten(tree, noisy))


def noise_study(
    backbone: Backbone, pairs: Sequence[Pair], levels: Sequence[float] = NOISE, seeds: int = 2
) -> np.ndarray:
    """(levels, seeds, 2, pairs, metrics): the metrics of static fusion and of TTD with the damaged network.

    Without noise every seed is the same, and is computed once.
    """
    found = np.empty((len(levels), seeds, 2, len(pairs), len(METRICS)))
    for row, level in zip(found, levels, strict=True):
        for seed in range(seeds if level else 1):
            damaged = damage(backbone, level, seed)
            for k, weighting in enumerate(("static", "loss")):
                fuser = Fuser(damaged, weighting=weighting)
                for p, pair in enumerate(pairs):
                    fused = jnp.asarray(fuser(list(pair.sources)).image)
                    row[seed, k, p] = measure(fused, jnp.asarray(pair.sources))
        if not level:
            row[1:] = row[0]
    return found


@jax.jit
def measure(fused, sources):
    """The ``METRICS`` of one fused image, in their order."""
    return jnp.stack([jnp.asarray(metric(fused, sources), jnp.float32) for metric in METRICS.values()])


def print_mask(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    print("| task | cases | weight in the box, before | hidden | fell in |\n|---|---|---|---|---|")
    for task, (before, after) in found.items():
        fell = f"{(after < before).sum()} of {before.size}"
        print(f"| {task} | {before.size} | {before.mean():.3f} | {after.mean():.3f} | {fell} |")


def print_contrast(found: dict[str, np.ndarray], degrees: Sequence[float] = DEGREES) -> None:
    print("| task | cases | " + " | ".join(f"faded {d:.0%}" for d in degrees) + " | falls all the way in |")
    print("|---" * (3 + len(degrees)) + "|")
    for task, weights in found.items():
        falling = np.all(np.diff(weights, axis=0) < 0, axis=0)
        cells = " | ".join(f"{mean:.3f}" for mean in weights.mean(axis=(1, 2)))
        print(f"| {task} | {falling.size} | {cells} | {falling.sum()} of {falling.size} |")


def print_noise(found: np.ndarray, levels: Sequence[float] = NOISE) -> None:
    print("| noise | | " + " | ".join(METRICS) + " |\n|---" + "|---" * (1 + len(METRICS)) + "|")
    for level, scores in zip(levels, found, strict=True):
        static, dynamic = scores.swapaxes(0, 1)
        better = (dynamic > static).mean(axis=(0, 1))
        for label, values in (("static", static), ("TTD", dynamic)):
            print(f"| {level:g} | {label} | " + " | ".join(f"{v:.3f}" for v in values.mean(axis=(0, 1))) + " |")
        print("| | TTD better in | " + " | ".join(f"{share:.0%}" for share in better) + " |")


def draw_mask(fuser: Fuser, pairs: Pairs):
    """A row a task: the first source with the box, its weight before and after, and the fused image."""
    from matplotlib import pyplot

    titles = ("source with a hidden box", "the other source", "weight before", "weight with the box", "fused")
    figure, axes = pyplot.subplots(len(pairs), len(titles), figsize=(11, 2.3 * len(pairs)), layout="constrained")
    scale = None
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for row, (task, members) in zip(axes, pairs.items(), strict=True):
        first, second = members[0].sources
        before, after = (fuser([change(first), second]) for change in (np.copy, hide))
        panels = (hide(first), second, before.weights[0], after.weights[0], after.image)
        for axis, title, panel in zip(row, titles, panels, strict=True):
            weight = title.startswith("weight")
            image = axis.imshow(panel, cmap="viridis" if weight else "gray", vmin=0, vmax=1 if weight else 255)
            axis.set(xticks=[], yticks=[])
            scale = image if weight else scale
        row[0].set_ylabel(task)
    figure.colorbar(scale, ax=axes, fraction=0.015, ticks=(0, 0.5, 1), label="weight")
    return figure


def draw_contrast(fuser: Fuser, pairs: Pairs, found: dict[str, np.ndarray], degrees: Sequence[float] = DEGREES):
    """A faded source with its weight by degrees, for the exposure pair, and the mean weights of all."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11, 6.5), layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    axes = rows[0].subplots(2, len(degrees))
    task = "exposure"
    first, second = pairs[task][0].sources
    for degree, (above, below) in zip(degrees, axes.T, strict=True):
        faded = fade(first, degree)
        above.imshow(faded, cmap="gray", vmin=0, vmax=255)
        image = below.imshow(fuser([faded, second]).weights[0], cmap="viridis", vmin=0, vmax=1)
        above.set(xticks=[], yticks=[], title=f"faded {degree:.0%}")
        below.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel(f"source ({task})")
    axes[1, 0].set_ylabel("its weight")
    rows[0].colorbar(image, ax=axes, fraction=0.015, ticks=(0, 0.5, 1), label="weight")
    axis = rows[1].subplots()
    for name, weights in found.items():
        axis.plot(degrees, weights.mean(axis=(1, 2)), marker="o", label=f"{name} ({weights[0].size} cases)")
    axis.axhline(0.5, color="0.7", linewidth=1, zorder=0)
    axis.set(xlabel="contrast taken away", ylabel="mean weight of the faded source", ylim=(0, 0.6), xticks=degrees)
    axis.legend(frameon=False)
    return figure


def draw_noise(found: np.ndarray, levels: Sequence[float] = NOISE):
    """Every metric against the level of noise, static and TTD; bands reach over the seeds."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(11, 5), sharex=True, layout="constrained")
    for k, (name, axis) in enumerate(zip(METRICS, axes.flat, strict=True)):
        for label, values in zip(("static", "TTD"), found[..., k].mean(axis=-1).transpose(2, 0, 1), strict=True):
            (line,) = axis.plot(levels, values.mean(axis=1), marker="o", label=label)
            axis.fill_between(levels, values.min(axis=1), values.max(axis=1), color=line.get_color(), alpha=0.15)
        axis.set(title=name)
    figure.supxlabel("noise on the parameters, times the standard deviation of each array")
    axes.flat[0].legend(frameon=False)
    return figure


def main() -> None:
    studies = ("mask", "contrast", "noise")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"among {', '.join(studies)}; default: all")
    parser.add_argument("--checkpoint", help="checkpoint to judge (default: the one in the package)")
    parser.add_argument("--data", type=Path, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair of --data")
    parser.add_argument("--most", type=int, default=6, help="pairs of each task, evenly spaced")
    parser.add_argument("--seeds", type=int, default=2, help="draws of the noise at each level")
    parser.add_argument("--figures", type=Path, help="folder for the figures")
    options = parser.parse_args()
    if unknown := set(options.studies) - set(studies):
        parser.error(f"studies are {', '.join(studies)}; got {', '.join(sorted(unknown))}")
    asked = options.studies or studies
    backbone = load_backbone(None, options.checkpoint)
    fuser, own = Fuser(backbone), own_pairs()
    pairs = load_pairs(options.data, options.size) if options.data else own
    pairs = {task: spaced(members, options.most) for task, members in pairs.items()}
    figures = {}
    if "mask" in asked:
        print_mask(mask_study(fuser, pairs))
        figures["mask"] = partial(draw_mask, fuser, own)
    if "contrast" in asked:
        weights = contrast_study(fuser, pairs)
        print_contrast(weights)
        figures["contrast"] = partial(draw_contrast, fuser, own, weights)
    if "noise" in asked:
        scores = noise_study(backbone, [pair for members in pairs.values() for pair in members], seeds=options.seeds)
        print_noise(scores)
        figures["noise"] = partial(draw_noise, scores)
    if options.figures:
        for name, draw in figures.items():
            draw().savefig(options.figures / f"robustness_{name}.png", dpi=75)


if __name__ == "__main__":
    main()
