"""How fusion weights are obtained, as small immutable records.

An option left at None comes from the backbone's recipe. The records are pytrees: numbers are traced, so a new
scale recompiles nothing; names are static.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np
from jax.tree_util import register_dataclass, register_pytree_node

from ttd_jax.core.losses import FUSION_LOSSES, RECONSTRUCTION_LOSSES
from ttd_jax.errors import InputError

Component: TypeAlias = Literal["alone", "scaled", "black", "fused"]
Space: TypeAlias = Literal["image", "normalized", "mixed"]
Form: TypeAlias = Literal["exp", "linear", "sigmoid", "log"]
Normalization: TypeAlias = Literal["softmax", "proportional", "none"]
Rule: TypeAlias = Literal["max", "mean", "sum"]
Correlation: TypeAlias = Literal["negative", "positive"]

_CHOICES = {
    "component": get_args(Component),
    "space": get_args(Space),
    "form": get_args(Form),
    "normalization": get_args(Normalization),
    "correlation": get_args(Correlation),
}


_OTHER_NAMES = {"isolate": "alone", "duplicate": "scaled"}
"""What the two components are called for a network with one branch per source."""


@partial(register_dataclass, data_fields=("scale",), meta_fields=("loss", *_CHOICES, "smoothing"))
@dataclass(frozen=True)
class LossWeighting:
    """Weights from reconstruction losses (TTD, Eq. 6).

    With component ``u_m`` and source ``x_m``, ``loss_m = |u_m - x_m|`` per pixel, and by default
    ``weights = softmax_m(exp(-scale * loss_m))``.

    Attributes:
        loss: ``"mse"`` (squared) or ``"l1"`` (absolute), averaged over channels.
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

    Raises:
        InputError: An option is not among its choices, or the scale is negative or not finite.

    Example:
        >>> LossWeighting(loss="l1", scale=10.0).scale
        10.0
    """

    loss: str | None = None
    scale: Any = None
    component: str | None = None
    space: str | None = None
    form: str | None = None
    normalization: str | None = None
    correlation: str | None = None
    smoothing: float | int | None = None

    def __post_init__(self):
        if self.loss not in (None, *RECONSTRUCTION_LOSSES):
            raise InputError(f"loss is one of {', '.join(map(repr, RECONSTRUCTION_LOSSES))}; got {self.loss!r}")
        _check_options(self)

    def resolve(self, recipe: "LossWeighting") -> "LossWeighting":
        """The same with every option that is None taken from ``recipe``."""
        missing = {f.name: getattr(recipe, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **missing)


@dataclass(frozen=True)
class GradientWeighting:
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

    loss: str | Callable = "mse"
    scale: Any = 1.0
    channel: Any = "mean"
    component: str | None = None
    space: str | None = None
    form: str | None = None
    normalization: str | None = None
    correlation: str | None = None
    smoothing: float | int | None = None

    def __post_init__(self):
        if not callable(self.loss) and self.loss not in FUSION_LOSSES:
            names = ", ".join(map(repr, FUSION_LOSSES))
            raise InputError(f"loss is one of {names} or a function of component and source; got {self.loss!r}")
        _check_options(self)
        if not _is_channel(self.channel):
            raise InputError(
                f"channel is an index of at least 0, a list of them, 'mean' or 'auto'; got {self.channel!r}"
            )

    def resolve(self, recipe: LossWeighting) -> "GradientWeighting":
        """The same with every option that is None taken from ``recipe``; loss and scale are never its."""
        missing = {f.name: getattr(recipe, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **missing)


_GRADIENT_NAMES = tuple(f.name for f in fields(GradientWeighting) if f.name not in ("scale", "channel"))


def _flatten(weighting: GradientWeighting) -> tuple[tuple, tuple]:
    """Numbers, and names with the word for the channel if it is one."""
    word = weighting.channel if isinstance(weighting.channel, str) else None
    numbers = weighting.scale, None if word else weighting.channel
    return numbers, (word, *(getattr(weighting, name) for name in _GRADIENT_NAMES))


def _unflatten(names: tuple, numbers: tuple) -> GradientWeighting:
    word, *rest = names
    weighting = object.__new__(GradientWeighting)  # unchecked: what jax puts in is not always a number
    values = {"scale": numbers[0], "channel": word or numbers[1]}
    for name, value in (values | dict(zip(_GRADIENT_NAMES, rest, strict=True))).items():
        object.__setattr__(weighting, name, value)
    return weighting


register_pytree_node(GradientWeighting, _flatten, _unflatten)


def _check_options(weighting: LossWeighting | GradientWeighting) -> None:
    """What both kinds of test-time weighting ask of the options they share."""
    if weighting.component in _OTHER_NAMES:
        object.__setattr__(weighting, "component", _OTHER_NAMES[weighting.component])
    for name, choices in _CHOICES.items():
        value = getattr(weighting, name)
        if value is not None and value not in choices:
            raise InputError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}")
    scale, smoothing = weighting.scale, weighting.smoothing
    if isinstance(scale, str) or (isinstance(scale, Real) and not 0 <= float(scale) < float("inf")):
        raise InputError(f"scale is a finite number of at least 0; got {scale!r}")
    if smoothing is not None and not 0 <= smoothing <= 100:
        raise InputError(f"smoothing is a number of pixels from 0 to 100; got {smoothing!r}")
    if weighting.normalization == "proportional" and weighting.form in ("linear", "log"):
        raise InputError('normalization="proportional" needs positive scores: use form="exp" or "sigmoid"')
    if weighting.correlation == "positive" and weighting.normalization not in (None, "softmax"):
        raise InputError('correlation="positive" is defined for normalization="softmax" only')


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


@dataclass(frozen=True)
class StaticWeighting:
    """The backbone's own static rule, no test-time weights.

    Attributes:
        rule: ``"max"``, ``"mean"`` or ``"sum"`` for a backbone that offers them; None keeps the checkpoint's own.

    Raises:
        InputError: There is no such rule.

    Example:
        >>> StaticWeighting(rule="mean").rule
        'mean'
    """

    rule: str | None = None

    def __post_init__(self):
        if self.rule not in (None, *get_args(Rule)):
            raise InputError(f"static rules are {', '.join(get_args(Rule))}; got {self.rule!r}")


PAPER = LossWeighting("mse", 1.0, "alone", "image", "exp", "softmax", "negative", 0.0)
"""The paper's text to the letter: softmax(exp(-loss)) of D(E(x)) against x."""


def smoothing_radius(sigma: float) -> int:
    """How many pixels to either side the Gaussian over the losses reaches: three standard deviations."""
    return math.ceil(3 * sigma)
