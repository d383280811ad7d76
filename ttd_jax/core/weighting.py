"""How fusion weights are obtained, as small immutable records: by losses, by gradients, or by the network's own rule.

An option left open comes from the backbone's recipe. The records are pytrees: numbers are traced, so a new
scale recompiles nothing; names are static.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass, register_pytree_node, register_static

from ttd_jax.core.bands import weigh_by_band
from ttd_jax.core.dominability import reconstruction_losses, uni_source_components, weights_from_losses
from ttd_jax.core.gradients import DETAIL_REACH, channel_mix, channel_sums, component_gradients, count_channels
from ttd_jax.core.losses import FUSION_LOSSES, LOSS_REACH, RECONSTRUCTION_LOSSES
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighed, Weighting, plain, plain_found
from ttd_jax.core.scoring import CHOICES, OPEN, Scoring, check_bands
from ttd_jax.errors import InputError
from ttd_jax.options import AllBands, FusionLoss, ReconstructionLoss, Rule, check_rule


@partial(register_dataclass, data_fields=("scale", "saliency"), meta_fields=("loss", *CHOICES, "smoothing", "bands"))
@dataclass(frozen=True)
class LossWeighting(Scoring, Weighting):
    """Weights from reconstruction losses (TTD, Eq. 6).

    With component ``u_m`` and source ``x_m``, ``loss_m = |u_m - x_m|`` per pixel, and by default
    ``weights = softmax_m(exp(-scale * loss_m))``.

    Attributes:
        loss: ``"mse"`` (squared) or ``"l1"`` (absolute), averaged over channels; or a function of your own, from
            component and source, both ``(H, W, K)``, to a map ``(H, W)``, written in ``jax.numpy``. With a function
            of your own the whole image is computed at once, since it may look anywhere.
        scale: The factor before the loss; 1 is the paper's formula, 50 its released code.
        component: What stands for one source alone: ``"alone"``, D(E(x)), the paper's text; ``"scaled"``, the
            static fusion of M copies of x; ``"black"``, the static fusion of x with M - 1 black images;
            ``"fused"``, the static fusion of all sources. ``"isolate"`` and ``"duplicate"`` are other names of the
            first two.
        space: ``"image"`` compares in [0, 1]; ``"normalized"`` in the network's input space; ``"mixed"`` the
            component in the network's space with the source in [0, 1].
        form: ``"exp"``, exp(-scale * loss); ``"linear"``, -scale * loss; ``"sigmoid"``, its sigmoid (Table 4);
            ``"log"``, -scale * log(loss + 1/255), which makes the weights inverse powers of the losses.
        normalization: ``"softmax"`` over the sources, ``"proportional"`` or ``"none"`` (Table 5).
        smoothing: Standard deviation in pixels of a Gaussian over the losses before they become weights; 0 for none.
        correlation: ``"negative"``, or the control ``"positive"`` that prefers the worse source (section 5.1).
        bands: In how many bands of a pyramid each source gets a component, a loss and weights of its own
            (:mod:`ttd_jax.core.bands`); ``"all"`` for as many as the image has. 1 is the paper's method.
        saliency: With several bands, the exponent of the energy that a component explains, a factor beside the score
            of its loss; 0 leaves the loss alone.

    Raises:
        InputError: An option is not among its choices, or the scale or the saliency is negative or not finite.

    Example:
        >>> LossWeighting(loss="l1", scale=10.0).scale
        10.0
    """

    loss: ReconstructionLoss | Callable = OPEN
    _: KW_ONLY
    bands: int | AllBands | None = OPEN
    saliency: Any = OPEN

    def __post_init__(self):
        check_bands(self.bands, self.saliency, self)
        if isinstance(self.saliency, Real):
            object.__setattr__(self, "saliency", float(self.saliency))
        if self.loss is not OPEN and not callable(self.loss) and self.loss not in RECONSTRUCTION_LOSSES:
            names = ", ".join(map(repr, RECONSTRUCTION_LOSSES))
            raise InputError(f"loss is one of {names} or a function of component and source; got {self.loss!r}")
        super().__post_init__()

    def weigh(self, model: FusionModel, variables: Variables, sources, features, surveyed=None) -> Weighed:
        """Components, their distances from the sources, and the weights that follow (TTD, Eq. 6)."""
        if self._by_band:
            options: dict[str, Any] = {"bands": self.bands, "saliency": 0.0 if self.saliency is OPEN else self.saliency}
            return weigh_by_band(model, variables, sources, features, self, **options)
        components = uni_source_components(model, variables, sources, features, kind=self.component)
        losses = reconstruction_losses(model, components, sources, self)
        return Weighed(components, losses, weights_from_losses(losses, self))

    def reach(self, model: FusionModel) -> int | None:
        """As far as encoder, two decoders and the smoothing look; None with a loss of your own, or by band."""
        return None if callable(self.loss) or self._by_band else self.local_reach(model)

    def check(self, model: FusionModel, variables: Variables, shape: tuple[int, ...]) -> None:
        """Refuses weights by band where the network merges by one map a source."""
        if self._by_band and not model.facts.by_band:
            raise InputError(f"this backbone takes one weight a pixel: use bands=1; got {self.bands!r}")

    @property
    def _by_band(self) -> bool:
        return self.bands is not OPEN and self.bands != 1

    def check_losses(self, losses) -> None:
        """Refuses losses of a function of the user's that are not numbers."""
        if callable(self.loss) and not np.isfinite(losses).all():
            raise InputError(
                f"the losses of {plain(self.loss)} are NaN or infinite at {np.mean(~np.isfinite(losses)):.1%} of the "
                "pixels: use a loss that is finite for all images"
            )

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Every option as plain data."""
        return _describe(self, found)


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
        component: As for :class:`LossWeighting`; for ``"scaled"`` the gradient is summed over the M copies.
        space: As for :class:`LossWeighting`.
        form: As for :class:`LossWeighting`.
        normalization: As for :class:`LossWeighting`.
        correlation: As for :class:`LossWeighting`.
        smoothing: As for :class:`LossWeighting`, of the gradients.

    Raises:
        InputError: An option is not among its choices, the scale is negative or not finite, or a channel is no index.

    Example:
        >>> GradientWeighting(channel=58, scale=2.0).channel
        58
    """

    loss: FusionLoss | Callable = "mse"
    _: KW_ONLY
    scale: Any = 1.0
    channel: Any = "mean"

    surveys = True  # the mean of a channel, and which channel is best, are facts about the whole image

    def __post_init__(self):
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

    def weigh(self, model: FusionModel, variables: Variables, sources, features, surveyed=None) -> Weighed:
        """Components, the size of their losses' gradients, and the weights that follow (TTD, Eq. 7)."""
        components, magnitudes = component_gradients(model, variables, sources, features, self)
        if surveyed is None:
            surveyed = channel_sums(magnitudes, sources, jnp.ones(sources.shape[1], bool), score=self._chooses)
        mix, chosen = channel_mix(self.channel, surveyed)
        losses = jnp.matmul(magnitudes, mix, precision="highest")
        found = None if chosen is None else {"chosen_channel": chosen}
        return Weighed(components, losses, weights_from_losses(losses, self), found=found)

    def survey(self, model: FusionModel, variables: Variables, sources, features, rows):
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
        """Refuses a channel beyond the network's last."""
        if isinstance(self.channel, str):
            return
        count = count_channels(model, variables, shape)
        if (highest := int(np.max(self.channel))) >= count:
            raise InputError(f"this backbone has {count} feature channels, 0 to {count - 1}; got channel {highest}")

    def check_losses(self, losses) -> None:
        """Refuses gradients that are not numbers."""
        if not np.isfinite(losses).all():
            raise InputError(
                f"the gradients of {plain(self.loss)} are NaN or infinite at {np.mean(~np.isfinite(losses)):.1%} of "
                "the pixels: use a loss whose derivative is finite everywhere (a square root has none at 0)"
            )

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Every option as plain data, with the channel that "auto" chose, or for a batch the channels."""
        return _describe(self, found)

    @property
    def _chooses(self) -> bool:
        return isinstance(self.channel, str) and self.channel == "auto"


_NAMES = tuple(f.name for f in fields(GradientWeighting) if f.name not in ("scale", "channel"))


def _flatten(weighting: GradientWeighting) -> tuple[tuple, tuple]:
    """Numbers, and names with the word for the channel if it is one."""
    word = weighting.channel if isinstance(weighting.channel, str) else None
    numbers = weighting.scale, None if word else weighting.channel
    return numbers, (word, *(getattr(weighting, name) for name in _NAMES))


def _unflatten(names: tuple, numbers: tuple) -> GradientWeighting:
    word, *rest = names
    weighting = object.__new__(GradientWeighting)  # unchecked: what jax puts in is not always a number
    values = {"scale": numbers[0], "channel": word or numbers[1]}
    for name, value in (values | dict(zip(_NAMES, rest, strict=True))).items():
        object.__setattr__(weighting, name, value)
    return weighting


register_pytree_node(GradientWeighting, _flatten, _unflatten)


def _describe(weighting: Scoring, found: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    options = {f.name: plain(getattr(weighting, f.name)) for f in fields(weighting)}
    return options | {"scale": float(weighting.scale)} | plain_found(found)


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


@register_static
@dataclass(frozen=True)
class StaticWeighting(Weighting):
    """The backbone's own static rule, no test-time weights.

    Attributes:
        rule: ``"max"``, ``"mean"`` or ``"sum"`` for a backbone that offers them; None keeps the checkpoint's own.

    Raises:
        InputError: There is no such rule.

    Example:
        >>> StaticWeighting(rule="mean").rule
        'mean'
    """

    rule: Rule | None = None

    def __post_init__(self):
        if self.rule is not None:
            check_rule(self.rule)

    def weigh(self, model: FusionModel, variables: Variables, sources, features, surveyed=None) -> Weighed:
        """Nothing: the network's rule merges."""
        return Weighed(None, None, None)

    def reach(self, model: FusionModel) -> int | None:
        """As far as encoder and decoder look."""
        return None if model.facts.halo is None else sum(model.facts.halo)

    def adapt(self, model: FusionModel) -> FusionModel:
        """The model with this rule, if it has a choice of them."""
        if self.rule is None:
            return model
        if not hasattr(model, "rule"):
            raise InputError("this backbone has one static rule: use weighting='static'")
        changed: Any = model
        return replace(changed, rule=self.rule)

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> str:
        """The word for it."""
        return "static"


PAPER = LossWeighting(
    "mse",
    scale=1.0,
    component="alone",
    space="image",
    form="exp",
    normalization="softmax",
    correlation="negative",
    smoothing=0.0,
    bands=1,
    saliency=0.0,
)
"""The paper's text to the letter: softmax(exp(-loss)) of D(E(x)) against x."""
