"""CDDFuse's file: four networks, each with the keys of a ``DataParallel`` module, no biases but the few named here."""

from ..rules import Rule, Table

_NORM = [("{norm}.body.weight", "{norm}/scale"), ("{norm}.body.bias", "{norm}/bias")]
_KERNELS = "{part}.{conv}.weight", "{part}/{conv}/kernel"
_THETA = [
    (f"net.{{i}}.{{theta}}.bottleneckBlock.{index}.weight", f"net_{{i}}/{{theta}}/{conv}/kernel")
    for index, conv in ((0, "expand"), (3, "depthwise"), (5, "project"))
]


def norm_rules(source: str, target: str) -> list[Rule]:
    """The layer norms of one block."""
    return [Rule(f"{source}.{key}", f"{target}/{name}") for key, name in _NORM]


def _transformer_block(source: str, target: str) -> list[Rule]:
    return [
        *norm_rules(source, target),
        Rule(f"{source}.attn.temperature", f"{target}/attn/temperature"),
        Rule(f"{source}.{_KERNELS[0]}", f"{target}/{_KERNELS[1]}", "conv"),
    ]


def _base_block(source: str, target: str) -> list[Rule]:
    return [
        *norm_rules(source, target),
        Rule(f"{source}.attn.scale", f"{target}/attn/scale"),
        Rule(f"{source}.{_KERNELS[0]}", f"{target}/{_KERNELS[1]}", "conv"),
    ]


def detail_rules(source: str, target: str) -> list[Rule]:
    """The nodes of one detail branch."""
    return [
        *[Rule(f"{source}.{key}", f"{target}/{name}", "conv") for key, name in _THETA],
        Rule(f"{source}.net.{{i}}.shffleconv.weight", f"{target}/net_{{i}}/shffleconv/kernel", "conv"),
        Rule(f"{source}.net.{{i}}.shffleconv.bias", f"{target}/net_{{i}}/shffleconv/bias"),
    ]


def shared_rules() -> list[Rule]:
    """All of the encoder and the decoder but the base branch, as PFCFuse has it too."""
    return [
        Rule("DIDF_Encoder.patch_embed.proj.weight", "params/encoder/patch_embed/kernel", "conv"),
        *_transformer_block("DIDF_Encoder.encoder_level1.{i}", "params/encoder/encoder_level1_{i}"),
        *detail_rules("DIDF_Encoder.detailFeature", "params/encoder/detail"),
        Rule("DIDF_Decoder.reduce_channel.weight", "params/decoder/reduce_channel/kernel", "conv"),
        *_transformer_block("DIDF_Decoder.encoder_level2.{i}", "params/decoder/encoder_level2_{i}"),
        Rule("DIDF_Decoder.output.{i}.weight", "params/decoder/output_{i}/kernel", "conv"),
    ]


TABLE = Table(
    rules=[
        *shared_rules(),
        *_base_block("DIDF_Encoder.baseFeature", "params/encoder/base"),
        *_base_block("BaseFuseLayer", "params/base_fuse"),
        *detail_rules("DetailFuseLayer", "params/detail_fuse"),
    ]
)
