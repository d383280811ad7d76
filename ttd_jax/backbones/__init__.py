"""Pretrained fusion networks by name, and their loading from checkpoints."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ttd_jax.backbones import cddfuse, ifcnn, illumination, mgdn, piafusion, ttdnet
from ttd_jax.backbones.spec import Backbone, Spec
from ttd_jax.core.weighting import LossWeighting
from ttd_jax.errors import CheckpointError, InputError
from ttd_jax.io.checkpoints import load_variables, read_manifest

BACKBONES: dict[str, Spec] = {module.SPEC.name: module.SPEC for module in (ttdnet, ifcnn, cddfuse, piafusion, mgdn)}
"""Every backbone by name."""

COMPANIONS: dict[str, Spec] = {illumination.SPEC.name: illumination.SPEC}
"""Networks that come with a backbone without being one, by name; they are converted in the same way."""

BUNDLED = Path(__file__).parent.parent / "checkpoints"
"""Checkpoints that come with the package, a folder each."""

DEFAULT_CHECKPOINT = "general"
"""The bundled checkpoint that is used when no backbone is named."""


def find_spec(name: str) -> Spec:
    """The table's row for a backbone.

    Raises:
        InputError: There is no such backbone.
    """
    if name in COMPANIONS:
        raise InputError(f"{name} does not fuse: load it with ttd_jax.backbones.illumination.load_illumination")
    if name not in BACKBONES:
        raise InputError(f"backbones are {', '.join(BACKBONES)}; got {name!r}")
    return BACKBONES[name]


def bundled_checkpoints() -> dict[str, Path]:
    """Checkpoints in the package, by name."""
    return {path.parent.name: path.parent for path in sorted(BUNDLED.glob("*/manifest.json"))}


def load_backbone(name: str | None = None, checkpoint: str | os.PathLike | None = None, **options: Any) -> Backbone:
    """A backbone with its parameters.

    Args:
        name: Backbone; None takes it from the checkpoint.
        checkpoint: Checkpoint folder, or the name of a bundled one; None for the bundled checkpoint of this
            backbone.
        **options: Options of the backbone that override the checkpoint's, such as ``rule="sum"`` for IFCNN.

    Returns:
        The backbone, for ``fuse(backbone=...)``.

    Raises:
        InputError: Unknown backbone or option.
        CheckpointError: No such checkpoint, one of another backbone, or one whose arrays do not fit.

    Example:
        >>> load_backbone().name
        'ttdnet'
    """
    folder = _checkpoint_folder(name, checkpoint)
    manifest = read_manifest(folder)
    spec = find_spec(name) if name else _spec_of(folder, manifest)
    if manifest["backbone"] != spec.name:
        raise CheckpointError(
            f"checkpoint {folder} is of backbone {manifest['backbone']!r}, expected {spec.name!r}: "
            f"name --backbone {manifest['backbone']}, or convert a file of {spec.name}"
        )
    spec = spec.of_preset(manifest.get("preset"))
    known = set().union(*spec.presets.values())
    for option in options.keys() - known:
        raise InputError(f"options of {spec.name} are {', '.join(sorted(known)) or 'none'}; got {option!r}")
    recipes = dict(spec.recipes)
    try:
        for option in manifest["config"].keys() - known:
            raise TypeError(f"{spec.name} has no option {option!r}")
        model = spec.build(**manifest["config"])
        own = LossWeighting(**manifest.get("recipe") or {})
    except (TypeError, ValueError) as error:  # an unknown option, or a value that is not among its choices
        raise CheckpointError(f"the manifest of checkpoint {folder} is damaged ({error}): convert it again") from None
    if recipes:
        recipes["default"] = own.resolve(recipes["default"])
    model = spec.build(**{**manifest["config"], **options})
    try:
        abstract = spec.abstract(model)
    except Exception as error:  # whatever a network makes of options that no network has
        raise CheckpointError(
            f"the manifest of checkpoint {folder} is damaged (config gives no network: {type(error).__name__}): "
            "convert it again"
        ) from None
    variables = load_variables(folder, abstract)
    return Backbone(
        spec.name,
        model,
        jax.tree.map(jnp.asarray, variables),
        recipes,
        spec.channels,
        spec.roles,
        spec.max_sources,
        spec.raw,
        spec.result_dtype,
        manifest,
    )


def _spec_of(folder: Path, manifest: dict[str, Any]) -> Spec:
    if manifest["backbone"] in COMPANIONS:
        raise CheckpointError(
            f"checkpoint {folder} is of {manifest['backbone']}, which does not fuse: "
            "load it with ttd_jax.backbones.illumination.load_illumination"
        )
    if manifest["backbone"] not in BACKBONES:
        raise CheckpointError(
            f"checkpoint {folder} is of backbone {manifest['backbone']!r}; this version has {', '.join(BACKBONES)}"
        )
    return BACKBONES[manifest["backbone"]]


def _checkpoint_folder(name: str | None, checkpoint: str | os.PathLike | None) -> Path:
    bundled = bundled_checkpoints()
    if checkpoint is not None:
        return bundled.get(str(checkpoint), Path(checkpoint))
    if name is None:
        if DEFAULT_CHECKPOINT not in bundled:
            raise CheckpointError("this installation has no checkpoint of its own: name one (checkpoint=FOLDER)")
        return bundled[DEFAULT_CHECKPOINT]
    spec = find_spec(name)
    for folder in bundled.values():
        if read_manifest(folder)["backbone"] == name:
            return folder
    raise InputError(
        f"backbone {name} needs a checkpoint: get one ({spec.origin}), convert it with "
        f"python convert/from_torch.py {name} FILE.pth --output FOLDER, and pass --checkpoint FOLDER "
        "(checkpoint=FOLDER)"
    )
