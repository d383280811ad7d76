"""DenseFuse, DIDFuse, AUIF and PFCFuse's base block with random parameters, restated in NumPy layer by layer."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate, uniform_filter
from scipy.special import erf, expit

from tests.backbones.test_restated import RNG, layer, made
from ttd_jax.backbones.auif import AUIFNetwork
from ttd_jax.backbones.densefuse import DenseFuseNetwork
from ttd_jax.backbones.didfuse import DIDFuseNetwork
from ttd_jax.backbones.pfcfuse import PoolBlock

SHAPE = (13, 11, 1)


@pytest.fixture(params=["padded", "mended"])
def way(request, limit):
    """Small images as they are computed, and as large ones are."""
    limit("MEND_PIXELS", 0 if request.param == "mended" else 10**6)


def relu(x):
    return np.maximum(x, 0)


def norm(x, params, stats):
    return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * params["scale"] + params["bias"]


def prelu(x, slope):
    return np.where(x > 0, x, slope * x)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))


def test_densefuse(way):
    x = 255 * RNG.random(SHAPE).astype(np.float32)
    variables, got = made(DenseFuseNetwork(), jnp.asarray(x))
    params = variables["params"]
    x = relu(layer(x, params["conv1"], "mirror"))
    for i in range(3):
        x = np.concatenate([x, relu(layer(x, params[f"dense_{i}"], "mirror"))], axis=-1)
    for i in (2, 3, 4, 5):
        x = relu(layer(x, params[f"conv{i}"], "mirror"))
    close(got, x)


def test_didfuse(way):
    image = RNG.random(SHAPE).astype(np.float32)
    variables, got = made(DIDFuseNetwork(), jnp.asarray(image))

    def block(x, part, name, mode="constant"):
        params, stats = variables["params"][part][name], variables["batch_stats"][part][name]["bn"]
        y = norm(layer(x, params["conv"], mode), params["bn"], stats)
        return prelu(y, params["slope"]) if "slope" in params else y

    first = block(image, "encoder", "cov1", "mirror")
    second = block(first, "encoder", "cov2")
    both = [np.tanh(block(second, "encoder", name)) for name in ("cov3", "cov4")]
    x = block(np.concatenate(both, axis=-1), "decoder", "cov5")
    x = block(np.concatenate([x, second], axis=-1), "decoder", "cov6")
    close(got, expit(block(np.concatenate([x, first], axis=-1), "decoder", "cov7", "mirror")))


def test_auif(way):
    image = RNG.random(SHAPE).astype(np.float32)
    variables, got = made(AUIFNetwork(), jnp.asarray(image))
    params, stats = variables["params"], variables["batch_stats"]
    filters = np.ones((19, 19))
    filters[9, 9] = -360
    starts = {
        "base": uniform_filter(image[..., 0].astype(float), 11, mode="mirror"),
        "detail": correlate(image[..., 0].astype(float), filters / 720, mode="mirror"),
    }
    total = 0
    for branch, x in starts.items():
        for i in range(10):
            own, running = params[branch][f"layers_{i}"], stats[branch][f"layers_{i}"]["bn"]
            turned = own["kernel"][::-1, ::-1].swapaxes(2, 3)
            y = layer(layer(x[..., None], own, "mirror"), {"kernel": turned}, "mirror")
            slope = prelu(norm(y, own["bn"], running), own["slope"])[..., 0]
            x = x - own["eta"] * (slope - own["theta"] * (image[..., 0] - x))
        total = total + x
    y = layer(total[..., None], params["decoder"]["conv"], "mirror")
    close(got, expit(norm(y, params["decoder"]["bn"], stats["decoder"]["bn"])))


def test_pool_block():
    x = RNG.normal(size=(7, 9, 64)).astype(np.float32)
    variables, got = made(PoolBlock(), jnp.asarray(x))
    params = variables["params"]

    def layer_norm(x, own):
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * own["scale"] + own["bias"]

    y = layer_norm(x, params["norm1"])
    x = x + params["layer_scale_1"] * (uniform_filter(y, (3, 3, 1), mode="constant") - y)
    wide = layer_norm(x, params["norm2"]) @ params["poolmlp"]["fc1"]["kernel"][0, 0]
    wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
    close(got, x + params["layer_scale_2"] * (wide @ params["poolmlp"]["fc2"]["kernel"][0, 0]))
