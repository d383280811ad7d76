"""Which feature channel to take the gradients of: chosen for each image, by hand, all, or any?

``python -m studies.channels --data DATA [--checkpoint DIR] [--recipe NAME] [--each 6] [--size 128]``

A few pairs of each of four tasks, cut to their centre, fused once with every channel's gradient weights. Pairs that
share an image stay together; the tasks' halves take turns. A fixed channel is chosen for a task on the first half, by
the mean of its standardised measures, and everything is printed for the second half: mean change against uniform
weights, which are the static rule of a sum or a mean.

* *auto*: ``channel="auto"``; *mean*: ``channel="mean"``; *best fixed*: the channel chosen by hand on the first half;
* *chance*: the mean over all channels, what a channel drawn at random gives; *ceiling*: for each pair the channel that
  turns out best, which nobody can know;
* *loss*: the loss map of the same recipe; *positive*: it with the positive correlation; the loss in the forms and
  normalisations of the paper's Tables 4 and 5; and the channels that the paper shows, if there are as many.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from studies.measures import CELLS, MEASURES
from studies.pairs import Pair, load_pairs
from ttd_jax import GradientWeighting, load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.dominability import reconstruction_losses, weights_from_losses
from ttd_jax.core.gradients import channel_mix, channel_scores, channel_sums, component_gradients
from ttd_jax.core.weighting import LossWeighting
from ttd_jax.metrics import peak_signal_to_noise_ratio, structural_similarity

PAPER_CHANNELS = (13, 44, 58)
FORMS = {
    "loss, linear": {"form": "linear"},
    "loss, sigmoid": {"form": "sigmoid"},
    "loss, exp": {"form": "exp"},
    "loss, proportional": {"form": "exp", "normalization": "proportional"},
    "loss, no normalization": {"form": "exp", "normalization": "none"},
    "loss, positive": {"correlation": "positive", "normalization": "softmax"},
}
EXTRA = ("SD", "AG", "SF")
NAMES = ("VIF", "Qabf", "SCD", "SSIM", "MEF-SSIM", "PSNR", "SSIM truth", *EXTRA)


def fuse_all(backbone: Backbone, recipe: LossWeighting, sources, truth):
    """Every measure of fusion by each row's weights and by each channel's; and what is known of every channel."""
    model, variables = backbone.model, backbone.variables
    stack = sources[..., jnp.newaxis].astype(jnp.float32) / 255
    weighting = GradientWeighting().complete(recipe)
    features = model.encode(variables, stack)
    components, magnitudes = component_gradients(model, variables, stack, features, weighting)
    sums = channel_sums(magnitudes, stack, jnp.ones(stack.shape[1], bool), score=True)
    losses = reconstruction_losses(model, components, stack, recipe)

    def by_channel(channel):
        mix, _ = channel_mix(channel, sums)
        return weights_from_losses(jnp.matmul(magnitudes, mix, precision="highest"), weighting)

    def measured(weights):  # compiled once, for all of them
        latent = model.merge(features, weights[..., jnp.newaxis])
        image = model.render(variables, latent, stack)
        grey = jnp.rint(255 * jnp.clip(jnp.mean(image, axis=-1), 0, 1)).astype(jnp.uint8)
        return jnp.stack([measure(name, grey, sources, truth) for name in NAMES])

    rows = [jnp.full_like(losses, 1 / len(losses)), by_channel("mean")]
    rows += [weights_from_losses(losses, replace(recipe, **change)) for change in ({}, *FORMS.values())]
    channels = jax.lax.map(by_channel, jnp.arange(magnitudes.shape[-1]))
    scores = jax.lax.map(measured, jnp.concatenate([jnp.stack(rows), channels]))
    return {
        "static": scores[0],
        "mean": scores[1],
        "losses": scores[2 : len(rows)],
        "channels": scores[len(rows) :],
        "score": channel_scores(sums),
        "spread": jnp.sqrt(sums.spread / sums.values),
        "agreement": sums.agreement / jnp.sqrt(sums.spread * sums.detail),
    }


def measure(name: str, fused, sources, truth):
    """One measure of a fused image; the last two against the truth."""
    if name == "PSNR":
        return peak_signal_to_noise_ratio(fused, truth[jnp.newaxis], variant="standard")
    if name == "SSIM truth":
        return structural_similarity(fused, truth[jnp.newaxis], variant="eval255")
    return MEASURES[name](fused, sources)


def choose_pairs(pairs: dict[str, list[Pair]], each: int) -> dict[str, list[Pair]]:
    """``each`` pairs a task, spread over those there are; focus with known truth."""
    tasks = {task: pairs["truth" if task == "focus" else task] for task in CELLS}
    return {
        task: [members[i] for i in np.unique(np.linspace(0, len(members) - 1, each).astype(int))]
        for task, members in tasks.items()
    }


def halves(members: list[Pair]) -> np.ndarray:
    """For each pair whether it is of the second half; pairs of one photograph or with an equal source stay together."""
    groups: dict = {}
    keys = [pair.name.split()[0] if pair.truth is not None else pair.sources[0].tobytes() for pair in members]
    return np.array([groups.setdefault(key, len(groups)) % 2 == 1 for key in keys])


def best(gains: np.ndarray) -> int:
    """The channel with the best mean of standardised measures, from gains (channels, measures)."""
    return int(np.argmax(np.mean(gains / (gains.std(axis=0) + 1e-12), axis=-1)))


def report_task(task: str, found: list[dict], second: np.ndarray) -> tuple[dict, str]:
    """Rows of changes on the second half, and a line about the channels."""
    static = np.array([one["static"] for one in found])
    gains = np.array([one["channels"] for one in found]) - static[:, np.newaxis]  # pair, channel, measure
    losses = np.array([one["losses"] for one in found]) - static[:, np.newaxis]
    auto = [int(np.argmax(one["score"])) for one in found]
    judged = [NAMES.index(name) for name in CELLS[task]]
    fixed = best(gains[~second][..., judged].mean(axis=0))
    held = np.flatnonzero(second)
    rows = {
        "auto": np.mean([gains[i, auto[i]] for i in held], axis=0),
        "best fixed": gains[held, fixed].mean(axis=0),
        "mean": np.mean([found[i]["mean"] - static[i] for i in held], axis=0),
        "chance": gains[held].mean(axis=(0, 1)),
        "ceiling": np.mean([gains[i, best(gains[i][..., judged])] for i in held], axis=0),
        **{name: losses[held, k].mean(axis=0) for k, name in enumerate(["loss", *FORMS])},
    }
    rows |= {f"channel {c}": gains[held, c].mean(axis=0) for c in PAPER_CHANNELS if c < gains.shape[1]}
    quality = np.array([np.mean(g / (g.std(axis=0) + 1e-12), axis=-1) for g in gains[..., judged]])
    ranks = {
        key: np.nanmean([spearmanr(one[key], q)[0] for one, q in zip(found, quality, strict=True)])
        for key in ("score", "agreement", "spread")
    }
    note = (
        f"{task}: {np.sum(~second)} pairs to choose from, {len(held)} held out; fixed channel {fixed}; auto chose "
        f"{', '.join(str(auto[i]) for i in held)}; rank correlation with a channel's quality, all pairs: "
        f"score of auto {ranks['score']:+.2f}, agreement {ranks['agreement']:+.2f}, spread {ranks['spread']:+.2f}"
    )
    return {name: dict(zip(NAMES, row, strict=True)) for name, row in rows.items()}, note


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--checkpoint", help="checkpoint folder (default: the one in the package)")
    parser.add_argument("--recipe", default="default", help="recipe that says component, space and form")
    parser.add_argument("--each", type=int, default=6, help="pairs a task")
    parser.add_argument("--size", type=int, default=128, help="central pixels of each pair")
    options = parser.parse_args()
    backbone = load_backbone(None, options.checkpoint)
    pairs = choose_pairs(load_pairs(options.data, options.size, 3), options.each)
    tables = {}
    run = jax.jit(partial(fuse_all, backbone, backbone.recipes[options.recipe]))
    for task, members in pairs.items():
        found = []
        for pair in members:
            truth = pair.sources[0] if pair.truth is None else pair.truth
            found.append(jax.device_get(run(jnp.asarray(pair.sources), jnp.asarray(truth))))
        tables[task], note = report_task(task, found, halves(members))
        print(note, flush=True)
    print(f"\n{backbone.name} {backbone.manifest.get('preset')}, recipe {options.recipe}: change against static fusion")
    for task, rows in tables.items():
        columns = (*CELLS[task], *EXTRA)
        print(f"\n| {task} | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
        for name, row in rows.items():
            print(f"| {name} | " + " | ".join(f"{row[c]:+.4f}" for c in columns) + " |")
    print(f"\n| of {sum(map(len, CELLS.values()))} cells | better than static | auto better than it |\n|---|---|---|")
    for name in tables["infrared"]:
        cells = [(tables[t][name][c], tables[t]["auto"][c]) for t in CELLS for c in CELLS[t]]
        print(f"| {name} | {sum(a > 0 for a, _ in cells)} | {sum(b > a for a, b in cells)} |")


if __name__ == "__main__":
    main()
