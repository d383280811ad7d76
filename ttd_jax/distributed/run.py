"""Sets in, rows out: what the workers of a cluster make of the sets of a plan, each once."""

import json
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from ttd_jax.distributed.cluster import connected, count_workers
from ttd_jax.distributed.ledger import MOST_TRIES, Ledger
from ttd_jax.distributed.table import ResultTable
from ttd_jax.distributed.worker import Work, Worker
from ttd_jax.errors import InputError
from ttd_jax.io.images import declared_size
from ttd_jax.io.outputs import Planned, clean_folders
from ttd_jax.io.storage import Address, absolute

_MOST_SETS = 16  # of one task, which is what is done again if its worker is lost
_LOOKED_AT = 500  # sets whose sizes one task looks up
_LOOKING = 16  # threads of such a task, which wait for storage most of the time


@dataclass(frozen=True)
class Cluster:
    """Where a run goes, and how much of it.

    Attributes:
        address: Of the Ray cluster, as ``connected`` takes it.
        workers: Processes that fuse; None for as many as there is room for.
        cpus: Cores of each.
        gpus: GPUs of each; None for one where the cluster has any.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if (self.workers is not None and self.workers < 1) or self.cpus < 0 or (self.gpus or 0) < 0:
            raise InputError(
                f"workers are 1 or more, their cores and GPUs no less than 0; got {self.workers}, {self.cpus:g}, "
                f"{self.gpus or 0:g}"
            )


def fuse_planned(
    planned: Planned, roles: Sequence[str] | None, folder: Any, work: Work, cluster: Cluster
) -> Generator[dict[str, Any], None, None]:
    """The row of every set that was wanted, as it is done; the table of results has it, too, and those of all others.

    Args:
        planned: What is to be done.
        roles: Of the sources.
        folder: Where images and the table of results go.
        work: How it is done.
        cluster: Where it is done.

    Raises:
        InputError: The cluster does not answer, or the folder cannot be written to.
        ConnectionError: The cluster was lost.
    """
    sets = [
        {"key": name, "roles": roles and list(roles), "sources": [*map(absolute, files)],
         "outputs": [output and absolute(output) for output in outputs]}
        for name, (files, outputs) in planned.wanted.items()
    ]  # fmt: skip
    _refuse_memory(planned, folder)
    with connected(cluster.address) as ray:
        table = ResultTable(folder)
        try:
            for name in planned.kept:
                if name not in table.keys:
                    table.add({"key": name, "status": "kept"})
            for name, error in planned.failures.items():
                table.add({"key": name, "status": "failed", "error": error})
            for row in _fused(ray, sets, work, cluster) if sets else ():
                table.add(row)
                yield row
        finally:
            table.close()
            clean_folders([folder], planned)  # of what workers that were killed while they wrote have left


def _fused(ray: Any, sets: list[dict[str, Any]], work: Work, cluster: Cluster) -> Iterator[dict[str, Any]]:
    from ray.exceptions import RayError

    workers, gpus = count_workers(ray, cluster.workers, cluster.cpus, cluster.gpus)
    if not gpus and cluster.cpus:
        work = replace(work, threads=max(int(cluster.cpus), 1))
    size = min(max(len(sets) // (4 * workers), 1), _MOST_SETS)
    tasks = tasks_of(by_size(sets, _sizes(ray, sets)), size)
    ledger = _on_this_machine(ray, Ledger)
    told = ray.put(work)  # held here as long as workers may have to be made anew
    items = [{"task": str(number), "sets": json.dumps(task)} for number, task in enumerate(tasks)]
    try:
        with _settings(ray.data.DataContext.get_current()):
            rows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                ClusterWorker,
                fn_constructor_args=(ledger, [told]),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(tasks)), max_tasks_in_flight_per_actor=2),
                num_cpus=cluster.cpus,
                num_gpus=gpus,
            )
            for row in rows.iter_rows():
                found = json.loads(row["row"])
                ledger.forget.remote(found["key"])
                yield found
    except RayError as error:
        raise _as_one_line(error) from None
    finally:
        ray.kill(ledger)


def _on_this_machine(ray: Any, kind: type) -> Any:
    """An actor beside the driver, whose loss would end the run anyway."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(kind).options(num_cpus=0, scheduling_strategy=here).remote()


