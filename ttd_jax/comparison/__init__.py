"""Results of any methods on folders of images, scored alike: what ``ttd-jax evaluate`` does."""

from ttd_jax.comparison.folders import Comparison, evaluate_folders

__all__ = ["Comparison", "evaluate_folders"]
