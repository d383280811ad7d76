"""DIDFuse's two state dicts, under ``weight``: four layers in, three out, each with batch normalisation."""

from ..rules import Rule, Table, batch_norm

_LAYERS = {
    "encoder": {"cov1": 1, "cov2": 0, "cov3": 0, "cov4": 0},
    "decoder": {"cov5": 0, "cov6": 0, "cov7": 1},
}
"""Where the convolution stands in each layer's list: behind the padding, if that is a layer of its own."""

_WITH_SLOPE = ("cov1", "cov2", "cov5", "cov6")


def _layer(part: str, name: str, first: int) -> list[Rule]:
    source, target = f"weight.{name}.{name}", f"{part}/{name}"
    rules = [
        Rule(f"{source}.{first}.weight", f"params/{target}/conv/kernel", "conv"),
        Rule(f"{source}.{first}.bias", f"params/{target}/conv/bias"),
        *batch_norm(f"{source}.{first + 1}", f"{target}/bn"),
    ]
    return [*rules, Rule(f"{source}.{first + 2}.weight", f"params/{target}/slope")] if name in _WITH_SLOPE else rules


TABLE = Table(
    rules=[
        rule for part, layers in _LAYERS.items() for name, first in layers.items() for rule in _layer(part, name, first)
    ],
    ignored=["weight.{layer}.{layer2}.{i}.num_batches_tracked"],
    files={"encoder": "Encoder_weight_IJCAI.pkl", "decoder": "Decoder_weight_IJCAI.pkl"},
)
