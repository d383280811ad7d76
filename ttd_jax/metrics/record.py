"""What is known of a metric: the record with which every family of metrics ends.

A *variant* is one definition of a metric; a *convention* is a toolkit or paper, which is one variant for each
metric that it has. ``docs/metrics.md`` says where they differ and by how much.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array

from ttd_jax.errors import InputError

Convention = Literal["standard", "ttd", "cddfuse", "vifb", "mefb", "tang", "tang-published", "zoo"]

CONVENTIONS: dict[Convention, str] = {
    "standard": "textbook definitions; several sources are averaged where the definition leaves it open",
    "ttd": "the Test-Time Dynamic fusion paper, as far as its tables could be reproduced",
    "cddfuse": "Evaluator.py of Zhaozixiang1228/MMIF-CDDFuse",
    "vifb": "the VIFB benchmark, xingchenzhang/VIFB",
    "mefb": "the MEFB benchmark, xingchenzhang/MEFB",
    "tang": "Linfeng-Tang/Evaluation-for-Image-Fusion",
    "tang-published": "the TNO values published with that toolkit, which its code no longer gives",
    "zoo": "RollingPlain/IVIF_ZOO, the metrics that could be confirmed by running it",
}
"""What each convention stands for."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The facts about a metric.

    Attributes:
        name: Its abbreviation in the literature, the key in :data:`ttd_jax.metrics.METRICS`.
        full_name: Its name in words.
        function: The function that computes it: ``function(fused, sources, variant=...)``, or without ``sources``,
            of grey images to one number.
        needs_sources: Whether it compares the fused image with its sources, or looks at the fused image
            alone.
        direction: Whether a ``"higher"`` or a ``"lower"`` value is better.
        variants: What each variant is, in a few words.
        conventions: The variant that each convention means; a convention without the metric is not listed.
        source: Where it is defined.
        per_channel: Whether ``channel="rgb"`` averages it over the channels; if not, it is taken on grey.

    Raises:
        InputError: A convention is unknown or means a variant that is not listed, or the direction is neither.

    Example:
        >>> from ttd_jax.metrics import METRICS
        >>> METRICS["EN"].full_name, METRICS["EN"].arrow, METRICS["EN"].conventions["zoo"]
        ('entropy', '↑', 'zoo')
    """

    name: str
    full_name: str
    function: Callable[..., Array]
    needs_sources: bool
    direction: Literal["higher", "lower"]
    variants: Mapping[str, str]
    conventions: Mapping[str, str]
    source: str
    per_channel: bool = True

    def __post_init__(self) -> None:
        if self.direction not in ("higher", "lower"):
            raise InputError(f"metric {self.name!r}: direction is 'higher' or 'lower'; got {self.direction!r}")
        for convention, variant in self.conventions.items():
            if convention not in CONVENTIONS:
                raise InputError(
                    f"metric {self.name!r}: conventions are among {', '.join(CONVENTIONS)}; got {convention!r}"
                )
            check_variant(self.name, variant, self.variants)

    @property
    def arrow(self) -> str:
        """The direction as a sign for tables: ↑ or ↓."""
        return "↑" if self.direction == "higher" else "↓"


def by_variant(**groups: str) -> dict[str, str]:
    """Variant by convention, from the conventions of each variant, their names separated by spaces.

    Example:
        >>> by_variant(mean="standard ttd", sum="vifb")
        {'standard': 'mean', 'ttd': 'mean', 'vifb': 'sum'}
    """
    listed = {name: variant for variant, names in groups.items() for name in names.split()}
    return {name: listed[name] for name in [*CONVENTIONS, *listed] if name in listed}


def check_variant(metric: str, variant: str, choices: Iterable[str]) -> None:
    """Nothing, for a variant that a metric has.

    Raises:
        InputError: It is not among the choices.

    Example:
        >>> check_variant("SD", "sample", ["population", "sample"])
    """
    if variant not in (choices := tuple(choices)):
        raise unknown_variant(metric, variant, choices)


def unknown_variant(metric: str, variant: str, choices: Iterable[str]) -> InputError:
    """The error for a variant that a metric does not have.

    Example:
        >>> raise unknown_variant("SD", "robust", ["population", "sample"])
        Traceback (most recent call last):
        ttd_jax.errors.InputError: SD has the variants population, sample; got 'robust'
    """
    return InputError(f"{metric} has the variants {', '.join(choices)}; got {variant!r}")
