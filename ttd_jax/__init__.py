"""Test-time dynamic image fusion in JAX.

The public names, all importable from here: :func:`fuse`, :class:`Fuser`, :class:`FusionResult`,
:func:`load_backbone`, :class:`LossWeighting`, :class:`GradientWeighting`, :class:`StaticWeighting`.
They load on first use, so that ``import ttd_jax`` (and ``ttd-jax --help``) costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ttd_jax.api import Fuser, fuse
    from ttd_jax.backbones import load_backbone
    from ttd_jax.core.weighting import GradientWeighting, LossWeighting, StaticWeighting
    from ttd_jax.result import FusionResult

_HOME = {
    "fuse": "ttd_jax.api",
    "Fuser": "ttd_jax.api",
    "FusionResult": "ttd_jax.result",
    "load_backbone": "ttd_jax.backbones",
    "GradientWeighting": "ttd_jax.core.weighting",
    "LossWeighting": "ttd_jax.core.weighting",
    "StaticWeighting": "ttd_jax.core.weighting",
}

__all__ = [
    "Fuser",
    "FusionResult",
    "GradientWeighting",
    "LossWeighting",
    "StaticWeighting",
    "__version__",
    "fuse",
    "load_backbone",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'ttd_jax' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
