"""PFCFuse's file: CDDFuse's, with a pooling block and its MLP where that has attention."""

from ..rules import Rule, Table
from .cddfuse import detail_rules, norm_rules, shared_rules


def _pool_block(source: str, target: str) -> list[Rule]:
    return [
        *norm_rules(source, target),
        Rule(f"{source}.poolmlp.{{layer}}.weight", f"{target}/poolmlp/{{layer}}/kernel", "conv"),
        Rule(f"{source}.layer_scale_{{k}}", f"{target}/layer_scale_{{k}}"),
    ]


TABLE = Table(
    rules=[
        *shared_rules(),
        *_pool_block("DIDF_Encoder.baseFeature", "params/encoder/base"),
        *_pool_block("BaseFuseLayer", "params/base_fuse"),
        *detail_rules("DetailFuseLayer", "params/detail_fuse"),
    ]
)
