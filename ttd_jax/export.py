"""A fusion as one file that jax runs without this package: StableHLO with the parameters in it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from jax.extend.core import InconclusiveDimensionOperation
from jaxtyping import Array, Float

from ttd_jax.api import Fuser
from ttd_jax.errors import InputError
from ttd_jax.io.atomic import atomic_file, check_output
from ttd_jax.options import Platform, choices


def export_fuser(
    fuser: Fuser,
    path: str | os.PathLike[str],
    *,
    sources: int = 2,
    channels: int = 1,
    size: tuple[int, int] | None = None,
    platforms: Sequence[Platform] = ("cpu", "cuda"),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes what a fuser does, parameters included, as one file that ``jax.export.deserialize`` reads.

    It takes sources (M, H, W, C) float32 in [0, 1], the reference first or in the order of the backbone's roles, and
    returns ``{"image": (H, W) or (H, W, 3), "weights": (M, H, W)}``, without weights where the rule has none. For any
    size the image is not computed in strips: memory grows with it.

    Args:
        fuser: The fuser; its ``dtype`` and ``tile`` do not matter here.
        path: File to write; its name with ``.json`` added gets a description.
        sources: Number of sources, M.
        channels: 1 for grey sources, 3 for colour, grey ones among them repeated.
        size: Height and width; None for any of at least 2, which not every network can do.
        platforms: Where it will run.
        overwrite: Replace existing files.

    Returns:
        The description: what it takes and returns, platforms, backbone, checkpoint, weighting, colour and versions.

    Raises:
        InputError: The fusion cannot be exported like this, or a file cannot be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_fuser(Fuser(backbone="pyramid"), f"{folder}/mean", size=(8, 10), platforms=["cpu"])["takes"]
        ['float32[2,8,10,1]']
    """
    if sources < 2 or channels not in (1, 3, 6) or (size is not None and min(size) < 2):
        raise InputError(
            f"an export is of 2 sources or more, of 1 or 3 channels, at least 2 pixels a side; got {sources} of "
            f"{channels}, size {size or 'any'}"
        )
    if unknown := set(platforms) - set(choices(Platform)):
        raise InputError(f"platforms are {', '.join(choices(Platform))}; got {', '.join(sorted(unknown))}")
    path = Path(path)
    beside = path.with_name(path.name + ".json")
    for one in (path, beside):
        check_output(one, overwrite=overwrite)
    exported = _export(fuser, sources, channels, size, tuple(platforms))
    description = {
        "takes": [one.str_short() for one in exported.in_avals],
        "returns": jax.tree.unflatten(exported.out_tree, [one.str_short() for one in exported.out_avals]),
        "platforms": list(exported.platforms),
        **fuser.describe(channels=channels, sources=sources),
    }
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(exported.serialize())
    with atomic_file(beside, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(description, indent=2) + "\n")
    return description


def _export(
    fuser: Fuser, sources: int, channels: int, size: tuple[int, int] | None, platforms: tuple[str, ...]
) -> export.Exported:
    fuse = fuser.body(channels=channels, sources=sources)

    def fusion(stack: Float[Array, "M H W C"]) -> dict[str, Array]:
        fused = fuse(stack, jnp.any(stack != stack[..., :1], axis=(1, 2, 3)))
        return {"image": fused.image} | ({} if fused.weights is None else {"weights": fused.weights})

    height, width = size or export.symbolic_shape("height, width", constraints=("height >= 2", "width >= 2"))
    stack = jax.ShapeDtypeStruct((sources, height, width, channels), jnp.float32)
    try:
        return export.export(jax.jit(fusion), platforms=platforms)(stack)
    except InputError:
        raise
    except (TypeError, ValueError, InconclusiveDimensionOperation) as error:
        if size is not None:
            raise
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise InputError(
            f"{fuser.backbone.name} needs to know the image's size ({reason}): export it for one size "
            "(--size WIDTHxHEIGHT, size=(height, width))"
        ) from None
