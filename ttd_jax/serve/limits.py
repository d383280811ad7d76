"""What a service takes from strangers, and how much of it at once; without jax, since ``--help`` shows it."""

from dataclasses import dataclass, fields

from ttd_jax.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Bounds of one service. What is beyond them is refused while it arrives, not after it was held.

    Attributes:
        megabytes: Of one request, all its files together.
        files: Of one request.
        megapixels: Of all sources of one fusion together.
        seconds: From the first byte of a request to its answer.
        running: Fusions computed at once.
        waiting: Requests that may wait beside these; further ones are told to come back (503).
        rate: Uploads and fusions a minute from one address; 0 for any number.
        kept: Seconds for which the page keeps uploads and results.
        disk: Megabytes of these, of all visitors together.

    Raises:
        InputError: A number is too small.

    Example:
        >>> Limits(megabytes=8).seconds
        120
    """

    megabytes: int = 64
    files: int = 16
    megapixels: int = 48
    seconds: int = 120
    running: int = 2
    waiting: int = 16
    rate: int = 120
    kept: int = 600
    disk: int = 2048

    def __post_init__(self) -> None:
        least = {"files": 2, "rate": 0, "waiting": 0}
        for field in fields(self):
            value, most = getattr(self, field.name), least.get(field.name, 1)
            if value < most:
                raise InputError(f"{field.name} is a number of {most} or more; got {value}")

    @property
    def upload(self) -> int:
        """Bytes of one request."""
        return self.megabytes * 1_000_000
