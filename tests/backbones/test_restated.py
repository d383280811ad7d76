"""Whole networks with random parameters, restated in NumPy, so that a checkout alone notices a changed one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate
from scipy.special import expit

from ttd_jax.backbones.ifcnn import IFCNNNetwork
from ttd_jax.backbones.piafusion import PIAFusionNetwork

RNG = np.random.default_rng(0)


def draw(path, leaf):
    """Parameters of one layer; variances small enough for the epsilon beside them to be seen."""
    name = path[-1].key
    if name == "kernel":
        return RNG.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
    if name in ("scale", "var"):
        return RNG.uniform(0.5, 1.5, leaf.shape) * (1e-3 if name == "var" else 1)
    return RNG.normal(size=leaf.shape) / 10


def made(network, inputs):
    """Random variables in float64, and what the network makes of the inputs with them."""
    abstract = jax.eval_shape(network.init, jax.random.key(0), inputs)
    variables = jax.tree_util.tree_map_with_path(draw, abstract)
    run = jax.jit(lambda variables, inputs: network.apply(variables, inputs))
    return variables, np.asarray(run(jax.tree.map(np.float32, variables), inputs))


def layer(x, parameters, mode):
    """A convolution of an image (H, W, C), continued as SciPy's ``mode`` says, plus the bias if there is one."""
    kernel = parameters["kernel"]
    maps = [
        sum(correlate(x[..., c], kernel[..., c, k], mode=mode) for c in range(x.shape[-1]))
        for k in range(kernel.shape[-1])
    ]
    return np.stack(maps, axis=-1) + parameters.get("bias", 0)


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def test_ifcnn():
    x = RNG.random((6, 7, 3)).astype(np.float32)
    variables, got = made(IFCNNNetwork(), jnp.asarray(x))
    params, stats = variables["params"], variables["batch_stats"]

    def block(x, name):
        x, p, s = layer(x, params[name]["conv"], "nearest"), params[name]["bn"], stats[name]["bn"]
        return np.maximum((x - s["mean"]) / np.sqrt(s["var"] + 1e-5) * p["scale"] + p["bias"], 0)

    hidden = block(block(layer(x, params["conv1"], "nearest"), "conv2"), "conv3")
    expected = hidden @ params["conv4"]["kernel"][0, 0] + params["conv4"]["bias"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_piafusion():
    sources = RNG.random((2, 6, 7, 1)).astype(np.float32)
    variables, got = made(PIAFusionNetwork(), jnp.asarray(sources))
    encoder, decoder = variables["params"]["encoder"], variables["params"]["decoder"]
    visible, infrared = (
        leaky(layer(x, encoder[f"{n}_conv1"], "mirror")) for n, x in zip(("vi", "ir"), sources, strict=True)
    )
    for i in (2, 3, 4, 5):
        visible = leaky(layer(visible, encoder[f"vi_conv{i}"]["conv"], "mirror"))
        infrared = leaky(layer(infrared, encoder[f"ir_conv{i}"]["conv"], "mirror"))
        if i < 5:  # each branch takes over what the other has more, by the sigmoid of the channel's mean difference
            more = infrared - visible
            gate = expit(more.mean(axis=(0, 1)))
            visible, infrared = visible + more * gate, infrared - more * expit(-more.mean(axis=(0, 1)))
            assert np.abs(gate - 0.5).max() > 1e-3  # else the gate could be left out
    x = np.concatenate([visible, infrared], axis=-1)
    for i in (1, 2, 3, 4):
        x = leaky(layer(x, decoder[f"conv{i}"]["conv"], "mirror"))
    expected = np.tanh(layer(x, decoder["conv5"], "mirror")) / 2 + 0.5
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["mirror", "nearest"])
def test_the_restatement_sees_its_border(mode):
    x, kernel = np.arange(9.0).reshape(3, 3, 1), np.zeros((3, 3, 1, 1))
    kernel[0, 1] = 1  # the pixel above
    assert layer(x, {"kernel": kernel}, mode)[0, 0, 0] == {"mirror": 3, "nearest": 0}[mode]
