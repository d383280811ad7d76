"""Fusion beyond one process: many sets by the workers of a Ray cluster.

Loaded on first use: a worker imports jax only once it has settled the device.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttd_jax.distributed.dataset import DatasetSummary, fuse_dataset

__all__ = ["DatasetSummary", "fuse_dataset"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ttd_jax.distributed' has no attribute {name!r}")
    from ttd_jax.distributed import dataset

    return getattr(dataset, name)
