"""Test-time dynamic image fusion in JAX.

What is used: :func:`fuse`, :class:`Fuser`, :class:`FusionResult`; :class:`LossWeighting`, :class:`GradientWeighting`,
:class:`StaticWeighting`; :func:`load_backbone`; :func:`explanation_figure`, :func:`export_fuser`. What is extended:
:class:`Weighting` and :class:`Weighed`; :class:`Backbone`, :class:`Spec`, :class:`FusionModel`, :class:`Facts`,
:class:`RuleModel`, :func:`save_backbone`. What is caught: :class:`InputError`, :class:`CheckpointError`.

All of them load on first use, so that ``import ttd_jax`` (and ``ttd-jax --help``) costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from ttd_jax.api import fuse
    from ttd_jax.backbones import load_backbone, save_backbone
    from ttd_jax.backbones.adapter import RuleModel
    from ttd_jax.backbones.spec import Backbone, Spec
    from ttd_jax.core.gradient_weighting import GradientWeighting
    from ttd_jax.core.model import Facts, FusionModel
    from ttd_jax.core.protocol import Weighed, Weighting
    from ttd_jax.core.weighting import LossWeighting, StaticWeighting
    from ttd_jax.errors import CheckpointError, InputError
    from ttd_jax.export import export_fuser
    from ttd_jax.figures import explanation_figure
    from ttd_jax.fuser import Fuser
    from ttd_jax.result import FusionResult

_HOME = {
    "fuse": "ttd_jax.api",
    "Fuser": "ttd_jax.fuser",
    "FusionResult": "ttd_jax.result",
    "LossWeighting": "ttd_jax.core.weighting",
    "GradientWeighting": "ttd_jax.core.gradient_weighting",
    "StaticWeighting": "ttd_jax.core.weighting",
    "Weighting": "ttd_jax.core.protocol",
    "Weighed": "ttd_jax.core.protocol",
    "Backbone": "ttd_jax.backbones.spec",
    "Spec": "ttd_jax.backbones.spec",
    "FusionModel": "ttd_jax.core.model",
    "Facts": "ttd_jax.core.model",
    "RuleModel": "ttd_jax.backbones.adapter",
    "load_backbone": "ttd_jax.backbones",
    "save_backbone": "ttd_jax.backbones",
    "explanation_figure": "ttd_jax.figures",
    "export_fuser": "ttd_jax.export",
    "InputError": "ttd_jax.errors",
    "CheckpointError": "ttd_jax.errors",
}

__all__ = [
    "Backbone",
    "CheckpointError",
    "Facts",
    "Fuser",
    "FusionModel",
    "FusionResult",
    "GradientWeighting",
    "InputError",
    "LossWeighting",
    "RuleModel",
    "Spec",
    "StaticWeighting",
    "Weighed",
    "Weighting",
    "__version__",
    "explanation_figure",
    "export_fuser",
    "fuse",
    "load_backbone",
    "save_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ttd_jax' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
