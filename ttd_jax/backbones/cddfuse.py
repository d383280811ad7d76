"""CDDFuse (Zhao et al., CVPR 2023): Restormer features in a base and a detail branch, fused by addition.

Features are summed before a fuse layer of each branch, so that test-time weights enter there and a component
passes through both layers too. Module names follow the state-dict keys of the authors' checkpoints.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel, abstract_variables
from ttd_jax.backbones.layers import Conv3x3, Kernel, PointwiseConv, in_turn
from ttd_jax.backbones.restormer import BaseBlock, TransformerBlock
from ttd_jax.backbones.spec import Spec
from ttd_jax.backbones.strips import map_strips
from ttd_jax.core.model import Variables
from ttd_jax.core.weighting import PAPER, LossWeighting
from ttd_jax.errors import InputError
from ttd_jax.ops.conv import depthwise_conv
from ttd_jax.ops.padding import reflect_pad
from ttd_jax.options import Rule

CHANNELS = 64
HEADS = 8
RESIDUALS = ("reference", "none", "sum")

Branches: TypeAlias = dict[str, Float[Array, "*B H W 64"]]
"""Feature maps of the ``"base"`` and the ``"detail"`` branch."""


class InvertedResidual(nn.Module):
    """32 → 64 → 32 channels around a depthwise 3x3 convolution with reflection padding."""

    @nn.compact
    def __call__(self, x: Float[Array, "*B H W 32"]) -> Float[Array, "*B H W 32"]:
        expand = Kernel((1, 1, CHANNELS // 2, CHANNELS), name="expand")()[0, 0]
        depthwise = Kernel((3, 3, 1, CHANNELS), name="depthwise")()[:, :, 0]
        project = Kernel((1, 1, CHANNELS, CHANNELS // 2), name="project")()[0, 0]

        def block(strip: Array) -> Array:
            return nn.relu6(depthwise_conv(nn.relu6(strip @ expand), depthwise)) @ project

        return map_strips(block, reflect_pad(x, 1), height=x.shape[-3])


class DetailNode(nn.Module):
    """One affine coupling between the halves of 64 channels, after a 1x1 convolution that mixes them."""

    def setup(self) -> None:
        self.shffleconv = PointwiseConv(CHANNELS, use_bias=True)
        self.theta_phi = InvertedResidual()
        self.theta_rho = InvertedResidual()
        self.theta_eta = InvertedResidual()

    def __call__(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 64"]:
        first, second = jnp.split(self.shffleconv(x), 2, axis=-1)
        second = second + self.theta_phi(first)
        first = first * jnp.exp(self.theta_rho(second)) + self.theta_eta(second)
        return jnp.concatenate([first, second], axis=-1)


class Detail(nn.Module):
    """The detail branch: nodes one after another."""

    nodes: int

    def setup(self) -> None:
        self.net = [DetailNode() for _ in range(self.nodes)]

    def __call__(self, x: Float[Array, "*B H W 64"]) -> Float[Array, "*B H W 64"]:
        return in_turn(self.net, x)


def attention_block() -> nn.Module:
    """CDDFuse's base block."""
    return BaseBlock(CHANNELS, HEADS)


