"""AUIF's three state dicts: ten steps of the base branch, ten of the detail branch, and the decoder."""

from ..rules import Rule, Table, batch_norm


def _step(source: str, target: str) -> list[Rule]:
    return [
        Rule(f"{source}.kernel", f"params/{target}/kernel", "conv"),
        Rule(f"{source}.eta", f"params/{target}/eta"),
        Rule(f"{source}.theta", f"params/{target}/theta"),
        *batch_norm(f"{source}.rest.0", f"{target}/bn"),
        Rule(f"{source}.rest.1.weight", f"params/{target}/slope"),
    ]


TABLE = Table(
    rules=[
        *_step("conv1.{i}", "base/layers_{i}"),
        *_step("conv2.{i}", "detail/layers_{i}"),
        Rule("decoder.1.weight", "params/decoder/conv/kernel", "conv"),
        *batch_norm("decoder.2", "decoder/bn"),
    ],
    ignored=["{branch}.{i}.rest.0.num_batches_tracked", "decoder.2.num_batches_tracked"],
    files={
        "base": "TCSVT_Encoder_Base.model",
        "detail": "TCSVT_Encoder_Detail.model",
        "decoder": "TCSVT_Decoder.model",
    },
)
