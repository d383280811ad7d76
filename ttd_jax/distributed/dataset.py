"""``fuse_dataset``: folders, patterns or a list of sets in, images and a table of results out, by a Ray cluster."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttd_jax.backbones import load_backbone
from ttd_jax.backbones.spec import Backbone
from ttd_jax.distributed.run import Cluster, fuse_planned
from ttd_jax.distributed.worker import Work
from ttd_jax.errors import InputError
from ttd_jax.io.extras import load
from ttd_jax.io.folders import FileSets, match_patterns, match_stems, read_manifest
from ttd_jax.io.limits import VARIABLE
from ttd_jax.io.outputs import check_folders, make_folders, plan, refuse_twice
from ttd_jax.io.storage import place
from ttd_jax.options import Device

Name = str | os.PathLike[str]


@dataclass(frozen=True)
class DatasetSummary:
    """What became of the sets of a run.

    Attributes:
        table: The table of results, Parquet: one row a key with ``key``, ``status`` (``fused``, ``failed``, or
            ``kept`` for an image that was there without a row), ``seconds`` of reading, fusing and writing, ``error``,
            ``output``, ``worker`` and ``report``, which is JSON.
        fused: How many were fused.
        kept: How many were there already.
        failed: Key to why its set was not fused.
    """

    table: str
    fused: int
    kept: int
    failed: Mapping[str, str] = field(default_factory=dict)


def fuse_dataset(
    sources: Name | Sequence[Name] | Mapping[str, Name],
    output: Name,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float | None = None,
    readers: int = 1,
    recursive: bool = False,
    weights: Name | None = None,
    static: Name | None = None,
    suffix: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    device: Device = "auto",
    compile_cache: bool = True,
    backbone: Backbone | str | None = None,
    checkpoint: Name | None = None,
    on_row: Callable[[Mapping[str, Any]], None] | None = None,
    **options: Any,
) -> DatasetSummary:
    """Fuses many sets by the workers of a Ray cluster, each set once, however often it is started again.

    Files may lie in folders that all machines share, or on storage that fsspec knows: ``s3://bucket/visible``. A set
    that cannot be fused is a row of the table; the sets of a worker that was lost are done by another. Results are
    those of ``Fuser``.

    Args:
        sources: Two folders or more, or patterns with ``{}`` (docs/sets.md), in a list or by role; or the name of one
            list of sets: CSV, JSON lines or Parquet.
        output: Folder of the images and of the table of results, ``results.parquet``.
        address: Of the cluster: ``"auto"`` for the one on this machine, or ``HOST:PORT``; None for that of
            ``RAY_ADDRESS``, or else one with the cores of this machine that ends with the call.
        workers: Processes that fuse; None for as many as the cluster has room for.
        cpus: Cores of each, which are also its threads on a CPU.
        gpus: GPUs of each, or a share of one; None for one where the cluster has any.
        readers: Threads of each that read files.
        recursive: Look into folders inside the folders, too.
        weights: Folder of the weight maps.
        static: Folder of static fusions.
        suffix: Ending of the images; None for ``.tif`` where the first source is TIFF, else ``.png``.
        quality: 1 to 100, of JPEG and WebP.
        overwrite: Do all sets again; else those that have all their files are left alone.
        device: Where workers compute.
        compile_cache: Keep compiled programs in the user's cache folder of each machine.
        backbone: As for ``fuse``.
        checkpoint: As for ``fuse``.
        on_row: Called with every row as it comes.
        **options: Others of ``Fuser``: ``weighting``, ``recipe``, ``color``, ``tile``, ...

    Returns:
        Where the table is, and how many sets were fused, kept and failed.

    Raises:
        InputError: Sources, options or folders that cannot be used, or no cluster answers.
        CheckpointError: A checkpoint that cannot be used.
        ConnectionError: The cluster was lost; what is done is kept.
    """
    roles, sets, folders = _matched(sources, recursive)
    targets = [place(name) if name is not None else None for name in (output, weights, static)]
    check_folders(targets, folders, suffix=suffix, quality=quality)
    planned = plan(sets, targets, suffix=suffix, overwrite=overwrite, complete=True)
    if backbone is None or isinstance(backbone, str):
        backbone = load_backbone(backbone, checkpoint)
    elif checkpoint is not None:
        raise InputError("a loaded backbone has its checkpoint already: pass one of backbone and checkpoint")
    cluster = Cluster(address, workers, cpus, gpus)
    work = make_work(
        {**options, "backbone": backbone},
        static=static is not None,
        quality=quality,
        readers=readers,
        device=device,
        compile_cache=compile_cache,
    )
    make_folders(targets, planned)
    failed, counts = dict(planned.failures), Counter[str]()
    for row in fuse_planned(planned, roles, targets[0], work, cluster):
        counts[row["status"]] += 1
        if row["status"] == "failed":
            failed[row["key"]] = row["error"]
        if on_row is not None:
            on_row(row)
    return DatasetSummary(f"{targets[0]}/results.parquet", counts["fused"], len(planned.kept), failed)


def make_work(
    fuser: Mapping[str, Any], *, static: bool, quality: int | None, readers: int, device: Device, compile_cache: bool
) -> Work:
    """What workers are told, checked here so that a mistake costs no cluster.

    Args:
        fuser: Arguments of ``Fuser``, a loaded backbone among them.
        static: Whether the static image is wanted, too.
        quality: Of JPEG and WebP.
        readers: Threads that read files.
        device: Where workers compute.
        compile_cache: Keep compiled programs.

    Raises:
        InputError: An option is unknown, or does not suit the backbone.
    """
    import dataclasses

    import jax
    import numpy as np

    from ttd_jax.fuser import Fuser

    if readers < 1:
        raise InputError(f"readers are 1 or more; got {readers}")
    Fuser(**fuser)
    backbone = fuser["backbone"]
    plain = dataclasses.replace(backbone, variables=jax.tree.map(np.asarray, backbone.variables))
    storage = load("fsspec", "ray", "a run on a cluster").config.conf
    return Work(
        {**fuser, "backbone": plain},
        static=static,
        quality=quality,
        readers=readers,
        device=device,
        compile_cache=compile_cache,
        max_pixels=os.environ.get(VARIABLE),
        storage=dict(storage),
    )


def _matched(
    sources: Name | Sequence[Name] | Mapping[str, Name], recursive: bool
) -> tuple[list[str] | None, FileSets, list[Any]]:
    """Roles, sets and folders of the sources."""
    if isinstance(sources, (str, os.PathLike)):
        return *read_manifest(sources), []
    roles = list(sources) if isinstance(sources, Mapping) else None
    names = [os.fspath(name) for name in (sources.values() if isinstance(sources, Mapping) else sources)]
    if len(names) < 2:
        raise InputError(f"fusion takes two sources or more; got {len(names)}")
    if any("{}" in name for name in names):
        return roles, match_patterns(names), []
    folders = [place(name) for name in names]
    refuse_twice(folders)
    return roles, match_stems(folders, recursive=recursive), folders
