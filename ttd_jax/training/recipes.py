"""Training recipes: everything that decides the outcome of a run, as plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ttd_jax.backbones.ttdnet import WEIGHTING
from ttd_jax.core.weighting import LossWeighting
from ttd_jax.training.objective import Terms


@dataclass(frozen=True)
class Recipe:
    """One way to train TTDNet.

    Attributes:
        name: Name on the command line.
        steps: Optimisation steps.
        seed: Of the scenes, the batches and the initial parameters.
        network: Options of the network's factory.
        weighting: How weights follow from losses, while training and in use.
        batch: Source sets per step, the tasks in turn.
        size: Side of a crop in pixels.
        counts: Numbers of sources M, one of which is drawn for each step.
        scenes: How many scenes to draw crops from.
        learning_rate: Peak of a cosine schedule of Adam.
        terms: Weight of each term of the objective, by task.
        corrupt: Share of the source sets in which one source loses an area or its contrast (see
            :func:`ttd_jax.training.sources.corrupt`).
        static: Share of the objective of the static fusion, beside 1 for the dynamic one.
        component: Weight of the l1 distance of the components from the target.
        calibration: Weight, by task, of the Kullback-Leibler divergence of the weights from those that the sources'
            true distances from the target would give.
        dynamic: Whether the merged path is trained with test-time weights at all.
        through_weights: Whether gradients pass through the weights.
    """

    name: str
    steps: int
    seed: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    weighting: LossWeighting = WEIGHTING
    batch: int = 8
    size: int = 80
    counts: tuple[int, ...] = (2, 2, 2, 2, 2, 2, 2, 2, 3, 4)
    scenes: int = 400
    learning_rate: float = 2e-3
    terms: dict[str, Terms] = field(default_factory=dict)
    corrupt: float = 0.15
    static: float = 0.0
    component: float = 0.3
    calibration: dict[str, float] = field(default_factory=dict)
    dynamic: bool = True
    through_weights: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain data, for logs and manifests."""
        return asdict(self)


_TERMS = {
    "focus": Terms(target=20.0, structure=0.5, edges=5.0, detail=0.0, contrast=0.0, range=5.0),
    "exposure": Terms(target=0.2, structure=0.3, edges=5.0, detail=1.0, contrast=0.05, range=5.0),
    "infrared": Terms(target=0.2, structure=1.0, edges=5.0, detail=0.0, contrast=0.6, range=5.0),
    "medical": Terms(target=0.2, structure=1.0, edges=5.0, detail=0.0, contrast=0.35, range=5.0),
}

_CALIBRATION = {"focus": 1.0, "exposure": 0.5, "infrared": 0.0, "medical": 0.2}

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("general", steps=600, terms=_TERMS, calibration=_CALIBRATION),
        Recipe(
            "smoke",
            steps=4,
            network={"channels": 4},
            batch=4,
            size=48,
            scenes=8,
            terms=_TERMS,
            calibration=_CALIBRATION,
        ),
    )
}
"""Recipes by name."""
