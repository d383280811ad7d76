"""How fusion weights are obtained, as small immutable records.

An option left at None comes from the backbone's recipe. The records are pytrees: numbers are traced, so a new
scale recompiles nothing; names are static.
"""

import math
from dataclasses import dataclass, fields, replace
from functools import partial
from numbers import Real
from typing import Any, Literal, TypeAlias, get_args

from jax.tree_util import register_dataclass

from ttd_jax.core.losses import RECONSTRUCTION_LOSSES
from ttd_jax.errors import InputError

Component: TypeAlias = Literal["alone", "scaled", "black", "fused"]
Space: TypeAlias = Literal["image", "normalized", "mixed"]
Form: TypeAlias = Literal["exp", "linear", "sigmoid", "log"]
Normalization: TypeAlias = Literal["softmax", "proportional", "none"]
Rule: TypeAlias = Literal["max", "mean", "sum"]
Correlation: TypeAlias = Literal["negative", "positive"]

_CHOICES = {
    "loss": tuple(RECONSTRUCTION_LOSSES),
    "component": get_args(Component),
    "space": get_args(Space),
    "form": get_args(Form),
    "normalization": get_args(Normalization),
    "correlation": get_args(Correlation),
}


_OTHER_NAMES = {"isolate": "alone", "duplicate": "scaled"}
"""What the two components are called for a network with one branch per source."""


@partial(register_dataclass, data_fields=("scale",), meta_fields=(*_CHOICES, "smoothing"))
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
        if self.component in _OTHER_NAMES:
            object.__setattr__(self, "component", _OTHER_NAMES[self.component])
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise InputError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}")
        if isinstance(self.scale, str) or (isinstance(self.scale, Real) and not 0 <= float(self.scale) < float("inf")):
            raise InputError(f"scale is a finite number of at least 0; got {self.scale!r}")
        if self.smoothing is not None and not 0 <= self.smoothing <= 100:
            raise InputError(f"smoothing is a number of pixels from 0 to 100; got {self.smoothing!r}")
        if self.normalization == "proportional" and self.form in ("linear", "log"):
            raise InputError('normalization="proportional" needs positive scores: use form="exp" or "sigmoid"')
        if self.correlation == "positive" and self.normalization not in (None, "softmax"):
            raise InputError('correlation="positive" is defined for normalization="softmax" only')

    def resolve(self, recipe: "LossWeighting") -> "LossWeighting":
        """The same with every option that is None taken from ``recipe``."""
        missing = {f.name: getattr(recipe, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **missing)


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
