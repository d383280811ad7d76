"""Weights from the gradients of a loss with respect to the sources' features, as a record of its options."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_pytree_node
from jaxtyping import Array, PyTree

from ttd_jax.core.dominability import weights_from_losses
from ttd_jax.core.gradients import DETAIL_REACH, channel_mix, channel_sums, component_gradients, count_channels
from ttd_jax.core.losses import FUSION_LOSSES, LOSS_REACH
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighed, Weighting, plain
from ttd_jax.core.scoring import Scoring
from ttd_jax.errors import InputError
from ttd_jax.options import FusionLoss


@dataclass(frozen=True)
class GradientWeighting(Scoring, Weighting):
    """Weights from the gradients of a loss with respect to the sources' features (TTD, section 5.3, Eq. 7).

    Component ``u_m`` is decoded from features ``f_m``; ``g_m`` is the size of the derivative of the loss of ``u_m``
    against source ``x_m`` with respect to each channel of ``f_m``. A channel is divided by its mean over all pixels of
    all sources, so that its mean is 1 whatever the size of the image, the units of the features and the factor before
    the loss. By default ``weights = softmax_m(exp(-scale * g_m))``.

    Attributes:
        loss: What is summed over the image: ``"mse"``, ``"l1"``, ``"ssim"`` (one minus it) or ``"gradient"``
            (difference of the image gradients); or a function of your own, from component and source, both
            ``(H, W, K)``, to one number, written in ``jax.numpy``. With a function of your own the whole image is
            computed at once, since it may look anywhere.
        scale: The factor before the gradient.
        channel: Index of the feature channel, from 0; a list of indices, or ``"mean"`` of all channels, which
            averages them after the division; or ``"auto"``, the channel that agrees best with where the sources
            have more local detail and differs least from pixel to pixel, chosen anew for every set of sources.
            Features that are several arrays (a pytree) count as one, channels side by side in the order of
            ``jax.tree.leaves``.
        component: As for :class:`~ttd_jax.core.weighting.LossWeighting`; for ``"scaled"`` the gradient is summed over
            the M copies.
        space: As for :class:`~ttd_jax.core.weighting.LossWeighting`.
        form: As for :class:`~ttd_jax.core.weighting.LossWeighting`.
        normalization: As for :class:`~ttd_jax.core.weighting.LossWeighting`.
        correlation: As for :class:`~ttd_jax.core.weighting.LossWeighting`.
        smoothing: As for :class:`~ttd_jax.core.weighting.LossWeighting`, of the gradients.

    Raises:
        InputError: An option is not among its choices, the scale is negative or not finite, or a channel is no index.

    Example:
        >>> GradientWeighting(channel=58, scale=2.0).channel
        58
    """

    loss: FusionLoss | Callable[..., Any] = "mse"
    _: KW_ONLY
    scale: Any = 1.0
    channel: Any = "mean"

    surveys = True  # the mean of a channel, and which channel is best, are facts about the whole image

    def __post_init__(self) -> None:
        if not callable(self.loss) and self.loss not in FUSION_LOSSES:
            names = ", ".join(map(repr, FUSION_LOSSES))
            raise InputError(f"loss is one of {names} or a function of component and source; got {self.loss!r}")
        super().__post_init__()
        if not _is_channel(self.channel):
            raise InputError(
                f"channel is an index of at least 0, a list of them, 'mean' or 'auto'; got {self.channel!r}"
            )

    def complete(self, recipe: Scoring | None) -> "GradientWeighting":
        """The same with every option that is open taken from ``recipe``; loss and scale are never its."""
        complete = super().complete(recipe)
        words = isinstance(complete.channel, str)
        return complete if words else replace(complete, channel=np.asarray(complete.channel, np.int32))

    def weigh(
        self, model: FusionModel, variables: Variables, sources: Array, features: PyTree, surveyed: PyTree = None
    ) -> Weighed:
        """Components, the size of their losses' gradients, and the weights that follow (TTD, Eq. 7)."""
        components, magnitudes = component_gradients(model, variables, sources, features, self)
        if surveyed is None:
            surveyed = channel_sums(magnitudes, sources, jnp.ones(sources.shape[1], bool), score=self._chooses)
        mix, chosen = channel_mix(self.channel, surveyed)
        losses = jnp.matmul(magnitudes, mix, precision="highest")
        found = None if chosen is None else {"chosen_channel": chosen}
        return Weighed(components, losses, weights_from_losses(losses, self), found=found)

    def survey(self, model: FusionModel, variables: Variables, sources: Array, features: PyTree, rows: Array) -> PyTree:
        """What is known of every channel, summed over the rows."""
        _, magnitudes = component_gradients(model, variables, sources, features, self)
        return channel_sums(magnitudes, sources, rows, score=self._chooses)

    def reach(self, model: FusionModel) -> int | None:
        """As for losses, and a derivative goes back through decoder and loss; None with a loss of your own."""
        near, halo = self.local_reach(model), model.facts.halo
        if near is None or halo is None or callable(self.loss):
            return None
        reach = near + halo[1] + 2 * LOSS_REACH[self.loss]
        return max(reach, DETAIL_REACH) if self._chooses else reach

    def check(self, model: FusionModel, variables: Variables, shape: tuple[int, ...]) -> None:
        """Refuses a channel beyond the network's last.

        Raises:
            InputError: There is no such channel.
        """
        if isinstance(self.channel, str):
            return
        count = count_channels(model, variables, shape)
        if (highest := int(np.max(self.channel))) >= count:
            raise InputError(f"this backbone has {count} feature channels, 0 to {count - 1}; got channel {highest}")

    def check_losses(self, losses: np.ndarray) -> None:
        """Refuses gradients that are not numbers.

        Raises:
            InputError: A gradient is NaN or infinite somewhere.
        """
        if not np.isfinite(losses).all():
            raise InputError(
                f"the gradients of {plain(self.loss)} are NaN or infinite at {np.mean(~np.isfinite(losses)):.1%} of "
                "the pixels: use a loss whose derivative is finite everywhere (a square root has none at 0)"
            )

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Every option as plain data, with the channel that "auto" chose, or for a batch the channels."""
        return self.as_data(found)

    @property
    def _chooses(self) -> bool:
        return isinstance(self.channel, str) and self.channel == "auto"


_NAMES = tuple(f.name for f in fields(GradientWeighting) if f.name not in ("scale", "channel"))


def _flatten(weighting: GradientWeighting) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Numbers, and names with the word for the channel if it is one."""
    word = weighting.channel if isinstance(weighting.channel, str) else None
    numbers = weighting.scale, None if word else weighting.channel
    return numbers, (word, *(getattr(weighting, name) for name in _NAMES))


def _unflatten(names: tuple[Any, ...], numbers: tuple[Any, ...]) -> GradientWeighting:
    word, *rest = names
    weighting = object.__new__(GradientWeighting)  # unchecked: what jax puts in is not always a number
    values = {"scale": numbers[0], "channel": word or numbers[1]}
    for name, value in (values | dict(zip(_NAMES, rest, strict=True))).items():
        object.__setattr__(weighting, name, value)
    return weighting


register_pytree_node(GradientWeighting, _flatten, _unflatten)


def _is_channel(channel: Any) -> bool:
    """Whether this is a word for channels, an index or a list of indices; what jax traces is."""
    if isinstance(channel, str):
        return channel in ("mean", "auto")
    if isinstance(channel, list | tuple | np.ndarray) and np.ndim(channel) == 1:
        return len(channel) > 0 and all(_is_channel(one) for one in channel)
    if isinstance(channel, Integral):
        return not isinstance(channel, bool) and int(channel) >= 0
    return (
        isinstance(channel, np.ndarray | jax.Array) and channel.ndim <= 1 and np.issubdtype(channel.dtype, np.integer)
    )
