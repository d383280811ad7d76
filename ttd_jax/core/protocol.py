"""What every weighting can do, and what it returns.

A weighting is an immutable pytree: numbers in it are traced, so that a new scale recompiles nothing; names are
static. The package has three (:mod:`ttd_jax.core.weighting`); one of your own inherits from :class:`Weighting` and
writes ``weigh`` (docs/your_own_weighting.md).
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.errors import InputError


class Weighed(NamedTuple):
    """What a weighting makes of one set of sources.

    Attributes:
        components: Uni-source components ``(M, H, W, K)``; None if it makes none.
        losses: What the weights follow from, ``(M, H, W)``; None if there is no such thing.
        weights: One map a source, ``(M, H, W)``, which sum to 1; None leaves the merging to the network's own rule.
        bands: What ``model.merge`` gets in place of the weights, for a model that knows what to do with it; None for
            the weights themselves.
        found: What else is worth reporting, scalars by name, such as a channel that was chosen.

    Example:
        >>> Weighed(components=None, losses=None, weights=jnp.full((2, 4, 4), 0.5)).bands is None
        True
    """

    components: Float[Array, "M H W K"] | None
    losses: Float[Array, "M H W"] | None
    weights: Float[Array, "M H W"] | None
    bands: PyTree = None
    found: Mapping[str, Array] | None = None


Own = TypeVar("Own", bound="Weighting")


@runtime_checkable
class Weighting(Protocol):
    """How weights are obtained; a class that inherits from this one has to write ``weigh`` only.

    Example:
        >>> from dataclasses import dataclass
        >>> from ttd_jax import fuse
        >>> @jax.tree_util.register_static
        ... @dataclass(frozen=True)
        ... class Brighter(Weighting):
        ...     def weigh(self, model, variables, sources, features, surveyed=None):
        ...         return Weighed(None, None, jax.nn.softmax(4 * sources[..., 0], axis=0))
        >>> dark, bright = np.zeros((8, 8)), np.ones((8, 8))
        >>> fuse([dark, bright], backbone="pyramid", weighting=Brighter()).weights[1, 0, 0] > 0.9
        np.True_
    """

    surveys: bool = False
    """Whether the weights at a pixel depend on sums over the whole image, which ``survey`` makes."""

    @property
    def checks_losses(self) -> bool:
        """Whether ``check_losses`` may find anything; then losses are computed where only the image is wanted, too."""
        return True

    def weigh(
        self,
        model: FusionModel,
        variables: Variables,
        sources: Float[Array, "M H W C"],
        features: PyTree,
        surveyed: PyTree = None,
    ) -> Weighed:
        """The weights of a set of sources, with what they follow from; pure, safe under jit, vmap and grad.

        Args:
            model: The fusion network.
            variables: Its parameters.
            sources: Sources in [0, 1]; a part of the image's rows if it is computed in strips.
            features: What ``model.encode`` made of them.
            surveyed: What ``survey`` found, summed over the image; None if these sources are the whole image.
        """
        ...

    def survey(
        self,
        model: FusionModel,
        variables: Variables,
        sources: Float[Array, "M H W C"],
        features: PyTree,
        rows: Bool[Array, " H"],
    ) -> PyTree:
        """Sums over the pixels of some rows, a pytree that can be added up; only asked for if ``surveys``."""
        return None

    def reach(self, model: FusionModel) -> int | None:
        """How many pixels away a source can still change the result; None if from anywhere.

        With None an image is always computed as a whole, and memory grows with it.
        """
        return None

    def complete(self: Own, recipe: Any) -> Own:
        """The same with every option that was left open taken from a recipe.

        Args:
            recipe: A complete ``LossWeighting``, or None for a network that has no recipes.

        Raises:
            InputError: It cannot do without a recipe, or an option is no such thing.
        """
        return self

    def adapt(self, model: FusionModel) -> FusionModel:
        """The model that is run, mostly as it is.

        Raises:
            InputError: The model is not made for this weighting.
        """
        return model

    def check(self, model: FusionModel, variables: Variables, shape: tuple[int, ...]) -> None:
        """Refuses options that do not suit the network, before anything is computed; ``shape`` is (M, H, W, C).

        Raises:
            InputError: One does not.
        """
        return None

    def check_losses(self, losses: Float[np.ndarray, "*N M H W"]) -> None:
        """Refuses losses that no weights can be made of, once they are computed.

        Raises:
            InputError: One is NaN or infinite.
        """
        if not np.isfinite(losses).all():
            share = np.mean(~np.isfinite(losses))
            raise InputError(
                f"the losses of {type(self).__name__} are NaN or infinite at {share:.1%} of the pixels: "
                "use a loss that is finite for every image in [0, 1]"
            )

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> Any:
        """The weighting as plain data for reports: by default its name, its options, and what it found."""
        options: dict[str, Any] = {}
        if is_dataclass(self):
            options = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {"weighting": type(self).__name__, **options, **plain_found(found)}


_MEMBERS = (
    "surveys",
    "checks_losses",
    "weigh",
    "survey",
    "reach",
    "complete",
    "adapt",
    "check",
    "check_losses",
    "describe",
)


def check_weighting(weighting: Any) -> None:
    """Refuses an object that cannot be a weighting, before anything is compiled.

    Raises:
        InputError: It lacks a member of :class:`Weighting`, or jax cannot hand it to a compiled function.
    """
    name = type(weighting).__name__
    if lacking := [member for member in _MEMBERS if not hasattr(weighting, member)]:
        raise InputError(
            f"a weighting has {', '.join(_MEMBERS)}; {name} lacks {', '.join(lacking)}: inherit from "
            "ttd_jax.Weighting, which leaves weigh to write"
        )
    if any(leaf is weighting for leaf in jax.tree.leaves(weighting)):
        raise InputError(
            f"{name} is no pytree: put @jax.tree_util.register_static above a frozen dataclass of fixed options, or "
            "register_dataclass with its numbers as data_fields"
        )


def check_weighed(weighting: Any, weighed: Any, sources: Float[Array, "M H W C"]) -> Weighed:
    """What ``weigh`` returned, if it is what it should be.

    Raises:
        InputError: It is no ``Weighed``, or an array in it has another shape; says which.
    """
    name = f"{type(weighting).__name__}.weigh"
    if not isinstance(weighed, Weighed):
        raise InputError(f"{name} returned {type(weighed).__name__}: expected a ttd_jax.Weighed")
    maps = tuple(sources.shape[:3])
    for member in ("weights", "losses", "components"):
        array = getattr(weighed, member)
        if array is None:
            continue
        shape, expected = getattr(array, "shape", None), f"(M, H, W) = {maps}"
        wrong = shape is None or tuple(shape) != maps
        if member == "components":
            expected = f"(M, H, W, K) with M, H, W = {maps}"
            wrong = shape is None or len(shape) != 4 or tuple(shape[:3]) != maps
        if wrong or not jnp.issubdtype(array.dtype, jnp.floating):
            got = type(array).__name__ if shape is None else f"{array.dtype} of shape {tuple(shape)}"
            raise InputError(f"{name} returned {member} that are {got}: expected floats {expected}")
    if weighed.weights is None and weighed.bands is not None:
        raise InputError(f"{name} returned bands without weights: one map a source sums them up")
    return weighed


def plain(value: Any) -> Any:
    """An option as plain data: numbers and lists for arrays, a function's name, anything else as it is."""
    if callable(value):
        return getattr(value, "__name__", repr(value))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return np.asarray(value).tolist()
    return value


def plain_found(found: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    """What a weighting found, as plain data."""
    return {name: plain(value) for name, value in (found or {}).items()}
