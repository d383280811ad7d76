"""What one worker does: it compiles once for each shape, and fuses the sets that it is given."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import ttd_jax
from ttd_jax.device import start_jax
from ttd_jax.errors import InputError
from ttd_jax.io.limits import VARIABLE
from ttd_jax.io.storage import Place, place
from ttd_jax.options import Device

_LONGEST = 300  # characters of what an error says that is not a user's


@dataclass(frozen=True)
class Work:
    """What all workers are told once.

    Attributes:
        fuser: Arguments of ``Fuser``, a loaded backbone with parameters in NumPy among them.
        static: Whether the static image is wanted, too.
        quality: Of JPEG and WebP.
        readers: Threads that read files.
        device: Where to compute.
        compile_cache: Keep compiled programs in the user's cache folder of each machine.
        threads: Threads that compute on a CPU; None for as many as the machine has.
        max_pixels: Largest picture that is read, as the environment variable has it.
        storage: What fsspec is configured to.
        version: Of the package where the run was started.
    """

    fuser: Mapping[str, Any]
    static: bool = False
    quality: int | None = None
    readers: int = 1
    device: Device = "auto"
    compile_cache: bool = True
    threads: int | None = None
    max_pixels: str | None = None
    storage: Mapping[str, Any] | None = None
    version: str = ttd_jax.__version__


class Worker:
    """Fuses sets; made once in each worker process.

    Args:
        work: What to do with them.

    Raises:
        InputError: This machine has another version of the package, or not the device.
    """

    def __init__(self, work: Work):
        if work.version != ttd_jax.__version__:
            raise InputError(
                f"the worker on {socket.gethostname()} has ttd-jax {ttd_jax.__version__}, and the run was started by "
                f"{work.version}: install one version on all machines"
            )
        if work.threads is not None:
            os.environ.setdefault("NPROC", str(work.threads))  # what XLA takes the number of cores from
        if work.max_pixels is not None:
            os.environ[VARIABLE] = work.max_pixels
        if work.storage:
            import fsspec

            fsspec.config.conf.update(work.storage)
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU may be shared
        start_jax(device=work.device, compile_cache=work.compile_cache)
        from ttd_jax.fuser import Fuser

        self._work = work
        self._fuser = Fuser(**work.fuser)
        plain = dict(work.fuser, weighting="static", recipe=None)
        self._static = Fuser(**plain) if work.static else None
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def rows(self, sets: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """A row of the table of results for every set, in order; nothing that is wrong with a set raises."""
        given = [_sources(one) for one in sets]
        done = 0
        try:
            stream: Any = self._fuser.stream(given, errors="yield", workers=self._work.readers)
            with closing(stream) as results:
                for one, sources, result in zip(sets, given, results, strict=False):
                    row = self._row(one, sources, result)
                    done += 1
                    yield row
        except Exception:  # no user's mistake, and of one of the sets that follow: each on its own
            for one, sources in zip(sets[done:], given[done:], strict=True):
                yield self._row(one, sources, None)

    def _row(self, one: Mapping[str, Any], sources: Any, result: Any) -> dict[str, Any]:
        from ttd_jax.result import write_files

        outputs: list[Place | None] = [name and place(name) for name in one["outputs"]]
        row = {"key": one["key"], "status": "fused", "seconds": None, "error": None, "output": str(outputs[0])}
        row |= {"worker": self._name, "report": None}
        try:
            if isinstance(result, Exception):
                raise result
            result = result if result is not None else self._fuser(sources)
            plain = self._static(sources) if self._static is not None else None
            started = time.perf_counter()
            report = write_files(result, plain, outputs, overwrite=True, quality=self._work.quality)
            report["seconds"] = dict(report["seconds"], write=round(time.perf_counter() - started, 4))
            return row | {"seconds": sum(report["seconds"].values()), "report": json.dumps(report)}
        except (InputError, OSError) as error:
            return row | {"status": "failed", "error": str(error)}
        except Exception as error:
            return row | {"status": "failed", "error": f"{type(error).__name__}: {error}"[:_LONGEST]}


def _sources(one: Mapping[str, Any]) -> Any:
    files = [place(name) for name in one["sources"]]
    return dict(zip(one["roles"], files, strict=True)) if one["roles"] else files
