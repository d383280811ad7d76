"""MGDN (Guan et al., ACM Multimedia 2023): mutual-guided dynamic filters and windowed attention, in four tasks.

Every source's features depend on the others from the first filter on, so a source has no encoding of its own. Test-time
weights enter where the sources' maps lie side by side for the last time, before the three layers that end the network;
a component is what these layers make of one source's maps with zeros for the others. The stem of one source (the
*anchor*), which the network adds between those layers, belongs to them: it is neither weighted nor left out.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import NetworkModel, abstract_variables
from ttd_jax.backbones.guided import GuidedBlock
from ttd_jax.backbones.layers import Conv3x3, in_turn, layer_norm
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Facts, Variables
from ttd_jax.core.weighting import PAPER
from ttd_jax.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Task(NamedTuple):
    """What sets a configuration apart.

    Attributes:
        inputs: Channels that each source's stem takes.
        shared: Whether one stem serves all sources.
        output: Channels of the result.
        anchor: The source whose stem is added before the last convolution.
        channels: Channels of the feature maps.
        stages: Guided blocks.
        depth: Blocks in the Swin stage of each.
        heads: Heads of their attention.
        window: Side of their windows; images are padded to a multiple of it.
        widening: Of their feed-forwards.
        roles: Names of the sources, in order; empty if any two will do.
    """

    inputs: tuple[int, ...]
    shared: bool
    output: int
    anchor: int
    channels: int
    stages: int
    depth: int
    heads: int
    window: int
    widening: int
    roles: tuple[str, ...] = ()


TASKS = {
    "focus": Task((3, 3), False, 3, 0, 30, 2, 3, 3, 4, 2),
    "exposure": Task((3, 3), False, 3, 0, 60, 2, 6, 6, 8, 2),
    "depth": Task((3, 1), False, 1, 1, 30, 3, 3, 6, 4, 4, ("rgb", "depth")),
    "depth16": Task((3, 1), False, 1, 1, 60, 3, 3, 6, 4, 4, ("rgb", "depth")),
    "deghost": Task((6, 6, 6), True, 3, 1, 60, 3, 6, 6, 8, 4, ("under", "reference", "over")),
}
"""The authors' configurations; depth16 is the wider one of their 16x depth file."""


class MGDNNetwork(nn.Module):
    """The network at a size that its windows divide: ``encode`` to one feature map a source, ``decode`` them."""

    task: Task

    def setup(self) -> None:
        task = self.task
        count = len(task.inputs)
        self.stems = [Conv3x3(task.channels, name=f"inconv{i + 1}") for i in range(1 if task.shared else count)]
        self.layers = [
            GuidedBlock(count, task.channels, task.depth, task.heads, task.window, task.widening * task.channels)
            for _ in range(task.stages)
        ]
        self.conv_after_body = Conv3x3(task.channels)
        self.conv_last = Conv3x3(task.output)
        self.norm, self.patch_embed_norm = layer_norm(), layer_norm()  # in the authors' files, never called by them

    def encode(self, sources: tuple[Array, ...]) -> tuple[Float[Array, "M H W C"], Float[Array, "H W C"]]:
        """Maps of each source after the last guided block, and the anchor's stem."""
        stems = self.stems * len(sources) if self.task.shared else self.stems
        features = tuple(stem(source) for stem, source in zip(stems, sources, strict=True))
        return jnp.stack(in_turn(self.layers, features)), features[self.task.anchor]

    def decode(self, maps: Float[Array, "M H W C"], anchor: Float[Array, "H W C"]) -> Float[Array, "H W K"]:
        """The image of maps side by side, in [0, 1]."""
        merged = nn.leaky_relu(self.conv_after_body(jnp.concatenate(list(maps), axis=-1)), 0.2)
        if self.is_initializing():
            self.norm(merged), self.patch_embed_norm(merged)
        return nn.sigmoid(self.conv_last(merged + anchor))

    def __call__(self, sources: tuple[Array, ...]) -> Float[Array, "H W K"]:
        return self.decode(*self.encode(sources))


@partial(register_dataclass, data_fields=("maps", "anchor", "span"), meta_fields=("size",))
@dataclass(frozen=True)
class Guided:
    """Features, and likewise the latent, of an image padded to whole windows.

    Attributes:
        maps: Maps of each source.
        anchor: The anchor's stem.
        span: Lowest and highest depth; None for other tasks.
        size: Height and width of the image itself.
    """

    maps: Float[Array, "M H2 W2 C"]
    anchor: Float[Array, "H2 W2 C"]
    span: Float[Array, "2"] | None
    size: tuple[int, int]


