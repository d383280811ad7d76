"""Networks with random parameters: time and memory do not depend on them."""

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.spec import Backbone


def random_backbone(name: str, preset: str | None = None) -> Backbone:
    """A network with parameters in the range of trained ones, since zeros, infinities and NaNs might take other time.

    Args:
        name: Of the network.
        preset: Of its presets; None for the first.
    """
    spec = BACKBONES[name].of_preset(preset)
    model = spec.build(**spec.presets[preset or spec.default_preset])
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key.endswith("kernel"):
            return jnp.asarray(rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape), leaf.dtype)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "var") else (-0.1, 0.1)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    return Backbone(spec, model, jax.tree_util.tree_map_with_path(draw, spec.abstract(model)))
