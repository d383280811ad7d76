"""PIAFusion's state dict: five convolutions a branch, five in the decoder, all with biases."""

from ..rules import Rule, Table

TABLE = Table(
    rules=[
        Rule("{part}.{conv}.conv.1.weight", "params/{part}/{conv}/conv/kernel", "conv"),
        Rule("{part}.{conv}.conv.1.bias", "params/{part}/{conv}/conv/bias"),
        Rule("{part}.{conv}.weight", "params/{part}/{conv}/kernel", "conv"),
        Rule("{part}.{conv}.bias", "params/{part}/{conv}/bias"),
    ]
)
