"""A fusion as one file that runs without this package, its parameters in it: StableHLO for jax, or ONNX."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array, Float

from ttd_jax.errors import InputError
from ttd_jax.fuser import Fuser
from ttd_jax.io.atomic import atomic_file, check_output
from ttd_jax.io.extras import load
from ttd_jax.ops.strips import whole_images
from ttd_jax.ops.symbols import InconclusiveDimensionOperation
from ttd_jax.options import ExportFormat, Platform, check_choice, choices


def export_fuser(
    fuser: Fuser,
    path: str | os.PathLike[str],
    *,
    format: ExportFormat = "stablehlo",
    sources: int = 2,
    channels: int = 1,
    size: tuple[int, int] | None = None,
    platforms: Sequence[Platform] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes what a fuser does, parameters included, as one file for ``jax.export.deserialize`` or ONNX Runtime.

    It takes ``sources`` (M, H, W, C) float32 in [0, 1], the reference first or in the order of the backbone's roles,
    and returns ``{"image": (H, W) or (H, W, 3), "weights": (M, H, W)}``, without weights where the rule has none. For
    any size, and always in ONNX, the image is not computed in strips: memory grows with it.

    Args:
        fuser: The fuser; its ``dtype`` and ``tile`` do not matter here.
        path: File to write; its name with ``.json`` added gets a description.
        format: ``"stablehlo"``, or ``"onnx"`` (opset 18), with the extra ``onnx``.
        sources: Number of sources, M.
        channels: 1 for grey sources, 3 for colour, grey ones among them repeated.
        size: Height and width; None for any of at least 2, in ONNX of at least 16, which not every network can do.
        platforms: Where StableHLO will run; None for ``("cpu", "cuda")``. ONNX runs wherever there is a runtime.
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
    check_choice("format", format, ExportFormat)
    if format == "onnx" and platforms is not None:
        raise InputError("an ONNX file runs wherever there is a runtime: leave platforms out")
    platforms = ("cpu", "cuda") if platforms is None else platforms
    if unknown := set(platforms) - set(choices(Platform)):
        raise InputError(f"platforms are {', '.join(choices(Platform))}; got {', '.join(sorted(unknown))}")
    path = Path(path)
    beside = path.with_name(path.name + ".json")
    for one in (path, beside):
        check_output(one, overwrite=overwrite)
    about = fuser.describe(channels=channels, sources=sources)
    least = LEAST_ONNX if format == "onnx" else 2
    symbols = tuple(f"{name} >= {least}" for name in ("height", "width"))
    shape = (sources, *(size or export.symbolic_shape("height, width", constraints=symbols)), channels)
    fusion = _fusion(fuser, sources, channels)
    with _sized(fuser, size):
        make = partial(_onnx, about=about) if format == "onnx" else partial(_stablehlo, platforms=tuple(platforms))
        data, description = make(fusion, shape)
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    with atomic_file(beside, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(description | about, indent=2) + "\n")
    return description | about


LEAST_ONNX = 16
"""Least height and width of a file in ONNX for any size."""


def _fusion(fuser: Fuser, sources: int, channels: int) -> Callable[[Array], dict[str, Array]]:
    fuse = fuser.body(channels=channels, sources=sources)

    def fusion(stack: Float[Array, "M H W C"]) -> dict[str, Array]:
        fused = fuse(stack, jnp.any(stack != stack[..., :1], axis=(1, 2, 3)))
        return {"image": fused.image} | ({} if fused.weights is None else {"weights": fused.weights})

    return fusion


def _stablehlo(fusion: Any, shape: tuple[Any, ...], *, platforms: tuple[str, ...]) -> tuple[bytes, dict[str, Any]]:
    exported = export.export(jax.jit(fusion), platforms=platforms)(jax.ShapeDtypeStruct(shape, jnp.float32))
    description = {
        "takes": [one.str_short() for one in exported.in_avals],
        "returns": jax.tree.unflatten(exported.out_tree, [one.str_short() for one in exported.out_avals]),
        "platforms": list(exported.platforms),
    }
    return bytes(exported.serialize()), description


def _onnx(fusion: Any, shape: tuple[Any, ...], *, about: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    onnx = load("onnx", "onnx", "an export to ONNX")
    from ttd_jax.onnx import trace_to_onnx

    with whole_images():
        model, returns = trace_to_onnx(fusion, {"sources": shape})
    description = {
        "takes": [_short(shape)],
        "returns": {name: _short(one) for name, one in returns.items()},
        "opset": model.opset_import[0].version,
    }
    entries = {"ttd_jax": json.dumps(description | about)}
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model)
    return model.SerializeToString(), description


def _short(shape: Sequence[Any]) -> str:
    return f"float32[{','.join(map(str, shape))}]"


@contextmanager
def _sized(fuser: Fuser, size: tuple[int, int] | None) -> Iterator[None]:
    """Says so where a network has to know the size."""
    try:
        yield
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
