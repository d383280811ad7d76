"""The illumination classifier's state dict: four convolutions, two dense layers."""

from ..rules import Rule, Table

TABLE = Table(
    rules=[
        Rule("conv{k}.conv.1.weight", "params/conv{k}/kernel", "conv"),
        Rule("conv{k}.conv.1.bias", "params/conv{k}/bias"),
        Rule("linear{k}.weight", "params/linear{k}/kernel", "linear"),
        Rule("linear{k}.bias", "params/linear{k}/bias"),
    ]
)
