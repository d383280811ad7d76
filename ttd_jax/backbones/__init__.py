"""Pretrained fusion networks by name, and their loading from checkpoints."""

import os
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from ttd_jax.backbones.recipes import recipes_as_data, recipes_of
from ttd_jax.backbones.spec import Backbone, Spec
from ttd_jax.errors import CheckpointError, InputError, shown
from ttd_jax.io.checkpoints import load_variables, read_manifest, save_checkpoint

if TYPE_CHECKING:
    BACKBONES: dict[str, Spec]
    """Every backbone of the package by name."""

    COMPANIONS: dict[str, Spec]
    """Networks that come with a backbone without being one, by name; they are converted in the same way."""

_NAMES = (
    "bandnet",
    "pyramid",
    "mertens",
    "ifcnn",
    "cddfuse",
    "piafusion",
    "mgdn",
    "densefuse",
    "didfuse",
    "auif",
    "pfcfuse",
)
_COMPANIONS = {"piafusion-illumination": "illumination"}  # and their modules
_TABLES = {"BACKBONES": {name: name for name in _NAMES}, "COMPANIONS": _COMPANIONS}

RETIRED = {"ttdnet": "ttd-jax 0.1 had this network; bandnet has taken its place: leave the name out"}
"""Backbones that there were, and what became of them."""

GROUP = "ttd_jax.backbones"
"""Entry points of this group are backbones of other packages: their names, and where their :class:`Spec` is."""

BUNDLED = Path(__file__).parent.parent / "checkpoints"
"""Checkpoints that come with the package, a folder each."""

DEFAULT_CHECKPOINT = "general"
"""The bundled checkpoint that is used when no backbone is named."""


def __getattr__(name: str) -> Any:
    """The tables of all networks, whose modules are imported when they are asked for: one needs none of the others."""
    if name not in _TABLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    table = globals()[name] = {each: _spec(module) for each, module in _TABLES[name].items()}
    return table


def _spec(module: str) -> Spec:
    """The row of a network of this package, which is in its module."""
    spec: Spec = import_module(f"{__name__}.{module}").SPEC
    return spec


def find_spec(name: str) -> Spec:
    """The table's row for a backbone, of this package or another one.

    Raises:
        InputError: There is no such backbone, or its package does not give a ``Spec`` of this name.
    """
    if name in _COMPANIONS:
        raise InputError(f"{name} does not fuse: load it with ttd_jax.backbones.illumination.load_illumination")
    if name in _NAMES:
        return _spec(name)
    if name in RETIRED and name not in backbone_names():
        raise InputError(f"{name}: {RETIRED[name]}")
    if name not in backbone_names():
        raise InputError(f"backbones are {', '.join(backbone_names())}; got {name!r}")
    return _load_spec(_registered()[name])


def backbone_names() -> list[str]:
    """Names of the backbones of the package, then of those that other packages register."""
    return [*_NAMES, *_registered()]


@cache
def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in _NAMES}


@cache
def _load_spec(point: EntryPoint) -> Spec:
    where = f"the entry point {point.name} = {point.value} of {GROUP}"
    try:
        spec = point.load()
    except Exception as error:  # whatever the import of another package raises
        raise InputError(f"{where} cannot be loaded ({type(error).__name__}: {error}): mend that package") from error
    if not isinstance(spec, Spec) or spec.name != point.name:
        raise InputError(f"{where} is to be a ttd_jax.Spec named {point.name!r}; got {spec!r:.100}")
    return spec


def bundled_checkpoints() -> dict[str, Path]:
    """Checkpoints in the package, by name."""
    return {path.parent.name: path.parent for path in sorted(BUNDLED.glob("*/manifest.json"))}


def load_backbone(
    name: str | None = None, checkpoint: str | os.PathLike[str] | None = None, **options: Any
) -> Backbone:
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
        'bandnet'
    """
    if name is not None and checkpoint is None and not options and not find_spec(name).parameters:
        spec = find_spec(name)
        return Backbone(spec, spec.build(), {}, manifest={"backbone": name, "preset": spec.default_preset})
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
    try:
        for option in manifest["config"].keys() - known:
            raise TypeError(f"{spec.name} has no option {option!r}")
        model = spec.build(**manifest["config"])
        recipes = recipes_of(manifest, spec.recipes)
    except (TypeError, ValueError, AttributeError) as error:  # an unknown option, or a value not among its choices
        reason = shown(str(error))
        raise CheckpointError(f"the manifest of checkpoint {folder} is damaged ({reason}): convert it again") from None
    model = spec.build(**{**manifest["config"], **options})
    if folder.parent == BUNDLED and not options:  # what is in the package fits, as a test makes sure
        return Backbone(spec, model, jax.device_put(load_variables(folder, None)), recipes, manifest)
    try:
        abstract = spec.abstract(model)
    except Exception as error:  # whatever a network makes of options that no network has
        raise CheckpointError(
            f"the manifest of checkpoint {folder} is damaged (config gives no network: {type(error).__name__}): "
            "convert it again"
        ) from None
    variables = load_variables(folder, abstract)
    return Backbone(spec, model, jax.device_put(variables), recipes, manifest)


def save_backbone(
    backbone: Backbone,
    path: str | os.PathLike[str],
    *,
    preset: str | None = None,
    config: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a backbone, its recipes included, as a checkpoint folder that ``load_backbone`` reads.

    Args:
        backbone: What is saved. To be loaded again its spec must be of this package, or registered by an entry point
            (docs/bring_your_own_backbone.md).
        path: Folder to create.
        preset: Which of the spec's configurations it is; None for its first.
        config: Options of ``spec.build`` that give the model, if not the preset's.
        overwrite: Replace an existing folder.

    Returns:
        The manifest that was written.

    Raises:
        InputError: The configuration gives another model, a recipe has a loss that is a function, or the folder
            cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_backbone(load_backbone(), f"{folder}/mine")["backbone"]
        'bandnet'
    """
    spec, old = backbone.spec, backbone.manifest
    preset = preset or old.get("preset") or spec.default_preset
    if config is None:
        config = dict(old.get("config") or spec.presets.get(preset, {}))
    if spec.build(**config) != backbone.model:
        raise InputError(f"{spec.name} built with {config} is not this model: pass config, the options that give it")
    manifest = {
        "licence": spec.licence,
        **{name: old[name] for name in ("source", "licence", "ttd_jax") if name in old},
        "backbone": spec.name,
        "preset": preset,
        "config": config,
        "recipes": recipes_as_data(backbone.recipes),
    }
    return save_checkpoint(path, backbone.variables, manifest, overwrite=overwrite)


def _spec_of(folder: Path, manifest: dict[str, Any]) -> Spec:
    if manifest["backbone"] in _COMPANIONS:
        raise CheckpointError(
            f"checkpoint {folder} is of {manifest['backbone']}, which does not fuse: "
            "load it with ttd_jax.backbones.illumination.load_illumination"
        )
    names = backbone_names()
    if manifest["backbone"] in RETIRED and manifest["backbone"] not in names:
        raise CheckpointError(f"checkpoint {folder} is of {manifest['backbone']}: {RETIRED[manifest['backbone']]}")
    if manifest["backbone"] not in names:
        raise CheckpointError(
            f"checkpoint {folder} is of backbone {manifest['backbone']!r}; this version has {', '.join(names)}: "
            "update ttd-jax, or install the package that brings it"
        )
    return find_spec(manifest["backbone"])


def _checkpoint_folder(name: str | None, checkpoint: str | os.PathLike[str] | None) -> Path:
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
