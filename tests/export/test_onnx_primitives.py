"""Each kind of primitive in ONNX Runtime beside jax itself, for a size that is told and for one that is not."""

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from jax import export, lax

from ttd_jax.errors import InputError
from ttd_jax.onnx import trace_to_onnx

RNG = np.random.default_rng()
KERNEL = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
GROUPED = RNG.normal(size=(3, 3, 1, 8)).astype(np.float32)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(x, kernel, **options):
    return lax.conv_general_dilated(x, kernel, dimension_numbers=LAYOUT, **options)


def running(x, reverse):
    total, rows = lax.scan(lambda s, row: (s + row, s * row), jnp.zeros(x.shape[1:]), x, reverse=reverse)
    return jnp.concatenate([total[jnp.newaxis], rows])


FUNCTIONS = {
    "convolution": lambda x: conv(x, KERNEL, window_strides=(1, 1), padding=((1, 2), (0, 1)), rhs_dilation=(2, 1)),
    "groups": lambda x: conv(x, GROUPED, window_strides=(1, 1), padding="SAME", feature_group_count=4),
    "spread": lambda x: conv(x, KERNEL, window_strides=(1, 1), padding=((1, 2), (0, 1)), lhs_dilation=(2, 3)),
    "spread groups": lambda x: conv(
        x, GROUPED, window_strides=(1, 1), padding=((0, 1), (2, 0)), lhs_dilation=(1, 2), feature_group_count=4
    ),
    "product": lambda x: x @ KERNEL[0, 0],
    "products": lambda x: jnp.einsum("mhwc,nhwc->hmn", x, jnp.sin(x)),
    "edges": lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0)), mode="edge"),
    "zeros": lambda x: lax.pad(x, 2.0, ((0, 0, 0), (2, 1, 0), (-1, 3, 0), (0, 0, 0))),
    "nothing": lambda x: x + lax.pad(x[:, :0], 0.5, ((0, 0, 0), (0, x.shape[1], 0), (0, 0, 0), (0, 0, 0))),
    "no channels": lambda x: x + (conv(x[..., :0], KERNEL[:, :, :0], window_strides=(1, 1), padding="SAME"))[..., :4],
    "mirror": lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0)), mode="reflect"),
    "part": lambda x: jnp.flip(lax.slice_in_dim(x[:, 1:], 0, x.shape[2], 2, axis=2), -1),
    "repeated": lambda x: jnp.broadcast_to(x[:1, :, :1], x.shape)[:, 1:, 2:] * jnp.ones_like(x)[:, 1:, 2:],
    "put": lambda x: x.at[1].set(x[0] + 1) + lax.dynamic_update_slice(x, x[:1, :2, :3] * 3, (1, 1, 0, 0)),
    "added": lambda x: x.at[1].add(x[0] + 1) + jnp.zeros_like(x).at[0].add(x[1]),
    "added part": lambda x: x.at[:, 1:3, -2:].add(x[:, :2, :2]) + x.at[0, 2:4].set(x[1, :2]),
    "stacked": lambda x: jnp.stack([x, -x, jnp.abs(x)], axis=2).reshape(3 * x.shape[0], *x.shape[1:]),
    "reductions": lambda x: jnp.max(x, axis=1) - jnp.min(x, axis=1) + jnp.mean(x, axis=1) + jnp.prod(x[:, :2], axis=1),
    "any": lambda x: jnp.any(x > 1, axis=(1, 2)) ^ jnp.all(x < 1, axis=(1, 2)),
    "order": lambda x: jnp.sort(x.reshape(2, -1), axis=-1),
    "picked": lambda x: jnp.take_along_axis(x[..., 0, :], jnp.int32(2 * x[..., :1, 0] ** 2) % 4, axis=-1),
    "chosen": lambda x: jnp.where(jnp.isfinite(jnp.log(x)), x, -1.0),
    "elements": lambda x: jnp.tanh(x) + jax.nn.gelu(x, approximate=False) + lax.rsqrt(1 + x * x) + jnp.log1p(x**2),
    "softmax": lambda x: jax.nn.softmax(jax.nn.leaky_relu(x, 0.1), axis=0) + jnp.clip(x, -0.5, 0.5),
    "leaky": lambda x: jax.nn.leaky_relu(x, 0.1) + jnp.where(x > 0, x, jnp.full(1, -2.0) * x),
    "nearly leaky": lambda x: jnp.where(x > 1, x, 3.0 * x) + jnp.where(x > 0, x, 3.0 * jnp.abs(x)),
    "limits": lambda x: jnp.maximum(0.5, x) - jnp.minimum(x, 0.25) * jnp.maximum(x, x[:1, :1]),
    "forwards": lambda x: running(x, False),
    "backwards": lambda x: running(x, True),
    "branch": lambda x: lax.cond(jnp.mean(x) > 5, lambda y: y + 1, lambda y: y * 2, x),
    "branches": lambda x: lax.switch(jnp.argmax(x[0, 0, 0]), [jnp.sin, jnp.cos, jnp.tanh, jnp.exp], x),
    "mapped": lambda x: lax.map(lambda i: x[i] * (i + 1).astype(jnp.float32), jnp.arange(2)),
    "gradient": jax.grad(lambda x: jnp.sum(jnp.sin(lax.slice_in_dim(x, 1, x.shape[1], axis=1)) ** 2)),
    "count": lambda x: x * jnp.arange(x.shape[2], dtype=jnp.float32)[:, None] / x.shape[1],
    "half": lambda x: x[:, : x.shape[1] // 2 * 2].reshape(2, x.shape[1] // 2, 2, x.shape[2], 4).sum(axis=2),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("known", [True, False], ids=["size", "any"])
def test_as_in_jax(name, known):
    function = FUNCTIONS[name]
    x = RNG.normal(size=(2, 7, 6, 4)).astype(np.float32)
    if known:
        shape = x.shape
    else:
        shape = (2, *export.symbolic_shape("height, width", constraints=("height >= 4", "width >= 4")), 4)
    model, _ = trace_to_onnx(lambda x: {"y": function(x).astype(jnp.float32)}, {"x": shape})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for part in (x, x) if known else (x, x[:, :5, :4]):
        (found,) = session.run(None, {"x": part})
        np.testing.assert_allclose(found, function(jnp.asarray(part)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: jnp.fft.rfft(x).real, "it needs fft, which is not translated"),
        (lambda x: lax.while_loop(lambda y: y[0] < 1, lambda y: y + 1, x), "it needs while, which is not translated"),
        (lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), "it computes in bfloat16"),
        (lambda x: lax.dynamic_slice(x, (x[0].astype(int),), (2,)), "it takes a part of an array at a place that"),
        (lambda x: lax.scan(lambda s, _: (s + 1, None), x, length=1000)[0], "it has a loop of 1000 steps"),
    ],
)
def test_what_has_no_counterpart_is_told(function, message):
    with pytest.raises(
        InputError, match=f"this fusion cannot be exported to ONNX: {message}.*; format='stablehlo' can"
    ):
        trace_to_onnx(lambda x: {"y": function(x)}, {"x": (4,)})


def test_what_repeats_is_not_stored():
    """A large constant of one number costs a number."""
    model, _ = trace_to_onnx(lambda x: {"y": x + jnp.ones((1000, 1000)) * 0.25}, {"x": (1000, 1000)})
    assert len(model.SerializeToString()) < 1000
