"""The report of a fusion: plain data that can be written as JSON, put together in one place."""

from collections.abc import Mapping
from typing import Any, TypedDict

import jax
import numpy as np

import ttd_jax
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.model import FusionModel
from ttd_jax.core.protocol import Weighting
from ttd_jax.engine.color import COLOR_RULES
from ttd_jax.engine.stack import Stack
from ttd_jax.options import Precision


class Facts(TypedDict):
    """What is known of a fusion before there are sources."""

    color: str
    color_rule: str
    backbone: str
    preset: str | None
    checkpoint: str | None
    weighting: Any
    precision: str
    versions: dict[str, str]


class Report(Facts, total=False):
    """What ``FusionResult.report`` holds.

    ``alignment`` is there only for sources that were aligned, ``theory`` only where an explanation was asked for.
    """

    sources: list[str]
    reference: str
    shape: list[int]
    dtype: str
    seconds: dict[str, float]
    device: str
    remarks: list[str]
    alignment: Mapping[str, Any]
    theory: dict[str, Any]


def known_facts(
    backbone: Backbone, weighting: Weighting, precision: Precision, rule: str, *, found: Any = None
) -> Facts:
    """What can be said without sources.

    Args:
        backbone: The backbone.
        weighting: The complete weighting.
        precision: Of the network's products.
        rule: The rule for colour.
        found: What the weighting found.
    """
    manifest = backbone.manifest
    return {
        "color": rule,
        "color_rule": COLOR_RULES.get(rule, "sources and result as the network has them"),
        "backbone": backbone.name,
        "preset": manifest.get("preset"),
        "checkpoint": manifest.get("sha256"),
        "weighting": weighting.describe(found),
        "precision": precision,
        "versions": {"ttd_jax": ttd_jax.__version__, "jax": jax.__version__},
    }


def make_report(facts: Facts, stack: Stack, image: np.ndarray, seconds: dict[str, float], remarks: list[str]) -> Report:
    """The report of one result.

    Args:
        facts: What was known without sources.
        stack: The sources.
        image: The result, in its pixel type.
        seconds: How long each step took.
        remarks: What a user should know besides what was said of the sources.
    """
    like = stack.like
    report: Report = {
        "sources": list(like.roles),
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        **facts,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "device": jax.devices()[0].device_kind,
        "reference": like.roles[like.reference],
        "remarks": [*like.remarks, *remarks],
    }
    if like.alignment is not None:
        report["alignment"] = like.alignment
    return report


def remarks_on(backbone: Backbone, model: FusionModel, count: int) -> list[str]:
    """What a user should know of a fusion of ``count`` sources by this model."""
    if not backbone.recipes:
        return [f"{backbone.name} ({backbone.manifest.get('preset')}) has no loss weighting: fused by its own rule"]
    if model.facts.rule == "sum" and count > 2:
        return [f"a sum rule trained on two sources makes {count} too bright: prefer a mean or max preset"]
    return []