@dataclass(frozen=True)
class MGDN(NetworkModel):
    """MGDN as a fusion model.

    Attributes:
        task: ``"focus"`` or ``"exposure"``, two grey or RGB images; ``"depth"``, an RGB image that guides a depth map
            (of one channel, or of equal ones) of its own size; ``"deghost"``, the images under, reference and over
            with their linearised twins, six channels each (:func:`ttd_jax.ops.exposure.with_linearized`).
        mirror: Whether sources are first extended by mirroring to the next larger multiple of 8, as the authors'
            inference script does for focus and exposure.
        standardize: Whether a depth map is stretched to [0, 1] and its result back again, and ImageNet's mean and
            standard deviation are taken out of its guide, as the authors' data loader does; depth only.

    Raises:
        InputError: There is no such task, or it does not go with ``standardize``.
    """

    network: nn.Module = field(init=False)
    task: str = "focus"
    mirror: bool = False
    standardize: bool = False

    facts = Facts(rule="concatenation", independent=False)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"tasks of mgdn are {', '.join(TASKS)}; got {self.task!r}")
        if self.standardize and TASKS[self.task].inputs != (3, 1):
            raise InputError(f"standardize is for depth maps; this is the task {self.task!r}")
        object.__setattr__(self, "network", MGDNNetwork(TASKS[self.task]))

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> Guided:
        """Features of all sources together.

        Raises:
            InputError: The number of sources or of their channels is not the task's.
        """
        height, width = sources.shape[1:3]
        inputs = [_channels(source, count) for source, count in zip(self._checked(sources), self._inputs, strict=True)]
        span = None
        if self.standardize:
            depth = inputs[1]
            span = jnp.stack([jnp.min(depth), jnp.max(depth)])
            rgb = (inputs[0] - jnp.array(IMAGENET_MEAN)) / jnp.array(IMAGENET_STD)
            inputs = [rgb, (depth - span[0]) / _extent(span)]
        maps, anchor = self.network.apply(variables, tuple(self._pad(one) for one in inputs), method="encode")
        return Guided(maps, anchor, span, (height, width))

    def merge(self, features: Guided, weights: Float[Array, "M ... 1"] | None = None) -> Guided:
        """The sources' maps, each times its weight times M; the anchor's stem as it is."""
        if weights is None:
            return features
        if weights.shape[1:3] == features.size:
            weights = jnp.stack([self._pad(weight) for weight in weights])
        return replace(features, maps=self.facts.gain(len(weights)) * weights * features.maps)

    def decode(self, variables: Variables, latent: Guided) -> Float[Array, "H W K"]:
        """The image of merged maps without the padding; RGB, depth, or linear radiance by task."""
        height, width = latent.size
        image = self.network.apply(variables, latent.maps, latent.anchor, method="decode")[:height, :width]
        return image if latent.span is None else image * _extent(latent.span) + latent.span[0]

    @property
    def _inputs(self) -> tuple[int, ...]:
        return TASKS[self.task].inputs

    def _checked(self, sources: Float[Array, "M H W C"]) -> Float[Array, "M H W C"]:
        count, channels = len(sources), sources.shape[-1]
        if count != len(self._inputs):
            raise InputError(f"mgdn ({self.task}) takes {len(self._inputs)} sources; got {count}")
        twins = max(self._inputs) == 6
        if channels not in ((6,) if twins else (1, 3)):
            wanted = "6 channels (image and linearised twin)" if twins else "1 or 3 channels"
            raise InputError(f"sources of mgdn ({self.task}) have {wanted}; got {channels}")
        return sources

    def _pad(self, image: Float[Array, "H W C"]) -> Float[Array, "H2 W2 C"]:
        """Extended at the bottom and on the right to whole windows."""
        if self.mirror:
            image = _extend(image, [8 - n % 8 for n in image.shape[:2]], "symmetric")
        return _extend(image, [-n % TASKS[self.task].window for n in image.shape[:2]], "reflect")


def _extend(image: Array, by: list[int], mode: str) -> Array:
    return jnp.pad(image, [(0, by[0]), (0, by[1]), (0, 0)], mode=mode)


def _channels(source: Float[Array, "H W C"], count: int) -> Float[Array, "H W D"]:
    """A grey source repeated, or the first channel of one whose channels are equal."""
    return source[..., :1] if count == 1 else jnp.broadcast_to(source, (*source.shape[:2], count))


def _extent(span: Float[Array, "2"]) -> Float[Array, ""]:
    """High minus low, 1 where they are equal: a flat depth map stays flat."""
    return jnp.where(span[1] > span[0], span[1] - span[0], 1.0)


def _abstract(model: MGDN) -> Variables:
    return abstract_variables(model.network, tuple(jnp.zeros((8, 8, n)) for n in TASKS[model.task].inputs))


_DEFAULT = replace(PAPER, loss="l1")
_STATIC_ONLY = {"channels": 3, "recipes": {}, "raw": True}

SPEC = Spec(
    name="mgdn",
    title="MGDN (Guan et al., ACM Multimedia 2023)",
    build=MGDN,
    abstract=_abstract,
    presets={
        "focus": {"task": "focus", "mirror": False},
        "exposure": {"task": "exposure", "mirror": False},
        "depth": {"task": "depth", "standardize": True},
        "depth16": {"task": "depth16", "standardize": True},
        "deghost": {"task": "deghost"},
    },
    recipes={"default": _DEFAULT, "paper": PAPER},
    channels=3,
    max_sources=2,
    static_rule="concatenation",
    multiple=TASKS["focus"].window,
    origin="github.com/Guanys-dar/MGDN, the files under Pretrain_model (of a pair, the one that ends in _E)",
    licence="no licence file: convert your own copy",
    variants={
        "focus": {"recipes": {"default": _DEFAULT, "focus": _DEFAULT, "paper": PAPER}},
        "exposure": {"multiple": TASKS["exposure"].window},
        "depth": _STATIC_ONLY | {"roles": TASKS["depth"].roles},
        "depth16": _STATIC_ONLY | {"roles": TASKS["depth16"].roles},
        "deghost": _STATIC_ONLY
        | {
            "roles": TASKS["deghost"].roles,
            "channels": 6,
            "max_sources": 3,
            "result_dtype": "float32",
            "multiple": TASKS["deghost"].window,
        },
    },
)
