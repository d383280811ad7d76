"""A small trained-like IFCNN for tests: random features with the linear read-out that best gives the image back."""

import jax
import jax.numpy as jnp
import numpy as np

from ttd_jax.backbones.ifcnn import IFCNN, SPEC, normalize
from ttd_jax.backbones.spec import Backbone


def ifcnn_variables(seed: int = 0):
    """Random parameters and running statistics whose decoded components resemble their sources."""
    model = IFCNN()
    rng = np.random.default_rng(seed)
    abstract = SPEC.abstract(model)
    variables = jax.tree_util.tree_map_with_path(lambda path, leaf: _draw(rng, path[-1].key, leaf.shape), abstract)
    images = jnp.asarray(rng.random((2, 24, 24, 3)), jnp.float32)
    hidden = _hidden(model, variables, images).reshape(-1, 64)
    design = np.concatenate([hidden, np.ones((len(hidden), 1), np.float32)], axis=1)
    readout = np.linalg.lstsq(design, np.asarray(normalize(images)).reshape(-1, 3), rcond=1e-4)[0]
    variables["params"]["conv4"] = {
        "kernel": jnp.asarray(readout[:64].reshape(1, 1, 64, 3), jnp.float32),
        "bias": jnp.asarray(readout[64], jnp.float32),
    }
    return variables


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> jax.Array:
    if name == "kernel":
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    elif name in ("scale", "var"):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.normal(size=shape) / 10
    return jax.device_put(values.astype(np.float32))


def _hidden(model: IFCNN, variables, images):
    """What enters the last convolution."""
    network = model.network

    def body(module, x):
        return module.conv3(module.encode(x))

    return np.asarray(jax.jit(lambda x: network.apply(variables, normalize(x), method=body))(images))


def ifcnn_backbone(variables, rule: str = "mean") -> Backbone:
    """A backbone in memory, as ``load_backbone`` would give it."""
    model = SPEC.build(rule=rule)
    return Backbone(SPEC, model, jax.device_put(variables))
