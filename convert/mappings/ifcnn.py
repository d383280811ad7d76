"""IFCNN's state dict: four convolutions, two with batch normalisation."""

from ..rules import Rule, Table, batch_norm

TABLE = Table(
    rules=[
        Rule("conv1.weight", "params/conv1/kernel", "conv"),
        *[Rule(f"{block}.conv.weight", f"params/{block}/conv/kernel", "conv") for block in ("conv2", "conv3")],
        *[rule for block in ("conv2", "conv3") for rule in batch_norm(f"{block}.bn", f"{block}/bn")],
        Rule("conv4.weight", "params/conv4/kernel", "conv"),
        Rule("conv4.bias", "params/conv4/bias"),
    ],
    ignored=["{block}.bn.num_batches_tracked"],
)
