"""How fusion weights are obtained, as small immutable records: by losses, by gradients, or by the network's own rule.

An option left open comes from the backbone's recipe. The records are pytrees: numbers are traced, so a new
scale recompiles nothing; names are static.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from jax.tree_util import register_dataclass, register_static
from jaxtyping import Array, PyTree

from ttd_jax.core.bands import weigh_by_band
from ttd_jax.core.dominability import reconstruction_losses, uni_source_components, weights_from_losses
from ttd_jax.core.losses import RECONSTRUCTION_LOSSES
from ttd_jax.core.model import FusionModel, Variables
from ttd_jax.core.protocol import Weighed, Weighting, plain
from ttd_jax.core.scoring import CHOICES, OPEN, Scoring, check_bands
from ttd_jax.errors import InputError
from ttd_jax.options import AllBands, ReconstructionLoss, Rule, check_rule


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

    loss: ReconstructionLoss | Callable[..., Any] = OPEN
    _: KW_ONLY
    bands: int | AllBands | None = OPEN
    saliency: Any = OPEN

    def __post_init__(self) -> None:
        check_bands(self.bands, self.saliency, self)
        if isinstance(self.saliency, Real):
            object.__setattr__(self, "saliency", float(self.saliency))
        if self.loss is not OPEN and not callable(self.loss) and self.loss not in RECONSTRUCTION_LOSSES:
            names = ", ".join(map(repr, RECONSTRUCTION_LOSSES))
            raise InputError(f"loss is one of {names} or a function of component and source; got {self.loss!r}")
        super().__post_init__()

    def weigh(
        self, model: FusionModel, variables: Variables, sources: Array, features: PyTree, surveyed: PyTree = None
    ) -> Weighed:
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
        """Refuses weights by band where the network merges by one map a source.

        Raises:
            InputError: The network takes one weight a pixel.
        """
        if self._by_band and not model.facts.by_band:
            raise InputError(f"this backbone takes one weight a pixel: use bands=1; got {self.bands!r}")

    @property
    def _by_band(self) -> bool:
        return self.bands is not OPEN and self.bands != 1

    @property
    def checks_losses(self) -> bool:
        """Losses of a function of the user's."""
        return callable(self.loss)

    def check_losses(self, losses: np.ndarray) -> None:
        """Refuses losses of a function of the user's that are not numbers.

        Raises:
            InputError: A loss is NaN or infinite somewhere.
        """
        if callable(self.loss) and not np.isfinite(losses).all():
            raise InputError(
                f"the losses of {plain(self.loss)} are NaN or infinite at {np.mean(~np.isfinite(losses)):.1%} of the "
                "pixels: use a loss that is finite for all images"
            )

    def describe(self, found: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Every option as plain data."""
        return self.as_data(found)


@register_static
@dataclass(frozen=True)
class StaticWeighting(Weighting):
    """The backbone's own static rule, no test-time weights.

    Attributes:
        rule: ``"max"``, ``"mean"``, ``"sum"`` or ``"l1"`` (the l1-norm rule of DenseFuse) for a backbone that offers
            them; None keeps the checkpoint's own.

    Raises:
        InputError: There is no such rule.

    Example:
        >>> StaticWeighting(rule="mean").rule
        'mean'
    """

    rule: Rule | None = None

    def __post_init__(self) -> None:
        if self.rule is not None:
            check_rule(self.rule)

    def weigh(
        self, model: FusionModel, variables: Variables, sources: Array, features: PyTree, surveyed: PyTree = None
    ) -> Weighed:
        """Nothing: the network's rule merges."""
        return Weighed(None, None, None)

    def reach(self, model: FusionModel) -> int | None:
        """As far as encoder, rule and decoder look."""
        return None if model.facts.halo is None else sum(model.facts.halo) + model.facts.merge_reach

    def adapt(self, model: FusionModel) -> FusionModel:
        """The model with this rule, if it has a choice of them.

        Raises:
            InputError: The model has one static rule.
        """
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
