"""PIAFusion's illumination classifier: how likely an image was taken by day or by night.

It is no fusion model. In PIAFusion's training, day / (day + night) is the share of the visible image in the loss.
Module names follow the state-dict keys of the authors' checkpoint.
"""

import os
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ttd_jax.backbones.adapter import abstract_variables
from ttd_jax.backbones.spec import Spec
from ttd_jax.core.model import Variables
from ttd_jax.errors import CheckpointError, InputError
from ttd_jax.io.checkpoints import load_variables, read_manifest
from ttd_jax.ops.padding import reflect_pad
from ttd_jax.ops.pixels import as_image, to_float

_SMALLEST = 16  # pixels a side, which four halvings leave one of


class IlluminationNetwork(nn.Module):
    """Four 4x4 convolutions of stride 2, the mean over the image, two dense layers."""

    def setup(self) -> None:
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            nn.Conv(features, (4, 4), strides=2, padding="VALID") for features in (16, 32, 64, 128)
        )
        self.linear1, self.linear2 = nn.Dense(128), nn.Dense(2)

    def __call__(self, image: Float[Array, "*B H W 3"]) -> Float[Array, "*B 2"]:
        """The authors' two outputs, day and night, at least 0."""
        x = image
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = nn.leaky_relu(conv(reflect_pad(x, 1)), 0.01)
        return nn.relu(self.linear2(self.linear1(jnp.mean(x, axis=(-3, -2)))))


@dataclass(frozen=True)
class Illumination:
    """The classifier with its parameters; call it with an image.

    Attributes:
        variables: Its parameters.
        manifest: Where they come from; empty for a classifier built in memory.
    """

    variables: Variables
    manifest: dict[str, Any]

    def __call__(self, image: np.ndarray) -> tuple[float, float]:
        """Probabilities of day and of night, which sum to 1.

        They are the network's two outputs divided by their sum, as PIAFusion's training uses them; 1/2 each where
        both are 0.

        Args:
            image: RGB (H, W, 3), at least 16 pixels a side; as sources of a fusion otherwise.

        Raises:
            InputError: It has another shape, or is none that :func:`ttd_jax.ops.pixels.as_image` reads.
        """
        pixels, _ = as_image(image, "the image", smallest=_SMALLEST)
        if pixels.shape[2:] != (3,):
            raise InputError(f"the classifier takes an RGB image (H, W, 3); got one of shape {pixels.shape}")
        day, night = np.asarray(_outputs(self.variables, jnp.asarray(to_float(pixels))), np.float64)
        total = day + night
        return (float(day / total), float(night / total)) if total > 0 else (0.5, 0.5)


@jax.jit
def _outputs(variables: Variables, image: Float[Array, "H W 3"]) -> Float[Array, "2"]:
    return IlluminationNetwork().apply(variables, image)


def _abstract(network: nn.Module) -> Variables:
    return abstract_variables(network, jnp.zeros((_SMALLEST, _SMALLEST, 3)))


SPEC = Spec(
    name="piafusion-illumination",
    title="PIAFusion's illumination classifier (Tang et al., Information Fusion 2022)",
    build=IlluminationNetwork,
    abstract=_abstract,
    presets={"default": {}},
    recipes={},
    channels=3,
    origin="github.com/linklist2/PIAFusion_pytorch, the file pretrained/best_cls.pth",
    licence="no licence file: convert your own copy",
)


def load_illumination(checkpoint: str | os.PathLike[str]) -> Illumination:
    """The classifier from a checkpoint that ``python convert/from_torch.py piafusion-illumination`` made.

    Args:
        checkpoint: Checkpoint folder.

    Raises:
        CheckpointError: There is none, it is of another network, or its arrays do not fit.
    """
    manifest = read_manifest(checkpoint)
    if manifest["backbone"] != SPEC.name:
        raise CheckpointError(
            f"checkpoint {os.fspath(checkpoint)} is of {manifest['backbone']!r}, expected {SPEC.name!r}: "
            f"convert best_cls.pth with python convert/from_torch.py {SPEC.name} best_cls.pth --output FOLDER"
        )
    variables = load_variables(checkpoint, SPEC.abstract(SPEC.build()))
    return Illumination(jax.device_put(variables), manifest)
