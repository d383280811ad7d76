"""DenseFuse's state dict: eight convolutions with biases, three of them in the dense block."""

from collections.abc import Mapping

import numpy as np

from ..rules import Rule, Table


def hint(tensors: Mapping[str, np.ndarray]) -> str:
    """What to do with the authors' network for RGB."""
    first = tensors.get("conv1.conv2d.weight")
    if first is not None and first.ndim == 4 and first.shape[1] == 3:
        return "it is the network for RGB (densefuse_rgb.model): take the grey one, densefuse_gray.model"
    return ""


TABLE = Table(
    rules=[
        Rule("{conv}.conv2d.weight", "params/{conv}/kernel", "conv"),
        Rule("{conv}.conv2d.bias", "params/{conv}/bias"),
        Rule("DB1.denseblock.{i}.dense_conv.conv2d.weight", "params/dense_{i}/kernel", "conv"),
        Rule("DB1.denseblock.{i}.dense_conv.conv2d.bias", "params/dense_{i}/bias"),
    ],
    hint=hint,
)
