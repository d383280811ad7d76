"""A fusion network of two small convolutions, as a package that ttd-jax finds by its entry points."""

import flax.linen as nn
from jaxtyping import Array, Float

from ttd_jax import LossWeighting, RuleModel, Spec


class BlurNetwork(nn.Module):
    """Features are the image and what a few filters see of it; the decoder adds a correction to the merged image.

    Attributes:
        features: How many filters.
    """

    features: int = 4

    def setup(self) -> None:
        """Two layers."""
        self.filters, self.head = nn.Conv(self.features, (5, 5)), nn.Conv(1, (3, 3))

    def encode(self, image: Float[Array, "M H W 1"]) -> dict[str, Array]:
        """The image, and its filtered versions."""
        return {"image": image, "filtered": nn.relu(self.filters(image))}

    def decode(self, latent: dict[str, Array]) -> Float[Array, "H W 1"]:
        """The merged image with a correction."""
        return latent["image"] + 0.1 * self.head(latent["filtered"])

    def __call__(self, image: Float[Array, "M H W 1"]) -> Float[Array, "M H W 1"]:
        """One image there and back."""
        return self.decode(self.encode(image))


def build(features: int = 4) -> RuleModel:
    """The network as a fusion model, whose sources are averaged."""
    return RuleModel(BlurNetwork(features), rule="mean")


SPEC = Spec(
    name="blur",
    build=build,
    recipes={"default": LossWeighting("l1", scale=2.0, form="log", smoothing=1.0)},
    title="Blur (an example)",
    presets={"small": {"features": 4}, "large": {"features": 16}},
    licence="Apache-2.0",
)
