"""Building blocks against plain versions of themselves, in one strip and in several."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate
from scipy.special import erf, softmax

from ttd_jax.backbones import strips
from ttd_jax.backbones.guided import CrossAttention, dynamic_filter
from ttd_jax.backbones.layers import (
    PointwiseConv,
    ReplicateConv,
    channel_attention,
    gelu,
    in_turn,
    layer_norm,
)
from ttd_jax.backbones.restormer import FullAttention, GatedFeedForward
from ttd_jax.backbones.strips import map_strips, scan_strips
from ttd_jax.backbones.swin import ContextTransformer, WindowAttention
from ttd_jax.ops.conv import depthwise_conv
from ttd_jax.ops.padding import reflect_pad, replicate_pad, zero_pad


@pytest.fixture(params=[10_000, 26], ids=["one strip", "strips of two rows"])
def strip_pixels(request, monkeypatch):
    monkeypatch.setitem(strips.STRIP_PIXELS, "cpu", request.param)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def applied(module):
    """The module as one program of its own, whatever equal modules were compiled before."""
    return jax.jit(lambda *arguments: module.apply(*arguments))


def parameters(module, *inputs):
    """Random parameters of a module."""
    abstract = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs))
    leaves, tree = jax.tree.flatten(abstract)
    return jax.device_put(jax.tree.unflatten(tree, [draw(*leaf.shape, seed=i) / 2 for i, leaf in enumerate(leaves)]))


@pytest.mark.parametrize(
    ("pad", "mode"),
    [(zero_pad, "constant"), (reflect_pad, "mirror"), (replicate_pad, "nearest")],
    ids=["zero", "reflect", "replicate"],
)
def test_depthwise_convolution(strip_pixels, pad, mode):
    x, kernel = draw(7, 13, 3), draw(3, 3, 3, seed=1)
    got = map_strips(lambda strip: depthwise_conv(strip, jnp.asarray(kernel)), pad(jnp.asarray(x), 1), height=7)
    expected = [correlate(x[..., c], kernel[..., c], mode=mode, cval=0) for c in range(3)]
    np.testing.assert_allclose(got, np.stack(expected, axis=-1), atol=1e-5)


@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (3, 4), (7, 1)])
def test_replicate_convolution(size, dilation):
    module, x = ReplicateConv(2, size, dilation), draw(2, 9, 13, 3)
    kernel, bias = draw(size, size, 3, 2, seed=1), draw(2, seed=2)
    got = applied(module)({"params": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}, jnp.asarray(x))
    spread = np.zeros((dilation * (size - 1) + 1,) * 2 + (3, 2))
    spread[::dilation, ::dilation] = kernel
    expected = [
        [sum(correlate(image[..., c], spread[..., c, k], mode="nearest") for c in range(3)) + bias[k] for k in range(2)]
        for image in x.astype(np.float64)
    ]
    np.testing.assert_allclose(got, np.moveaxis(np.array(expected), 1, -1), atol=1e-4)


def test_strips_carry_along_what_lies_inside(strip_pixels):
    x = draw(7, 13, 2)

    def step(carry, inside, strip):
        return carry + jnp.sum(jnp.where(inside, strip, 0)), 2 * strip

    total, doubled = scan_strips(step, jnp.zeros(()), jnp.asarray(x), height=7)
    np.testing.assert_allclose(total, x.sum(), rtol=1e-5)
    np.testing.assert_allclose(doubled, 2 * x)


def test_strips_of_a_batch(strip_pixels):
    x = jnp.asarray(draw(2, 7, 13, 2))
    np.testing.assert_allclose(map_strips(lambda s: s * s, x, height=7), x * x)


def test_channel_attention(strip_pixels):
    """Six channels in two heads: attention among three channels each, all pixels long."""
    x, temperature, project = draw(7, 13, 18), np.array([0.7, 1.9]).reshape(2, 1, 1), draw(6, 4, seed=1)
    got = channel_attention(
        jnp.asarray(x), lambda s: s[1:-1, 1:-1], jnp.asarray(temperature, jnp.float32), jnp.asarray(project)
    )
    q, k, v = (part.reshape(91, 2, 3).transpose(1, 2, 0) for part in np.split(x.astype(np.float64), 3, axis=-1))
    q, k = (part / np.linalg.norm(part, axis=-1, keepdims=True) for part in (q, k))
    attended = softmax(q @ k.transpose(0, 2, 1) * temperature, axis=-1) @ v
    expected = attended.transpose(2, 0, 1).reshape(7, 13, 6) @ project
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_channel_attention_of_nothing_has_a_gradient():
    def total(x):
        return channel_attention(x, lambda s: s[1:-1, 1:-1], jnp.ones((1, 1, 1)), jnp.eye(2)).sum()

    assert np.isfinite(jax.grad(total)(jnp.zeros((4, 4, 6)))).all()


def grouped(x, kernel, groups):
    """XLA's own grouped convolution."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x[None], kernel, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups
    )[0]


