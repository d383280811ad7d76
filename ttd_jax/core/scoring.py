"""The options that weights by losses and weights by gradients share: what is decoded and compared, and the score.

An option left open (None) comes from the backbone's recipe. In :mod:`ttd_jax.core` no option may be open.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from ttd_jax.core.model import FusionModel
from ttd_jax.core.protocol import plain, plain_found
from ttd_jax.errors import InputError
from ttd_jax.options import Component, Correlation, Form, Normalization, Space, check_choice

Own = TypeVar("Own", bound="Scoring")

OPEN: Any = None
"""An option that is left to the recipe."""

CHOICES = {
    "component": Component,
    "space": Space,
    "form": Form,
    "normalization": Normalization,
    "correlation": Correlation,
}
"""Options that are made by name."""

_OTHER_NAMES = {"isolate": "alone", "duplicate": "scaled"}
"""What the two components are called for a network with one branch per source."""


@dataclass(frozen=True)
class Scoring:
    """What :class:`~ttd_jax.core.weighting.LossWeighting` and ``GradientWeighting`` have in common; see the former."""

    loss: str | Callable[..., Any] = OPEN
    _: KW_ONLY
    scale: Any = OPEN
    component: Component = OPEN
    space: Space = OPEN
    form: Form = OPEN
    normalization: Normalization = OPEN
    correlation: Correlation = OPEN
    smoothing: float | None = OPEN

    def __post_init__(self) -> None:
        if self.component in _OTHER_NAMES:
            object.__setattr__(self, "component", _OTHER_NAMES[self.component])
        for name, options in CHOICES.items():
            if getattr(self, name) is not OPEN:
                check_choice(name, getattr(self, name), options)
        scale, smoothing = self.scale, self.smoothing
        if isinstance(scale, str) or (isinstance(scale, Real) and not 0 <= float(scale) < float("inf")):
            raise InputError(f"scale is a finite number of at least 0; got {scale!r}")
        if isinstance(scale, Real):
            object.__setattr__(self, "scale", float(scale))
        if smoothing is not None and not 0 <= smoothing <= 100:
            raise InputError(f"smoothing is a number of pixels from 0 to 100; got {smoothing!r}")
        if self.normalization == "proportional" and self.form in ("linear", "log"):
            raise InputError('normalization="proportional" needs positive scores: use form="exp" or "sigmoid"')
        if self.correlation == "positive" and self.normalization not in (OPEN, "softmax"):
            raise InputError('correlation="positive" is defined for normalization="softmax" only')

    def complete(self: Own, recipe: "Scoring | None") -> Own:
        """The same with every option that is open taken from ``recipe``.

        Raises:
            InputError: There is no recipe, or the scale is not one number.
        """
        if recipe is None:
            raise InputError(
                "this checkpoint fuses by weighting='static' only: a loss between result and sources means nothing here"
            )
        missing = {f.name: getattr(recipe, f.name) for f in fields(self) if getattr(self, f.name) is OPEN}
        complete = replace(self, **missing)
        if np.ndim(complete.scale):
            raise InputError(f"scale is one number; got an array of shape {np.shape(complete.scale)}")
        return complete

    def resolve(self: Own, recipe: "Scoring") -> Own:
        """As :meth:`complete`."""
        return self.complete(recipe)

    def as_data(self, found: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Every option as plain data, and what was found besides."""
        options = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return options | {"scale": float(self.scale)} | plain_found(found)

    def local_reach(self, model: FusionModel) -> int | None:
        """How far the weights look through encoder, decoder and smoothing; None if the network does not say."""
        if model.facts.halo is None:
            return None
        encode, decode = model.facts.halo
        reach = encode + model.facts.merge_reach + 2 * decode  # a decoded image makes weights for another one
        return reach + smoothing_radius(self.smoothing)


def smoothing_radius(sigma: float | None) -> int:
    """How many pixels to either side the Gaussian over the losses reaches: three standard deviations."""
    return math.ceil(3 * (sigma or 0))


def check_bands(bands: Any, saliency: Any, weighting: Scoring) -> None:
    """Refuses a number of bands or a saliency that cannot be.

    Raises:
        InputError: One is not, or several bands do not go with the other options.
    """
    if bands is not OPEN and bands != "all" and (isinstance(bands, bool) or not isinstance(bands, int) or bands < 1):
        raise InputError(f"bands is 'all' or a number of at least 1; got {bands!r}")
    if bands not in (OPEN, 1) and callable(weighting.loss):
        raise InputError("a loss of your own has one value a pixel: use bands=1")
    if bands not in (OPEN, 1) and weighting.normalization not in (OPEN, "softmax"):
        raise InputError(f'weights by band need normalization="softmax"; got {weighting.normalization!r}')
    if isinstance(saliency, str) or (isinstance(saliency, Real) and not 0 <= float(saliency) < float("inf")):
        raise InputError(f"saliency is a finite number of at least 0; got {saliency!r}")
