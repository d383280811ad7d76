"""What the method needs to know of a fusion network: encode, merge, decode.

Everything in :mod:`ttd_jax.core` works for any object that follows :class:`FusionModel`. Arrays are float32,
channels last. ``sources`` is ``(M, H, W, C)`` in [0, 1], where source 0 is the *reference* (the one whose
residual, stem or chroma a network may single out). Features and latents are pytrees of the model's choosing.

A model is a static argument of the jitted functions, so it must be hashable, and two models built alike must
be equal; its network parameters travel separately as ``variables``.

A model may also have ``constant_features = True``: a constant image has the same features everywhere, whatever its
size. A black partner is then encoded as one pixel.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Array, Float, PyTree

Variables: TypeAlias = Mapping[str, Any]


@runtime_checkable
class FusionModel(Protocol):
    """A frozen fusion network: encode, merge, decode, and the few facts that the method asks of it."""

    @property
    def independent(self) -> bool:
        """Whether ``encode`` treats each source alone, so that features of one never depend on another."""
        ...

    @property
    def uniform_is_static(self) -> bool:
        """Whether uniform weights reproduce the static rule: yes for a sum or mean, no for a maximum."""
        ...

    @property
    def halo(self) -> tuple[int, int] | None:
        """Reach in pixels of ``encode`` and ``decode``; None when a network looks at the whole image."""
        ...

    def gain(self, sources: int) -> float:
        """What ``merge`` multiplies the weights by: M where the static rule is a sum or a concatenation, else 1."""
        ...

    def normalize(self, image: Float[Array, "... H W C"]) -> Float[Array, "... H W C"]:
        """The image as the network sees it (for ``space="normalized"``); the identity for most."""
        ...

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> PyTree:
        """Features of all sources; if ``independent``, each leaf has leading axis M."""
        ...

    def merge(self, features: PyTree, weights: Float[Array, "M H W 1"] | None = None) -> PyTree:
        """One latent out of M features.

        With weights that sum to 1 over axis 0: the weighted sum of the features, times ``gain``, which is linear in
        the weights; a latent may say more of the weights themselves.
        With None: the network's own static rule, which uniform weights reproduce unless that rule is a maximum.
        """
        ...

    def decode(
        self, variables: Variables, latent: PyTree, residual: Float[Array, "H W C"] | None = None
    ) -> Float[Array, "H W C"]:
        """The image of a latent, in image space but not clipped; ``residual`` is what ``residual()`` gave."""
        ...

    def residual(self, sources: Float[Array, "M H W C"]) -> Float[Array, "H W C"] | None:
        """What the network adds to the fused image's decoding, if anything; components go without."""
        ...

    def finish(self, image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
        """The last step of a fused image, static or dynamic, that components go without; mostly the identity."""
        ...
