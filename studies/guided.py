"""What test-time weights do to MGDN: the Lytro focus pairs, and focus pairs whose sharp original is known.

``python -m studies.guided CHECKPOINT --lytro FOLDER`` with the converted focus checkpoint and the folder of
``lytro-NN-A.jpg`` and ``lytro-NN-B.jpg``.

Rows: *static*, the network's own fusion; *loss*, weights by its default recipe; *exchanged*, the control that gives
each source the other's weight; *constant*, every pixel with the mean of the weights of *loss*: the difference between
the two is what the shape of the weights adds. The sharp originals are photographs of scikit-image, one source blurred
here and the other there.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from studies.pairs import known_focus_pairs
from ttd_jax import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core import fusion
from ttd_jax.core.weighting import StaticWeighting
from ttd_jax.metrics import (
    average_gradient,
    edge_preservation,
    entropy,
    peak_signal_to_noise_ratio,
    spatial_frequency,
    standard_deviation,
    structural_similarity,
    visual_information_fidelity,
)

ROWS = ("static", "loss", "exchanged", "constant")
NO_TRUTH = {
    "EN": lambda fused, sources: entropy(fused),
    "SD": lambda fused, sources: standard_deviation(fused),
    "AG": lambda fused, sources: average_gradient(fused),
    "SF": lambda fused, sources: spatial_frequency(fused),
    "VIF": partial(visual_information_fidelity, variant="vifp_sum"),
    "Qabf": partial(edge_preservation, variant="xydeas"),
    "SSIM": partial(structural_similarity, variant="eval255"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", help="folder of the converted focus checkpoint")
    parser.add_argument("--lytro", type=Path, metavar="FOLDER", help="folder of the Lytro pairs")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the fused Lytro images there")
    options = parser.parse_args()
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    backbone = load_backbone("mgdn", options.checkpoint)
    everything = jax.jit(partial(fuse_all, backbone))
    if options.lytro:
        report_lytro(everything, sorted(options.lytro.glob("*-A.jpg")), options.save)
    report_truth(everything)


def fuse_all(backbone: Backbone, sources: jax.Array) -> dict[str, jax.Array]:
    """The image of every row, clipped, from two sources (2, H, W, C)."""
    model, variables, recipe = backbone.model, backbone.variables, backbone.recipes["default"]
    dynamic = fusion.fuse(model, variables, sources, recipe)
    constant = jnp.broadcast_to(jnp.mean(dynamic.weights, axis=(1, 2), keepdims=True), dynamic.weights.shape)
    merged = model.merge(model.encode(variables, sources), constant[..., jnp.newaxis])
    images = {
        "static": fusion.fuse(model, variables, sources, StaticWeighting()).image,
        "loss": dynamic.image,
        "exchanged": fusion.fuse(model, variables, sources, replace(recipe, correlation="positive")).image,
        "constant": model.decode(variables, merged),
    }
    return {name: jnp.clip(image, 0, 1) for name, image in images.items()}


def report_lytro(everything, paths: list[Path], folder: Path | None) -> None:
    """Means over the pairs of metrics that need no truth, of luma in 8 bits."""
    scores: dict[str, list[list[float]]] = {row: [] for row in ROWS}
    for path in paths:
        sources = [np.asarray(Image.open(p)) for p in (path, path.with_name(path.name.replace("-A", "-B")))]
        greys = np.stack([np.asarray(Image.fromarray(source).convert("L")) for source in sources])
        images = everything(np.stack(sources).astype(np.float32) / 255)
        for row in ROWS:
            fused = Image.fromarray(np.rint(np.asarray(images[row]) * 255).astype(np.uint8))
            luma = np.asarray(fused.convert("L"))
            scores[row].append([float(measure(luma, greys)) for measure in NO_TRUTH.values()])
            if folder:
                fused.save(folder / f"{path.stem.removesuffix('-A')}-{row}.png")
    print(f"{len(paths)} Lytro pairs, luma")
    print(f"{'':10}" + "".join(f"{name:>9}" for name in NO_TRUTH))
    for row in ROWS:
        print(f"{row:10}" + "".join(f"{value:9.3f}" for value in np.mean(scores[row], axis=0)))


def report_truth(everything) -> None:
    """PSNR against the sharp originals."""
    pairs = known_focus_pairs()
    scores: dict[str, list[float]] = {row: [] for row in ROWS}
    for pair in pairs:
        images = everything(pair.sources[..., np.newaxis].astype(np.float32) / 255)
        for row in ROWS:
            luma = np.rint(np.asarray(images[row]).mean(axis=-1) * 255).astype(np.uint8)
            scores[row].append(float(peak_signal_to_noise_ratio(luma, pair.truth[np.newaxis])))
    static = np.array(scores["static"])
    print(f"{len(pairs)} pairs with a known sharp original, PSNR in dB")
    for row in ROWS:
        gain = np.array(scores[row]) - static
        print(f"{row:10}{np.mean(scores[row]):9.3f}{gain.mean():+9.3f}   better on {np.sum(gain > 0)}")


if __name__ == "__main__":
    main()
