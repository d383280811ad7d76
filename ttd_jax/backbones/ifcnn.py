"""IFCNN (Zhang et al., Information Fusion 2020): two convolutions in, an elementwise rule, two convolutions out.

Module names equal the state-dict keys of the authors' checkpoints, so that the converter's table stays short.
Grey sources are repeated to three channels, as the authors do; the output always has three.

The linen network computes layer by layer, as the authors do. The fusion model gives the same with fewer layers, folded
from the same variables inside the compiled function, where they cost next to nothing (``docs/speed.md``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel, abstract_variables
from ttd_jax.backbones.layers import BATCH_NORM_EPSILON, ReplicateConv, batch_norm
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts, Variables
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.borders import large_enough, mend_border
from ttd_jax.ops.conv import compose, conv, replicate_conv
from ttd_jax.ops.padding import replicate_pad
from ttd_jax.options import Rule

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ConvBlock(nn.Module):
    """3x3 convolution with replicate padding and without bias, batch normalisation, ReLU."""

    features: int

    def setup(self) -> None:
        self.conv = ReplicateConv(self.features, use_bias=False)
        self.bn = batch_norm()

    def __call__(self, x: Float[Array, "*B H W C"]) -> Float[Array, "*B H W {self.features}"]:
        return nn.relu(self.bn(self.conv(x)))


class IFCNNNetwork(nn.Module):
    """The network between normalised images: ``encode`` to 64 channels, ``decode`` to 3."""

    def setup(self) -> None:
        self.conv1 = ReplicateConv(64, size=7, use_bias=False)
        self.conv2 = ConvBlock(64)
        self.conv3 = ConvBlock(64)
        self.conv4 = nn.Conv(3, (1, 1))

    def encode(self, x: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W 64"]:
        return self.conv2(self.conv1(x))

    def decode(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 3"]:
        return self.conv4(self.conv3(x))

    def __call__(self, x: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W 3"]:
        return self.decode(self.encode(x))


@dataclass(frozen=True)
class IFCNN(RuleModel):
    """IFCNN as a fusion model in image space: ImageNet normalisation in, de-normalisation out, no clipping.

    Attributes:
        network: The linen module, whose variables a checkpoint has.
        rule: ``"max"``, ``"mean"`` or ``"sum"``.
        plain: Whether to compute layer by layer by that module, with the same result: the reference of tests and
            timings.
    """

    network: nn.Module = field(default_factory=IFCNNNetwork)
    rule: Rule = "max"
    plain: bool = False

    @property
    def facts(self) -> Facts:
        """7x7 and 3x3 in, 3x3 and 1x1 out; replicate padding keeps a constant image constant."""
        return Facts(rule=self.rule, by_band=True, halo=(4, 1), constant_features=True, normalize=normalize)

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> Float[Array, "M H W 64"]:
        """Features of each source, grey or RGB in [0, 1].

        Nothing but linear layers up to the ReLU, so they are one convolution of 9x9, of a single channel for grey
        sources. Only the outermost pixels differ, since both layers extend their own input: there it is layer by layer.
        """
        if self.plain or not large_enough(sources, 5):
            return super().encode(variables, normalize(sources))
        sources = sources - 0.5  # smaller numbers, smaller rounding errors
        first = variables["params"]["conv1"]["kernel"] / jnp.array(IMAGENET_STD)[:, jnp.newaxis]
        offset = jnp.sum(first * (jnp.array(IMAGENET_MEAN) - 0.5)[:, jnp.newaxis], axis=(0, 1, 2))
        if sources.shape[-1] == 1:
            first = jnp.sum(first, axis=2, keepdims=True)
        second, bias = _folded(variables, "conv2")
        bias -= offset @ jnp.sum(second, axis=(0, 1))

        def border(strip: Array, near: Callable[..., Array]) -> Array:
            return near(replicate_conv(near(replicate_conv(strip, first), 2), second), 1)

        y = conv(replicate_pad(sources, 4), compose(first, second))
        return nn.relu(mend_border(y, sources, border, context=5) + bias)

    def decode(self, variables: Variables, latent: Float[Array, "H W 64"]) -> Float[Array, "H W 3"]:
        """The RGB image of a latent, in image space."""
        std, mean = jnp.array(IMAGENET_STD), jnp.array(IMAGENET_MEAN)
        if self.plain:
            return super().decode(variables, latent) * std + mean
        kernel, bias = _folded(variables, "conv3")
        last = variables["params"]["conv4"]
        to_image, offset = last["kernel"][0, 0] * std, last["bias"] * std + mean
        return replicate_conv(latent, kernel, then=lambda y: nn.relu(y + bias) @ to_image + offset)


def normalize(image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W 3"]:
    """ImageNet's mean subtracted and standard deviation divided out; grey becomes three channels."""
    return (image - jnp.array(IMAGENET_MEAN)) / jnp.array(IMAGENET_STD)


def _folded(variables: Variables, block: str) -> tuple[Float[Array, "3 3 64 64"], Float[Array, "64"]]:
    """Kernel and bias of a :class:`ConvBlock`'s convolution with its batch normalisation."""
    layer, running = variables["params"][block], variables["batch_stats"][block]["bn"]
    scale = layer["bn"]["scale"] / jnp.sqrt(running["var"] + BATCH_NORM_EPSILON)
    return layer["conv"]["kernel"] * scale, layer["bn"]["bias"] - running["mean"] * scale


def _abstract(model: IFCNN) -> Variables:
    return abstract_variables(model.network, jnp.zeros((1, 8, 8, 3)))


_FITTED = replace(PAPER, loss="l1", component="black", space="mixed")
"""The reading of the formula that comes closest to the paper's printed results."""

_DEFAULT = replace(_FITTED, form="log", smoothing=4.0)

_RECIPES = {
    "default": _DEFAULT,
    "vif": replace(_DEFAULT, scale=1.5),
    "medical": replace(_DEFAULT, scale=1.5),
    "exposure": replace(PAPER, loss="l1", scale=10.0, component="fused", smoothing=4.0),
    "focus": replace(_DEFAULT, scale=0.5),
    "fitted": _FITTED,
    "paper": PAPER,
}
"""From docs/studies/recipes.md; the one for exposure is the least harmful, not a gain."""

SPEC = Spec(
    name="ifcnn",
    title="IFCNN (Zhang et al., Information Fusion 2020)",
    build=IFCNN,
    abstract=_abstract,
    presets={"max": {"rule": "max"}, "mean": {"rule": "mean"}, "sum": {"rule": "sum"}},
    recipes=_RECIPES,
    channels=3,
    static_rule="maximum, mean or sum, by preset",
    origin="github.com/uzeful/IFCNN, the files IFCNN-MAX.pth, IFCNN-MEAN.pth and IFCNN-SUM.pth",
    licence="no licence file: convert your own copy",
)
