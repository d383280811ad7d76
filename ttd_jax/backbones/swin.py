"""Swin's shifted-window attention (Liu et al., ICCV 2021) with the local branch of HDR-Transformer (ECCV 2022).

Windows are W x W pixels. Every second block shifts the image by half a window, cyclically, and masks out the pairs of
pixels that were no neighbours before. Names follow MGDN's state-dict keys.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ttd_jax.backbones.layers import Conv3x3, KernelAndBias, PointwiseConv, gelu, layer_norm
from ttd_jax.backbones.strips import map_strips, rows_of_strip


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a learned bias for each relative position.

    Attributes:
        heads: Number of heads.
        window: Side of a window in pixels.
    """

    heads: int
    window: int

    @nn.compact
    def __call__(self, x: Float[Array, "H W C"], shifted: Bool[Array, ""]) -> Float[Array, "H W C"]:
        height, width, channels = x.shape
        side, heads = self.window, self.heads
        to_qkv, qkv_bias = KernelAndBias((channels, 3 * channels), name="qkv")()
        project, project_bias = KernelAndBias((channels, channels), name="proj")()
        table = self.param("relative_position_bias_table", nn.initializers.zeros, ((2 * side - 1) ** 2, heads))
        bias = table[_relative_positions(side)].transpose(2, 0, 1)
        cut_rows, cut_columns = _cut_by_shift(side)
        last_column = jnp.arange(width // side) == width // side - 1

        def attend(windows: Float[Array, "columns N C"], is_last_row: Bool[Array, ""]) -> Array:
            qkv = windows @ to_qkv + qkv_bias
            q, k, v = jnp.moveaxis(qkv.reshape(*windows.shape[:2], 3, heads, channels // heads), 2, 0)
            logits = jnp.einsum("wnhc,wmhc->whnm", q * (channels // heads) ** -0.5, k) + bias
            cut = (is_last_row & cut_rows) | (last_column[:, None, None] & cut_columns)
            logits = jnp.where((shifted & cut)[:, None], logits - 100, logits)
            mixed = jnp.einsum("whnm,wmhc->wnhc", jax.nn.softmax(logits, axis=-1), v)
            return mixed.reshape(windows.shape) @ project + project_bias

        rows = height // side
        windows = x.reshape(rows, side, width // side, side, channels).swapaxes(1, 2)
        windows = windows.reshape(rows, width // side, side * side, channels)
        attended = jax.lax.map(
            lambda row: attend(*row),
            (windows, jnp.arange(rows) == rows - 1),
            batch_size=min(rows, max(1, rows_of_strip(width) // side)),
        )
        attended = attended.reshape(rows, width // side, side, side, channels).swapaxes(1, 2)
        return attended.reshape(height, width, channels)


def _relative_positions(side: int) -> np.ndarray:
    """Row of the bias table for each pair of pixels of a window, ``(N, N)``."""
    row, column = np.divmod(np.arange(side * side), side)
    return (row[:, None] - row + side - 1) * (2 * side - 1) + column[:, None] - column + side - 1


def _cut_by_shift(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a window's pixels on two sides of the line that half a window's shift wraps around, ``(N, N)`` each."""
    row, column = np.divmod(np.arange(side * side), side)
    wrapped_rows, wrapped_columns = row >= side - side // 2, column >= side - side // 2
    return wrapped_rows[:, None] != wrapped_rows, wrapped_columns[:, None] != wrapped_columns


class LocalContext(nn.Module):
    """A narrow convolution branch, scaled per channel by what the whole image holds."""

    channels: int

    def setup(self) -> None:
        narrow = self.channels // 8
        self.conv_0 = PointwiseConv(narrow, use_bias=True)
        self.conv_1 = Conv3x3(narrow)
        self.conv_2 = PointwiseConv(self.channels, use_bias=True)
        self.fc_0 = nn.Dense(narrow, use_bias=False)
        self.fc_2 = nn.Dense(self.channels, use_bias=False)

    def __call__(self, x: Float[Array, "H W {self.channels}"]) -> Float[Array, "H W {self.channels}"]:
        local = nn.leaky_relu(self.conv_2(self.conv_1(self.conv_0(x))), 0.2)
        scale = nn.sigmoid(self.fc_2(nn.relu(self.fc_0(jnp.mean(local, axis=(0, 1))))))
        return local * scale


class FeedForward(nn.Module):
    """Two dense layers with a GELU between, in strips."""

    hidden: int

    @nn.compact
    def __call__(self, x: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
        widen, widen_bias = KernelAndBias((x.shape[-1], self.hidden), name="fc1")()
        narrow, narrow_bias = KernelAndBias((self.hidden, x.shape[-1]), name="fc2")()

        def block(strip: Array) -> Array:
            return gelu(strip @ widen + widen_bias) @ narrow + narrow_bias

        return map_strips(block, x, height=len(x))


class ContextTransformer(nn.Module):
    """Window attention and feed-forward, each behind a layer norm and added, plus the local branch.

    Attributes:
        channels: Channels in and out.
        heads: Heads of the attention.
        window: Side of a window.
        hidden: Channels inside the feed-forward.
    """

    channels: int
    heads: int
    window: int
    hidden: int

    def setup(self) -> None:
        self.norm1, self.norm2 = layer_norm(), layer_norm()
        self.attn = WindowAttention(self.heads, self.window)
        self.mlp = FeedForward(self.hidden)
        self.lce = LocalContext(self.channels)

    def __call__(
        self, x: Float[Array, "H W {self.channels}"], shifted: Bool[Array, ""]
    ) -> Float[Array, "H W {self.channels}"]:
        """The block's result; H and W are multiples of the window, and ``shifted`` says whether it shifts them."""
        normed, half = self.norm1(x), self.window // 2
        rolled = jnp.where(shifted, jnp.roll(normed, (-half, -half), (0, 1)), normed)
        attended = self.attn(rolled, shifted)
        x = x + jnp.where(shifted, jnp.roll(attended, (half, half), (0, 1)), attended)
        return x + self.mlp(self.norm2(x)) + self.lce(normed)
