"""What the method needs to know of a fusion network: a record of facts, and encode, merge, decode.

Everything in :mod:`ttd_jax.core` works for any object that follows :class:`FusionModel`. Arrays are float32,
channels last. ``sources`` is ``(M, H, W, C)`` in [0, 1], where source 0 is the *reference* (the one whose
residual, stem or chroma a network may single out). Features and latents are pytrees of the model's choosing.

A model is a static argument of the jitted functions, so it must be hashable, and two models built alike must
be equal (a frozen dataclass is both); its network parameters travel separately as ``variables``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Array, Float, PyTree

from ttd_jax.errors import InputError
from ttd_jax.options import MergeRule

Variables: TypeAlias = Mapping[str, Any]


def as_it_is(image: Float[Array, "*B H W C"]) -> Float[Array, "*B H W C"]:
    """The image itself."""
    return image


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the method asks of a network besides its verbs; each fact has the value that suits most.

    Attributes:
        rule: How the network merges its sources by itself: ``"mean"``, ``"sum"``, ``"max"``, ``"l1"`` (a mean weighted
            by the activity around each pixel) or ``"concatenation"``.
        independent: Whether ``encode`` treats each source alone, so that features of one never depend on another.
        halo: Reach in pixels of ``encode`` and of ``decode``, so that large images are computed in strips that equal
            the whole; None for a network that looks at the whole image, or does not say.
        constant_features: Whether a constant image has the same features everywhere, borders included, whatever its
            size; a black partner is then encoded as one pixel.
        by_band: Whether ``merge`` takes a tuple of weights, one for every band of a pyramid, in place of one map.
        normalize: From an image in [0, 1] to the image as the network sees it, for ``space="normalized"``.
        plain_code: Whether machine code that is made in half the time is as fast for this network, as was measured.

    Example:
        >>> Facts(rule="sum").gain(3), Facts().gain(3)
        (3.0, 1.0)
    """

    rule: MergeRule = "mean"
    independent: bool = True
    halo: tuple[int, int] | None = None
    constant_features: bool = False
    by_band: bool = False
    normalize: Callable[[Array], Array] = as_it_is
    plain_code: bool = False

    def gain(self, sources: int) -> float:
        """What ``merge`` multiplies the weights by: M where the static rule is a sum or a concatenation, else 1."""
        return float(sources) if self.rule in ("sum", "concatenation") else 1.0

    @property
    def uniform_is_static(self) -> bool:
        """Whether uniform weights reproduce the static rule: for all but a maximum and the l1-norm rule."""
        return self.rule not in ("max", "l1")

    @property
    def merge_reach(self) -> int:
        """Reach in pixels of the static rule: 1 for the l1-norm rule, which averages activity over 3x3 pixels."""
        return 1 if self.rule == "l1" else 0


@runtime_checkable
class FusionModel(Protocol):
    """A frozen fusion network; a class that inherits from this one writes ``encode``, ``merge`` and ``decode``.

    Example:
        >>> @dataclass(frozen=True)
        ... class Plain(FusionModel):
        ...     def encode(self, variables, sources):
        ...         return sources
        ...
        ...     def merge(self, features, weights=None):
        ...         return features.mean(axis=0) if weights is None else (weights * features).sum(axis=0)
        ...
        ...     def decode(self, variables, latent):
        ...         return latent
        >>> check_model(Plain())
    """

    @property
    def facts(self) -> Facts:
        """What the method asks of the network; a class attribute will do."""
        return Facts()

    def encode(self, variables: Variables, sources: Float[Array, "M H W C"]) -> PyTree:
        """Features of all sources; if ``independent``, each leaf has leading axis M."""
        ...

    def merge(self, features: PyTree, weights: Float[Array, "M H W 1"] | None = None) -> PyTree:
        """One latent out of M features.

        With weights that sum to 1 over axis 0: the weighted sum of the features, times the gain, which is linear in
        the weights; a latent may say more of the weights themselves.
        With None: the network's own static rule, which uniform weights reproduce unless that rule is a maximum.
        A weighting may hand over weights of another form (``Weighed.bands``) to a model that knows it.
        """
        ...

    def decode(self, variables: Variables, latent: PyTree) -> Float[Array, "H W K"]:
        """The image of a latent, in image space but not clipped."""
        ...

    def render(self, variables: Variables, latent: PyTree, sources: Float[Array, "M H W C"]) -> Float[Array, "H W K"]:
        """The fused image of a latent: decoded, with what the network adds to it, or does last, that components lack.

        Args:
            variables: The network's parameters.
            latent: What ``merge`` made.
            sources: The sources, for a residual.
        """
        return self.decode(variables, latent)


_MEMBERS = ("facts", "encode", "merge", "decode", "render")


def check_model(model: Any) -> None:
    """Refuses an object that cannot be a fusion model, before anything is compiled.

    Raises:
        InputError: It lacks a member of :class:`FusionModel`, its facts are none, or it is not hashable.
    """
    name = type(model).__name__
    if lacking := [member for member in _MEMBERS if not hasattr(model, member)]:
        raise InputError(
            f"a model has {', '.join(_MEMBERS)}; {name} lacks {', '.join(lacking)}: inherit from ttd_jax.FusionModel, "
            "which leaves encode, merge and decode to write"
        )
    if not isinstance(model.facts, Facts):
        raise InputError(f"{name}.facts is a ttd_jax.Facts; got {model.facts!r}")
    try:
        hash(model)
    except TypeError:
        raise InputError(f"{name} is not hashable: make it a frozen dataclass of hashable fields") from None


def check_image(model: Any, member: str, image: Any, size: tuple[Any, ...]) -> None:
    """Refuses what a model's ``decode`` or ``render`` returned if it is no image of this size, which may be symbols.

    Args:
        model: The model, for its name.
        member: What returned it.
        image: What was returned.
        size: Height and width.

    Raises:
        InputError: It is not (H, W, K).
    """
    shape = getattr(image, "shape", None)
    if shape is None or len(shape) != 3 or tuple(shape[:2]) != tuple(size):
        got = f"shape {tuple(shape)}" if shape is not None else type(image).__name__
        raise InputError(
            f"{type(model).__name__}.{member} returned {got}: expected an image (H, W, K) with H, W = {size[0]}, "
            f"{size[1]}"
        )