class Encoder(nn.Module):
    """3x3 embedding, four transformer blocks, then both branches.

    Attributes:
        base_block: Makes the base branch.
    """

    base_block: Callable[[], nn.Module] = attention_block

    def setup(self) -> None:
        self.patch_embed = Conv3x3(CHANNELS, use_bias=False)
        self.encoder_level1 = [TransformerBlock(CHANNELS, HEADS) for _ in range(4)]
        self.base = self.base_block()
        self.detail = Detail(nodes=3)

    def shared(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 64"]:
        """What both branches start from."""
        return in_turn(self.encoder_level1, self.patch_embed(x))

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Branches:
        x = self.shared(x)
        return {"base": self.base(x), "detail": self.detail(x)}


class Decoder(nn.Module):
    """Both branches to 64 channels, four transformer blocks, two 3x3 convolutions to one channel."""

    def setup(self) -> None:
        self.reduce_channel = PointwiseConv(CHANNELS)
        self.encoder_level2 = [TransformerBlock(CHANNELS, HEADS) for _ in range(4)]
        self.output_0 = Conv3x3(CHANNELS // 2, use_bias=False)
        self.output_2 = Conv3x3(1, use_bias=False)

    def __call__(self, branches: Branches) -> Float[Array, "*B H W 1"]:
        x = self.reduce_channel(jnp.concatenate([branches["base"], branches["detail"]], axis=-1))
        x = in_turn(self.encoder_level2, x)
        return self.output_2(nn.leaky_relu(self.output_0(x), 0.01))


class CDDFuseNetwork(nn.Module):
    """The four networks of a CDDFuse checkpoint: ``encode`` one image, ``decode`` merged branches.

    Attributes:
        base_block: Makes the base branch and its fuse layer.
    """

    base_block: Callable[[], nn.Module] = attention_block

    def setup(self) -> None:
        self.encoder = Encoder(self.base_block)
        self.decoder = Decoder()
        self.base_fuse = self.base_block()
        self.detail_fuse = Detail(nodes=1)

    def encode(self, x: Float[Array, "*B H W 1"]) -> Branches:
        return self.encoder(x)

    def decode(self, merged: Branches, *, residual: Float[Array, "*B H W 1"] | None = None) -> Float[Array, "*B H W 1"]:
        image = self.decoder({"base": self.base_fuse(merged["base"]), "detail": self.detail_fuse(merged["detail"])})
        return nn.sigmoid(image if residual is None else image + residual)

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode(self.encode(x))


@dataclass(frozen=True)
class CDDFuse(RuleModel):
    """CDDFuse as a fusion model of grey sources.

    Attributes:
        residual_of: What is added before the fused image's sigmoid: ``"reference"``, source 0 (the authors' choice
            for infrared and visible, with the visible image as reference); ``"none"`` (theirs for medical images);
            ``"sum"`` of all sources (theirs for medical images with the infrared-visible checkpoint).
        stretch: Whether a fused image, static or dynamic, ends in :func:`min_max_stretch`, as the authors save it.

    Raises:
        InputError: ``residual_of`` is none of its choices.
    """

    network: nn.Module = field(default_factory=CDDFuseNetwork)
    rule: Rule = "sum"
    residual_of: str = "reference"
    stretch: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual_of not in RESIDUALS:
            raise InputError(f"residual_of is one of {', '.join(map(repr, RESIDUALS))}; got {self.residual_of!r}")

    def encode(self, variables: Variables, sources: Float[Array, "M H W 1"]) -> Branches:
        """Branches of each source, one source after another: peak memory does not grow with M."""
        return jax.lax.map(lambda source: self.network.apply(variables, source, method="encode"), sources)

    def decode(self, variables: Variables, latent: Branches) -> Float[Array, "H W 1"]:
        """The image of merged branches, in [0, 1] by a sigmoid."""
        return self.network.apply(variables, latent, method="decode")

    def render(self, variables: Variables, latent: Branches, sources: Float[Array, "M H W 1"]) -> Float[Array, "H W 1"]:
        """The same with the residual before the sigmoid, stretched to [0, 1] if the checkpoint asks for it."""
        image = self.network.apply(variables, latent, residual=self.residual(sources), method="decode")
        return min_max_stretch(image) if self.stretch else image

    def residual(self, sources: Float[Array, "M H W 1"]) -> Float[Array, "H W 1"] | None:
        """The reference, nothing, or the sum of all sources."""
        return {"reference": sources[0], "none": None, "sum": jnp.sum(sources, axis=0)}[self.residual_of]


def min_max_stretch(image: Float[Array, "..."], *, flat: float = 1e-6) -> Float[Array, "..."]:
    """The image shifted and scaled to span [0, 1].

    Args:
        image: Any image.
        flat: A range below which there is no contrast to stretch, only rounding: such an image stays as it is.

    Returns:
        (image - min) / (max - min), or the image itself if it is flat.

    Example:
        >>> min_max_stretch(jnp.array([0.25, 0.5, 0.75])).tolist()
        [0.0, 0.5, 1.0]
    """
    low, high = jnp.min(image), jnp.max(image)
    has_contrast = high - low > flat
    return jnp.where(has_contrast, (image - low) / jnp.where(has_contrast, high - low, 1.0), image)


def _abstract(model: CDDFuse) -> Variables:
    return abstract_variables(model.network, jnp.zeros((8, 8, 1)))


_PUBLISHED = replace(PAPER, scale=50.0)


def _recipes(task: str) -> dict[str, LossWeighting]:
    """The released code weighs both tasks alike."""
    return {"default": _PUBLISHED, "published": _PUBLISHED, task: _PUBLISHED, "paper": PAPER}


SPEC = Spec(
    name="cddfuse",
    title="CDDFuse (Zhao et al., CVPR 2023)",
    build=CDDFuse,
    abstract=_abstract,
    presets={
        "ivf": {"residual_of": "reference", "stretch": True},
        "mif": {"residual_of": "none", "stretch": True},
    },
    recipes=_recipes("vif"),
    variants={"mif": {"recipes": _recipes("medical")}},
    channels=1,
    origin="github.com/Zhaozixiang1228/MMIF-CDDFuse, the files models/CDDFuse_IVF.pth and models/CDDFuse_MIF.pth",
    licence="no licence file: convert your own copy",
)
