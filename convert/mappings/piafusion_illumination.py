"""The illumination classifier's state dict: four convolutions, two dense layers."""

from ..rules import Rule, Table

TABLE = Table(
    rules=[
        Rule("{conv}.conv.1.weight", "params/{conv}/kernel", "conv"),
        Rule("{conv}.conv.1.bias", "params/{conv}/bias"),
        Rule("{linear}.weight", "params/{linear}/kernel", "linear"),
        Rule("{linear}.bias", "params/{linear}/bias"),
    ]
)