class ClusterWorker(Worker):
    """A worker that takes up what a lost one has left, and leaves alone what costs one worker after another.

    Args:
        ledger: The actor that knows of both.
        told: A reference to the work, in a list so that it is not followed before there is a worker.
    """

    def __init__(self, ledger: Any, told: Sequence[Any]):
        import ray

        super().__init__(ray.get(told[0]))
        self._ledger = ledger

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """The rows of one task, as JSON.

        Args:
            batch: ``task``, its number, and ``sets``, a JSON list of what ``rows`` takes.
        """
        import ray

        sets = json.loads(batch["sets"][0])
        before, done = ray.get(self._ledger.open.remote(str(batch["task"][0]), [one["key"] for one in sets]))
        left = [one for one in sets if one["key"] not in done]
        for row in self._one_by_one(left) if before else self.rows(left):
            self._ledger.done.remote(row)
            done[row["key"]] = row
        return {"row": [json.dumps(row) for row in done.values()]}

    def _one_by_one(self, sets: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        import ray

        for one in sets:
            if ray.get(self._ledger.begin.remote(one["key"])) < MOST_TRIES:
                yield from self.rows([one])
            else:
                error = f"{MOST_TRIES} workers were lost by it: is there enough memory for each?"
                yield {"key": one["key"], "status": "failed", "error": error}


@contextmanager
def _settings(context: Any) -> Iterator[None]:
    """Ray Data in silence: progress and mistakes are told by us."""
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        yield
    finally:
        log.setLevel(level)
        context.enable_progress_bars = bars


def _as_one_line(error: BaseException) -> Exception:
    """What stopped the run: the mistake of a user that a worker told of, or the loss of the cluster."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return InputError(str(cause).strip().splitlines()[-1])
        cause = cause.__cause__ or getattr(cause, "cause", None)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ConnectionError(f"the cluster was lost ({reason}): start again, what is done is kept")


def _sizes(ray: Any, sets: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, int]]:
    """Height, width and channels of every set's first source, looked up by the cluster."""
    look = ray.remote(_look).options(num_cpus=0.5)
    names = [one["sources"][0] for one in sets]
    parts = [names[start : start + _LOOKED_AT] for start in range(0, len(names), _LOOKED_AT)]
    return [tuple(size) for part in ray.get([look.remote(part) for part in parts]) for size in part]


def _look(names: Sequence[str]) -> list[tuple[int, int, int]]:
    with ThreadPoolExecutor(_LOOKING) as pool:
        return list(pool.map(declared_size, names))


def by_size(sets: Sequence[dict[str, Any]], sizes: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """The sets with their sizes, those of one size together, the largest first so that no worker ends with one.

    Args:
        sets: The sets.
        sizes: Height, width and channels of each.
    """
    sized = [{**one, "size": size} for one, size in zip(sets, sizes, strict=True)]
    return sorted(sized, key=lambda one: (-one["size"][0] * one["size"][1], one["size"], one["key"]))


def tasks_of(sets: Sequence[dict[str, Any]], most: int) -> list[list[dict[str, Any]]]:
    """Tasks of up to ``most`` sets of one size each.

    Args:
        sets: As ``by_size`` gives them.
        most: How many.
    """
    buckets = [list(bucket) for _, bucket in groupby(sets, key=lambda one: one["size"])]
    return [bucket[start : start + most] for bucket in buckets for start in range(0, len(bucket), most)]


def _refuse_memory(planned: Planned, folder: Any) -> None:
    """Refuses the memory of one process, which others do not see.

    Raises:
        InputError: A file is there.
    """
    files = (file for files, outputs in planned.wanted.values() for file in (*files, *outputs))
    if inner := next((f for f in (folder, *files) if isinstance(f, Address) and f.startswith("memory:")), None):
        raise InputError(f"{inner} is in the memory of this process, which workers do not see: use other storage")
