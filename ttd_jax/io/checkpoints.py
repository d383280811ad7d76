"""Checkpoints on disk: an orbax tree of variables beside a ``manifest.json`` that says what they are.

The manifest holds ``format`` (version of this layout), ``backbone``, ``preset``, ``config`` (options of the
backbone's factory), ``recipes`` (every loss weighting of this checkpoint, by name; null or left out for those of the
network as published; before, ``recipe``: options that differ from the backbone's own), ``parameters``, ``sha256`` (of
the arrays), ``source`` (file name and sha256 of what was converted, or how it was trained) and ``licence``.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ttd_jax.errors import CheckpointError
from ttd_jax.io.atomic import atomic_folder

FORMAT = 1
_VARIABLES = "variables"
_MANIFEST = "manifest.json"


def save_checkpoint(
    path: str | os.PathLike,
    variables: Mapping[str, Any],
    manifest: Mapping[str, Any],
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes variables and manifest as the folder ``path``, whole or not at all.

    Args:
        path: Folder to create.
        variables: Flax variables; leaves are arrays.
        manifest: At least ``backbone``, ``preset`` and ``config``.
        overwrite: Replace an existing folder.

    Returns:
        The manifest as written: ``format``, ``parameters`` and ``sha256`` are added here.

    Raises:
        InputError: The folder exists, or its parent is missing or not writable.
    """
    import orbax.checkpoint as ocp

    variables = jax.tree.map(np.asarray, dict(variables))
    written = {
        "format": FORMAT,
        **manifest,
        "parameters": count_parameters(variables),
        "sha256": fingerprint(variables),
    }
    with atomic_folder(path, overwrite) as folder:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / _VARIABLES, variables)
        (folder / _VARIABLES / "commit_success.txt").write_text("saved\n")  # orbax names the temporary folder there
        (folder / _MANIFEST).write_text(json.dumps(written, indent=2) + "\n")
    return written


def read_manifest(path: str | os.PathLike) -> dict[str, Any]:
    """The manifest of a checkpoint folder.

    Raises:
        CheckpointError: There is none, it cannot be read, or it is of a newer format.
    """
    path = Path(path)
    if path.is_file():
        raise CheckpointError(
            f"a checkpoint is a folder with {_MANIFEST}; got the file {path}: convert PyTorch files first, "
            "with python convert/from_torch.py BACKBONE FILE.pth --output FOLDER"
        )
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        version = manifest["format"]
        if not (isinstance(manifest["backbone"], str) and isinstance(manifest["config"], dict) and manifest["sha256"]):
            raise TypeError("backbone is a name and config a mapping")
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint at {path}: expected a folder with {_MANIFEST}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"the manifest of checkpoint {path} is damaged ({error!r}): convert it again") from None
    if version != FORMAT:
        raise CheckpointError(f"checkpoint {path} has format {version}, this version reads {FORMAT}: update ttd-jax")
    return manifest


def load_variables(path: str | os.PathLike, abstract: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a checkpoint folder, checked against the tree the backbone expects.

    Args:
        path: Checkpoint folder.
        abstract: The backbone's variables as shapes and dtypes.

    Raises:
        CheckpointError: The arrays cannot be read, do not match the manifest's hash, or differ from ``abstract``;
            every missing, unexpected and mis-shaped entry is listed.
    """
    import orbax.checkpoint as ocp

    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            variables = checkpointer.restore((Path(path) / _VARIABLES).absolute())
        variables = jax.tree.map(np.asarray, variables)
    except Exception as error:  # orbax and tensorstore raise many kinds
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"the arrays of checkpoint {path} cannot be read ({reason}): convert it again") from None
    problems = tree_differences(variables, abstract)
    if problems:
        raise CheckpointError(f"checkpoint {path} does not fit its backbone: " + "; ".join(problems))
    if fingerprint(variables) != read_manifest(path)["sha256"]:
        raise CheckpointError(f"the arrays of checkpoint {path} differ from its manifest: convert it again")
    return variables


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by their slash-separated path, e.g. ``params/conv1/kernel``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def tree_differences(tree: Mapping[str, Any], abstract: Mapping[str, Any]) -> list[str]:
    """Every way in which a tree of arrays differs from the expected shapes and dtypes, a sentence each."""
    got, expected = flatten(tree), flatten(abstract)
    problems = [f"missing {name} {tuple(expected[name].shape)}" for name in expected if name not in got]
    problems += [f"unexpected {name} {tuple(got[name].shape)}" for name in got if name not in expected]
    for name in filter(got.__contains__, expected):
        want, have = expected[name], got[name]
        if tuple(want.shape) != tuple(have.shape) or np.dtype(want.dtype) != np.dtype(have.dtype):
            problems.append(f"{name} is {have.dtype}{tuple(have.shape)}, expected {want.dtype}{tuple(want.shape)}")
    return problems


def fingerprint(variables: Mapping[str, Any]) -> str:
    """sha256 over names, dtypes, shapes and bytes of all arrays, whatever their layout on disk."""
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten(variables).items()):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def count_parameters(variables: Mapping[str, Any]) -> int:
    """Number of trained values: everything under ``params``, not the running statistics."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(variables.get("params", {})))
