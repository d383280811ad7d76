"""Training plans: everything that decides the outcome of a run, as plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ttd_jax.options import AllBands


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way to train BandNet.

    Attributes:
        name: Name on the command line.
        steps: Optimisation steps, each on one set of every task.
        seed: Of the scenes, the sets, the batches and the initial parameters.
        network: Options of the network's factory.
        size: Side of an image in pixels.
        scenes: How many scenes to make sets from.
        radiance: File of radiance maps, a third of the scenes; empty for none.
        sets: How many sets of two sources; of each other number there are a twelfth as many.
        more: Those other numbers.
        guard: How many sets of other scenes tell when to stop, a quarter of them of four sources; 0 for none, and the
            last step is kept.
        pairs: Share of the steps on two sources.
        learning_rate: Peak of a cosine schedule of Adam.
        damaged: Share of the sets in which one source is made worse (:func:`ttd_jax.training.sources.corrupt`).
        component: Weight of the l1 distance of the components from the intact sources, in levels of 5 of 255.
        brightness: Weight, by task, of the l1 distance of the low frequencies from the target's.
        sharper: What scores and priors in the bands are multiplied by once training is through.
        calm: How much less decided the network is then about the coarsest level of two sources that are alike.
        loss: Whether the loss of the components enters the score (q is learned), or stays out of it (q = 0).
        saliency: Whether explained energy enters the score (p is learned), or stays out of it (p = 0).
        bands: In how many bands sources are weighed: ``"all"``, or 1 for one map a source, by its loss alone.
        loop: Whether the weights are in the loop; else every source counts the same until training is through.
    """

    name: str
    steps: int
    seed: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    size: int = 160
    scenes: int = 180
    radiance: str = ""
    sets: int = 2400
    more: tuple[int, ...] = (3, 4, 6)
    guard: int = 64
    pairs: float = 0.75
    learning_rate: float = 3e-3
    damaged: float = 0.45
    component: float = 0.35
    brightness: dict[str, float] = field(
        default_factory=lambda: {"focus": 0.2, "exposure": 0.1, "infrared": 0.35, "medical": 0.1}
    )
    sharper: float = 1.5
    calm: float = 0.5
    loss: bool = True
    saliency: bool = True
    bands: AllBands | Literal[1] = "all"
    loop: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data, for logs and manifests."""
        return asdict(self)


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan(name="general", steps=1200),
        Plan(
            name="smoke",
            steps=4,
            network={"channels": 4, "hidden": 4, "base": 4},
            size=48,
            scenes=4,
            sets=8,
            guard=4,
            pairs=1.0,
        ),
    )
}
"""Plans by name."""
