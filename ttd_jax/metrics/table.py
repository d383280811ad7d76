"""Every metric by its abbreviation: the rows of all families of this folder, and those of a user's own.

A file of this folder that ends in ``ROWS`` is a family of metrics, and needs no mention elsewhere. Metrics outside the
package come by :func:`register`.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from ttd_jax.errors import InputError
from ttd_jax.metrics.record import Metric

_ORDER = (
    "EN CE SD AG EI SF SCD CC MI NMI PSNR RMSE MSE SSIM MS-SSIM VIF Qabf Nabf Labf Qcb Qcv Qw FMI MEF-SSIM"
).split()  # as tables show them; others follow


METRICS: dict[str, Metric] = {}
"""Every metric by its abbreviation."""


def register(metric: Metric) -> Metric:
    """The metric, which :func:`ttd_jax.metrics.evaluate` and all that is built on it knows from now on.

    Args:
        metric: One that the package lacks.

    Raises:
        InputError: There is another metric of that name.

    Example:
        >>> register(METRICS["EN"]) is METRICS["EN"]  # the same once more changes nothing
        True
    """
    if METRICS.get(metric.name, metric) != metric:
        raise InputError(f"there is a metric {metric.name!r} already ({METRICS[metric.name].full_name}): rename yours")
    METRICS[metric.name] = metric
    return metric


def _families() -> Iterator[Metric]:
    for found in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda module: module.name):
        if found.name != Path(__file__).stem:
            yield from getattr(import_module(f"ttd_jax.metrics.{found.name}"), "ROWS", ())


def _rank(metric: Metric) -> int:
    return _ORDER.index(metric.name) if metric.name in _ORDER else len(_ORDER)


for _metric in sorted(_families(), key=_rank):
    register(_metric)