@pytest.mark.parametrize("group", [1, 2])
def test_gated_feed_forward(strip_pixels, group):
    module, x = GatedFeedForward(6, group), jnp.asarray(draw(7, 13, 4))
    variables = parameters(module, x)
    p = {name: layer["kernel"] for name, layer in variables["params"].items()}
    wide = grouped(x @ p["project_in"][0, 0], p["dwconv"], 12 // group)
    gate, content = np.asarray(wide[..., :6], np.float64), np.asarray(wide[..., 6:])
    expected = gate * (1 + erf(gate / np.sqrt(2))) / 2 * content @ np.asarray(p["project_out"][0, 0])
    np.testing.assert_allclose(applied(module)(variables, x), expected, atol=1e-4)


def test_two_linear_convolutions_are_one(strip_pixels):
    module, x = FullAttention(heads=2), jnp.asarray(draw(7, 13, 4))
    variables = parameters(module, x)
    p = variables["params"]
    qkv = grouped(x @ p["qkv1"]["kernel"][0, 0], p["qkv2"]["kernel"], 1)
    expected = channel_attention(qkv, lambda s: s[1:-1, 1:-1], p["scale"], p["proj"]["kernel"][0, 0])
    np.testing.assert_allclose(applied(module)(variables, x), expected, atol=1e-4)


def test_cross_attention_pads_behind_the_bias(strip_pixels):
    """The 3x3 convolutions see zeros outside the image, although the 1x1 before them has a bias."""
    module, guide, content = (
        CrossAttention(6, heads=3),
        jnp.asarray(draw(7, 13, 6)),
        jnp.asarray(draw(7, 13, 6, seed=1)),
    )
    variables = parameters(module, guide, content)
    p = variables["params"]

    def branch(x, name):
        wide = x @ p[name]["kernel"][0, 0] + p[name]["bias"]
        return grouped(wide, p[f"{name}_dwconv"]["kernel"], wide.shape[-1]) + p[f"{name}_dwconv"]["bias"]

    qkv = jnp.concatenate([branch(guide, "q"), branch(content, "kv")], axis=-1)
    project = p["project_out"]
    expected = channel_attention(qkv, lambda s: s[1:-1, 1:-1], p["temperature"], project["kernel"][0, 0])
    np.testing.assert_allclose(applied(module)(variables, guide, content), expected + project["bias"], atol=1e-4)


def test_dynamic_filter_with_one_kernel_for_all_pixels(strip_pixels):
    x, kernel = draw(9, 13, 3), draw(7, 7, seed=1)
    kernels = jnp.broadcast_to(kernel.reshape(49), (9, 13, 49))
    expected = np.stack([correlate(x[..., c], kernel, mode="nearest") for c in range(3)], axis=-1)
    np.testing.assert_allclose(dynamic_filter(jnp.asarray(x), kernels), expected, atol=1e-4)


def test_dynamic_filter_takes_each_pixels_own_kernel(strip_pixels):
    """Kernels that pick one neighbour each: the result is that neighbour."""
    x, rng = draw(9, 13, 2), np.random.default_rng(1)
    row, column = rng.integers(-3, 4, (2, 9, 13))
    kernels = np.eye(49, dtype=np.float32)[(row + 3) * 7 + column + 3]
    i, j = np.mgrid[:9, :13]
    expected = x[np.clip(i + row, 0, 8), np.clip(j + column, 0, 12)]
    np.testing.assert_allclose(dynamic_filter(jnp.asarray(x), jnp.asarray(kernels)), expected, atol=1e-6)


@pytest.mark.parametrize("shifted", [False, True])
def test_window_attention(strip_pixels, shifted):
    """Against attention over all pixels, with a mask for pairs that share no window or were no neighbours."""
    side, heads, height, width, channels = 4, 2, 8, 12, 6
    module = WindowAttention(heads, side)
    x = jnp.asarray(draw(height, width, channels))
    variables = parameters(module, x, jnp.asarray(False))
    p = jax.tree.map(np.asarray, variables["params"])
    q, k, v = np.split(x @ p["qkv"]["kernel"] + p["qkv"]["bias"], 3, axis=-1)
    i, j = (axis.reshape(-1) for axis in np.mgrid[:height, :width])
    window = i // side * (width // side) + j // side
    # After a shift by half a window, the last two rows and columns come from the other side of the image.
    origin = (i >= height - side // 2) * 2 + (j >= width - side // 2)
    together = window[:, None] == window
    if shifted:
        together &= origin[:, None] == origin
    table = p["relative_position_bias_table"].reshape(2 * side - 1, 2 * side - 1, heads)
    di, dj = np.clip(i[:, None] - i, 1 - side, side - 1), np.clip(j[:, None] - j, 1 - side, side - 1)
    out = []
    for head in range(heads):
        part = slice(head * 3, head * 3 + 3)
        qh, kh, vh = (a.reshape(-1, channels)[:, part] for a in (q, k, v))
        logits = qh @ kh.T / np.sqrt(3) + table[di + side - 1, dj + side - 1, head]
        out.append(softmax(np.where(together, logits, -np.inf), axis=-1) @ vh)
    expected = np.concatenate(out, axis=-1) @ p["proj"]["kernel"] + p["proj"]["bias"]
    got = applied(module)(variables, x, jnp.asarray(shifted))
    np.testing.assert_allclose(got, expected.reshape(height, width, channels), atol=1e-4)


def test_a_shifted_block_is_the_plain_one_on_a_shifted_image():
    """Away from the border, where the windows of both lie inside the image."""
    module, x = ContextTransformer(8, 2, 4, 16), jnp.asarray(draw(16, 16, 8))
    variables = parameters(module, x, jnp.asarray(False))
    variables["params"]["lce"] = jax.tree.map(jnp.zeros_like, variables["params"]["lce"])  # it looks at the whole image
    run = jax.jit(module.apply)
    shifted, plain = run(variables, x, jnp.asarray(True)), run(variables, x[2:14, 2:14], jnp.asarray(False))
    np.testing.assert_allclose(shifted[2:14, 2:14], plain, atol=1e-4)


def test_in_turn_is_one_after_another():
    class Chain(nn.Module):
        def setup(self):
            self.layers = [PointwiseConv(3, use_bias=True) for _ in range(4)]

        def __call__(self, x):
            return in_turn(self.layers, x)

    x = jnp.asarray(draw(2, 3, 3))
    variables = parameters(Chain(), x)
    expected = x
    for i in range(4):
        layer = variables["params"][f"layers_{i}"]
        expected = expected @ layer["kernel"][0, 0] + layer["bias"]
    np.testing.assert_allclose(Chain().apply(variables, x), expected, rtol=1e-4)


def test_layer_norm_has_pytorchs_epsilon():
    x = jnp.asarray([[1e-3, 3e-3]])
    variables = {"params": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}
    expected = 1e-3 / np.sqrt(1e-6 + 1e-5)
    np.testing.assert_allclose(layer_norm().apply(variables, x), [[-expected, expected]], rtol=1e-5)


def test_gelu_is_exact():
    x = np.linspace(-4, 4, 9, dtype=np.float32)
    np.testing.assert_allclose(gelu(jnp.asarray(x)), x * (1 + erf(x / np.sqrt(2))) / 2, atol=1e-6)
