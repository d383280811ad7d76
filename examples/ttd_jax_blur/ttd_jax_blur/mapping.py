"""From the keys of a PyTorch state dict to this network's variables, for ``ttd-jax-convert blur``."""

from ttd_jax_convert.rules import Rule, Table

TABLE = Table(
    [
        Rule("{layer}.weight", "params/{layer}/kernel", "conv"),
        Rule("{layer}.bias", "params/{layer}/bias"),
    ]
)
