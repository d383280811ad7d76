"""Numbers for Prometheus: requests by outcome, seconds by step, what is running."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ttd_jax.serve.work import Work

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of ``Telemetry.text``."""


class Telemetry:
    """The numbers of one service.

    Args:
        work: Whose clients are counted.
    """

    def __init__(self, work: Work):
        self._registry = CollectorRegistry()
        self._answers = Counter("ttd_jax_answers", "Answers to POST /fuse", ["status"], registry=self._registry)
        self._seconds = Histogram(
            "ttd_jax_seconds", "Seconds of fusions", ["step"], buckets=_SECONDS, registry=self._registry
        )
        admitted = Gauge("ttd_jax_admitted", "Clients uploading, waiting or computing", registry=self._registry)
        admitted.set_function(lambda: work.admitted)
        ProcessCollector(registry=self._registry)

    def answered(self, path: str, status: int) -> None:
        """Counts an answer to a fusion.

        Args:
            path: What was asked for.
            status: Of the answer.
        """
        if path == "/fuse":
            self._answers.labels(str(status)).inc()

    def took(self, seconds: Mapping[str, float]) -> None:
        """Notes the seconds of a fusion, by step."""
        for step, value in seconds.items():
            self._seconds.labels(step).observe(value)

    def text(self) -> bytes:
        """All numbers as Prometheus reads them."""
        return generate_latest(self._registry)
