"""MGDN (Guan et al., ACM Multimedia 2023): mutual-guided dynamic filters and windowed attention, in four tasks."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import RuleModel, abstract_variables
from ttd_jax.backbones.guided import GuidedBlock
from ttd_jax.backbones.layers import in_turn, layer_norm


class Task(NamedTuple):
    """What sets a configuration apart.

    Attributes:
        inputs: Channels of each source's stem; one number for a stem that all three sources share.
        output: Channels of the result.
        anchor: The source whose stem is added before the last convolution.
        channels: Channels of the feature maps.
        depth: Blocks in each Swin stage.
        stages: Guided blocks.
        heads: Heads of the windowed attention.
        window: Side of its windows; images are padded to a multiple of it.
        ratio: Widening of its feed-forwards.
    """

    inputs: tuple[int, ...]
    output: int
    anchor: int
    channels: int
    depth: int
    stages: int
    heads: int
    window: int
    ratio: int


TASKS = {
    "focus": Task((3, 3), 3, 0, 30, 3, 2, 3, 4, 2),
    "exposure": Task((3, 3), 3, 0, 60, 6, 2, 6, 8, 2),
    "depth": Task((3, 1), 1, 1, 30, 3, 3, 6, 4, 4),
    "deghost": Task((6,), 3, 1, 60, 6, 3, 6, 8, 4),
}


class MGDNNetwork(nn.Module):
    """The network at a size that its windows divide: ``encode`` to one feature map per source, ``decode`` them."""

    task: Task

    def setup(self):
        t = self.task
        self.stems = [nn.Conv(t.channels, (3, 3), name=f"inconv{i + 1}") for i in range(len(t.inputs))]
        sources = max(2, len(t.inputs)) if len(t.inputs) > 1 else 3
        self.layers = [
            GuidedBlock(sources, t.channels, t.depth, t.heads, t.window, t.ratio * t.channels) for _ in range(t.stages)
        ]
        self.conv_after_body = nn.Conv(t.channels, (3, 3))
        self.conv_last = nn.Conv(t.output, (3, 3))
        self.norm, self.patch_embed_norm = layer_norm(), layer_norm()

    def encode(self, sources):
        stems = tuple((self.stems[i] if len(self.stems) > 1 else self.stems[0])(s) for i, s in enumerate(sources))
        return in_turn(self.layers, stems), stems[self.task.anchor]

    def decode(self, maps, stem):
        x = nn.leaky_relu(self.conv_after_body(jnp.concatenate(maps, axis=-1)), 0.2) + stem
        if self.is_initializing():
            self.norm(x), self.patch_embed_norm(x)
        return nn.sigmoid(self.conv_last(x))

    def __call__(self, sources):
        return self.decode(*self.encode(sources))
