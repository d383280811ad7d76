"""MGDN's state dict, one table for its four tasks: stems, guided blocks with their Swin stage, and the tail."""

from ..rules import Rule, Table


def _conv(source: str, target: str) -> list[Rule]:
    return [Rule(f"{source}.weight", f"{target}/kernel", "conv"), Rule(f"{source}.bias", f"{target}/bias")]


def _linear(source: str, target: str) -> list[Rule]:
    return [Rule(f"{source}.weight", f"{target}/kernel", "linear"), Rule(f"{source}.bias", f"{target}/bias")]


def _norm(source: str, target: str) -> list[Rule]:
    return [Rule(f"{source}.weight", f"{target}/scale"), Rule(f"{source}.bias", f"{target}/bias")]


def _filter(source: str, target: str) -> list[Rule]:
    return [
        Rule(f"{source}.TCA.temperature", f"{target}/TCA/temperature"),
        *_conv(f"{source}.TCA.{{conv}}", f"{target}/TCA/{{conv}}"),
        *_conv(f"{source}.{{predictor}}.2", f"{target}/{{predictor}}/conv_2"),
        *_conv(f"{source}.conv_ref.{{k}}.0", f"{target}/conv_ref_{{k}}"),
        *_conv(f"{source}.{{predictor}}.{{k}}.0", f"{target}/{{predictor}}/conv_{{k}}"),
        *_conv(f"{source}.{{conv}}.0", f"{target}/{{conv}}"),
    ]


def _swin_block(source: str, target: str) -> list[Rule]:
    return [
        *_norm(f"{source}.norm1", f"{target}/norm1"),
        *_norm(f"{source}.norm2", f"{target}/norm2"),
        Rule(f"{source}.attn.relative_position_bias_table", f"{target}/attn/relative_position_bias_table"),
        *_linear(f"{source}.attn.{{layer}}", f"{target}/attn/{{layer}}"),
        *_linear(f"{source}.mlp.{{layer}}", f"{target}/mlp/{{layer}}"),
        *_conv(f"{source}.lce.conv.{{k}}", f"{target}/lce/conv_{{k}}"),
        Rule(f"{source}.lce.fc.{{k}}.weight", f"{target}/lce/fc_{{k}}/kernel", "linear"),
    ]


TABLE = Table(
    rules=[
        *_norm("patch_embed.norm", "params/patch_embed_norm"),
        *_norm("norm", "params/norm"),
        *_filter("layers.{i}.MGF", "params/layers_{i}/MGF"),
        *_swin_block("layers.{i}.residual_group.blocks.{j}", "params/layers_{i}/blocks_{j}"),
        *_conv("layers.{i}.{conv}", "params/layers_{i}/{conv}"),
        *_conv("conv_after_body.0", "params/conv_after_body"),
        *_conv("conv_last.0", "params/conv_last"),
        *_conv("conv1", "params/inconv1"),  # deghosting: one stem for all three exposures
        *_conv("inconv{k}", "params/inconv{k}"),
    ],
    ignored=[
        "layers.{i}.residual_group.blocks.{j}.attn_mask",
        "layers.{i}.residual_group.blocks.{j}.attn.relative_position_index",
    ],
)
