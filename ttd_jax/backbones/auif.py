"""AUIF (Zhao et al., IEEE TCSVT 2021): the iterations of an optimisation, unrolled, in a base and a detail branch.

Each branch starts from a filtered image and takes ten steps towards the source, whose kernels, step sizes and
regularisers are learned; the decoder makes an image of the sum of both. Trained to reconstruct single images.

A step has one channel and no activation between its two convolutions, 1 → 64 → 1, so they are computed as one of 5x5.
Only the outermost pixels differ, since the second one mirrors the maps in between: there, and in small images, both are
computed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel
from ttd_jax.backbones.layers import FoldedNorm, Kernel, prelu
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts
from ttd_jax.core.weighting import PAPER
from ttd_jax.ops.borders import mend_border, worth_mending
from ttd_jax.ops.conv import compose, depthwise_conv, reflect_conv
from ttd_jax.ops.filters import box_kernel, local_mean
from ttd_jax.ops.padding import reflect_pad
from ttd_jax.options import Rule

STEPS = 10
KERNELS = 64
BLUR = 11
"""Side of the box whose mean the base branch starts from."""

LAPLACIAN = 19
"""Side of the Laplacian that the detail branch starts from."""

Branches: TypeAlias = dict[str, Float[Array, "*B H W 1"]]
"""What the ``"base"`` and the ``"detail"`` branch made of an image."""


class Step(NamedTuple):
    """What one iteration has learned.

    Attributes:
        kernel: The kernels K, ``(3, 3, 1, 64)``.
        size: The step size, eta.
        fidelity: How much the distance from the image counts, theta.
        factor: Of the batch normalisation of the regulariser.
        offset: Likewise.
        slope: Of its PReLU.
    """

    kernel: Float[Array, "..."]
    size: Float[Array, "..."]
    fidelity: Float[Array, "..."]
    factor: Float[Array, "..."]
    offset: Float[Array, "..."]
    slope: Float[Array, "..."]


class Learned(nn.Module):
    """The variables of one step."""

    @nn.compact
    def __call__(self) -> Step:
        size = self.param("eta", nn.initializers.constant(0.1), (1,))
        fidelity = self.param("theta", nn.initializers.constant(1e-3), (1,))
        slope = self.param("slope", nn.initializers.constant(0.25), (1,))
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, 1, KERNELS))
        factor, offset = FoldedNorm(1, name="bn")()
        return Step(kernel, size, fidelity, factor, offset, slope)


class Branch(nn.Module):
    r"""Ten steps :math:`x \leftarrow x - \eta(R(K^\top K x) - \theta(y - x))` from a filtered image y.

    R is a batch normalisation and a PReLU, :math:`K^\top` the same kernels turned by 180°.

    Attributes:
        start: From the image to where the steps begin.
    """

    start: Callable[[Array], Array]

    def setup(self) -> None:
        self.layers = [Learned() for _ in range(STEPS)]

    def __call__(self, image: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        steps = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[layer() for layer in self.layers])

        def step(x: Array, one: Step) -> tuple[Array, None]:
            slope = prelu(normal_conv(x, one.kernel) * one.factor + one.offset, one.slope)
            return x - one.size * (slope - one.fidelity * (image - x)), None

        return jax.lax.scan(step, self.start(image), steps)[0]


def normal_conv(x: Float[Array, "*B H W 1"], kernel: Float[Array, "3 3 1 K"]) -> Float[Array, "*B H W 1"]:
    """A convolution and its transpose, each on maps extended by their mirror image.

    Example:
        >>> normal_conv(jnp.ones((4, 5, 1)), jnp.full((3, 3, 1, 2), 1 / 9)).round(4)[0, 0].tolist()
        [2.0]
    """
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    if not worth_mending(x, 3):
        return reflect_conv(reflect_conv(x, kernel), turned)

    def border(strip: Array, near: Callable[..., Array]) -> Array:
        return near(reflect_conv(near(reflect_conv(strip, kernel), 2), turned), 1)

    y = depthwise_conv(reflect_pad(x, 2), compose(kernel, turned)[..., 0])
    return mend_border(y, x, border, context=3)


def blurred(image: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
    """The mean over 11x11 pixels, the image continued by its mirror image."""
    return _box_mean(image, BLUR)


def laplacian(image: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
    """All pixels of 19x19 less 361 times the middle one, over 720."""
    return (_box_mean(image, LAPLACIAN) - image) * (LAPLACIAN**2 / (2 * (LAPLACIAN**2 - 1)))


def _box_mean(image: Array, size: int) -> Array:
    padded = reflect_pad(image, size // 2)[..., 0]
    return local_mean(padded, box_kernel(size))[..., jnp.newaxis]


class Decoder(nn.Module):
    """The sum of both branches, a 3x3 convolution of one channel, batch normalisation, sigmoid."""

    @nn.compact
    def __call__(self, branches: Branches) -> Float[Array, "*B H W 1"]:
        kernel = Kernel((3, 3, 1, 1), name="conv")()
        factor, offset = FoldedNorm(1, name="bn")()
        total = branches["base"] + branches["detail"]
        return nn.sigmoid(depthwise_conv(reflect_pad(total, 1), (kernel * factor)[..., 0]) + offset)


class AUIFNetwork(nn.Module):
    """The three networks of an AUIF checkpoint: ``encode`` an image in two branches, ``decode`` their sum."""

    def setup(self) -> None:
        self.base = Branch(blurred)
        self.detail = Branch(laplacian)
        self.decoder = Decoder()

    def encode(self, x: Float[Array, "*B H W 1"]) -> Branches:
        return {"base": self.base(x), "detail": self.detail(x)}

    def decode(self, branches: Branches) -> Float[Array, "*B H W 1"]:
        return self.decoder(branches)

    def __call__(self, x: Float[Array, "*B H W 1"]) -> Float[Array, "*B H W 1"]:
        return self.decode(self.encode(x))


@dataclass(frozen=True)
class AUIF(RuleModel):
    """AUIF as a fusion model of grey sources.

    Attributes:
        network: The linen module, whose variables a checkpoint has.
        rule: ``"sum"``, the authors'; others are possible.
    """

    network: nn.Module = field(default_factory=AUIFNetwork)
    rule: Rule = "sum"

    @property
    def facts(self) -> Facts:
        """The 19x19 Laplacian and twice ten 3x3 layers in, one out; mirrored padding keeps a constant constant."""
        halo = (LAPLACIAN // 2 + 2 * STEPS, 1)
        return Facts(rule=self.rule, by_band=True, halo=halo, constant_features=True)


SPEC = Spec(
    name="auif",
    title="AUIF (Zhao et al., IEEE TCSVT 2021)",
    build=AUIF,
    presets={"ivf": {"rule": "sum"}},
    recipes={"default": PAPER, "paper": PAPER},
    static_rule="sum",
    origin="github.com/Zhaozixiang1228/IVIF-AUIF-Net, the files TCSVT_Encoder_Base.model, TCSVT_Encoder_Detail.model "
    "and TCSVT_Decoder.model",
    licence="no licence file: convert your own copies",
)
