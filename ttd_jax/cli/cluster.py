"""``ttd-jax fuse --ray``: many sets by the workers of a Ray cluster."""

import argparse
import json
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from ttd_jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which cluster does it, and by how much of it."""
    group = parser.add_argument_group("many sets, by a Ray cluster")
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="fuse by the workers of a cluster: HOST:PORT, auto for the one that runs on this machine, nothing for "
        "that of RAY_ADDRESS or else this machine's cores; files may be addresses such as s3://bucket/folder",
    )
    group.add_argument("--ray-workers", type=int, metavar="N", help="processes that fuse (default: all there is room)")
    group.add_argument("--ray-cpus", type=float, default=1, metavar="N", help="cores of each (default: 1)")
    group.add_argument("--ray-gpus", type=float, metavar="N", help="GPUs of each (default: 1 where there are any)")


def fuse_there(
    options: argparse.Namespace, roles: Sequence[str] | None, folders: Sequence[Any], planned: Any
) -> Generator[tuple[str, Any], None, None]:
    """Name, and the report or why not, of every set that is wanted.

    Args:
        options: Of the command.
        roles: Of the sources.
        folders: Where images, weights and static images go.
        planned: What is to be done.

    Raises:
        InputError: The cluster does not answer, or an option does not suit.
    """
    from ttd_jax.cli.runtime import fuser_arguments
    from ttd_jax.distributed.cluster import load_ray
    from ttd_jax.io.outputs import make_folders

    load_ray()
    import jax

    jax.config.update("jax_platforms", "cpu")  # devices are the workers'
    from ttd_jax.distributed.dataset import make_work
    from ttd_jax.distributed.run import Cluster, fuse_planned

    cluster = Cluster(options.ray or None, options.ray_workers, options.ray_cpus, options.ray_gpus)
    work = make_work(
        fuser_arguments(options, tile=options.tile),
        static=bool(options.save_static),
        quality=options.quality,
        readers=options.workers,
        device=options.device,
        compile_cache=options.compile_cache,
    )
    make_folders(folders, planned)
    with closing(fuse_planned(planned, roles, folders[0], work, cluster)) as rows:
        for row in rows:
            yield row["key"], row["error"] if row["status"] == "failed" else json.loads(row["report"])


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of a cluster where there is none.

    Raises:
        InputError: One was given.
    """
    if options.ray is None and (options.ray_workers or options.ray_gpus or options.ray_cpus != 1):
        raise InputError("--ray-workers, --ray-cpus and --ray-gpus are for a cluster: add --ray")
