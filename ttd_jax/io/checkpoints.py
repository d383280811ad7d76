"""Checkpoints on disk: an orbax tree of variables beside a ``manifest.json`` that says what they are.

A folder is read by asking for what the network needs: the shapes of all arrays are
compared before a number is read, so that no file decides how much is allocated, and none outside the folder is opened.

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
import tensorstore

from ttd_jax.errors import CheckpointError, shown
from ttd_jax.io.atomic import atomic_folder

FORMAT = 1
_VARIABLES = "variables"
_MANIFEST = "manifest.json"
_FIELDS: dict[str, Any] = {
    "backbone": str,
    "config": dict,
    "sha256": str,
    "preset": (str, type(None)),
    "recipe": (dict, type(None)),
    "recipes": (dict, type(None)),
}
_MOST_MANIFEST = 2**20  # bytes
_MOST_NUMBERS, _LARGEST_OPTION = 16, 4096  # of a network's option
_MOST_PROBLEMS = 12
_MOST_FOLDERS, _MOST_FILES = 1000, 10_000


def save_checkpoint(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
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
    with atomic_folder(path, overwrite=overwrite) as folder:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / _VARIABLES, variables)
        (folder / _VARIABLES / "commit_success.txt").write_text("saved\n")  # orbax names the temporary folder there
        (folder / _MANIFEST).write_text(json.dumps(written, indent=2) + "\n")
    return written


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a checkpoint folder.

    Raises:
        CheckpointError: There is none, it cannot be read, or it is of a newer format.
    """
    path = Path(path)
    if os.path.isfile(path):  # false where no file can have this name
        raise CheckpointError(
            f"a checkpoint is a folder with {_MANIFEST}; got the file {path}: convert PyTorch files first, "
            "with python convert/from_torch.py BACKBONE FILE.pth --output FOLDER"
        )
    try:
        text = _read_small(path / _MANIFEST)
        manifest = json.loads(text)
        version = manifest["format"]
        _check_fields(manifest)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint at {path}: expected a folder with {_MANIFEST}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = shown(repr(error))
        raise CheckpointError(f"the manifest of checkpoint {path} is damaged ({reason}): convert it again") from None
    if version != FORMAT:
        raise CheckpointError(f"checkpoint {path} has format {version}, this version reads {FORMAT}: update ttd-jax")
    return manifest


def _read_small(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file")
    if path.stat().st_size > _MOST_MANIFEST:
        raise ValueError(f"more than {_MOST_MANIFEST >> 20} MB")
    return path.read_text()


def _check_fields(manifest: dict[str, Any]) -> None:
    """Raises ``TypeError`` where a field is not of its kind, or says what no network is."""
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise TypeError(f"{name} is {type(manifest.get(name)).__name__}")
    for option, value in manifest["config"].items():
        for one in value if isinstance(value, list) and len(value) <= _MOST_NUMBERS else [value]:
            if not isinstance(one, (str, int, float, bool, type(None))):
                raise TypeError(f"option {shown(option)} is {type(one).__name__}")
            if isinstance(one, int) and abs(one) > _LARGEST_OPTION:  # a network of a billion layers is not traced
                raise TypeError(f"option {shown(option)} is larger than {_LARGEST_OPTION}")


def load_variables(path: str | os.PathLike[str], abstract: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variables of a checkpoint folder, checked against the tree the backbone expects.

    Args:
        path: Checkpoint folder.
        abstract: The backbone's variables as shapes and dtypes; None takes what the folder holds, which must then be
            one that can be trusted, since it says how much is read.

    Raises:
        CheckpointError: The arrays cannot be read, do not match the manifest's hash, or differ from ``abstract``;
            every missing, unexpected and mis-shaped entry is listed.
    """
    folder = Path(path) / _VARIABLES
    try:
        _check_files(folder)
        store = tensorstore.KvStore.open(_stored(folder)).result()
        names = {key.decode().removesuffix("/.zarray") for key in store.list().result() if key.endswith(b"/.zarray")}
        if len(names) > _MOST_FILES:
            raise ValueError("more arrays than a checkpoint has")
        arrays = {name.replace(".", "/"): _open(folder, name) for name in sorted(names)}
        found = {name: jax.ShapeDtypeStruct(array.shape, array.dtype.numpy_dtype) for name, array in arrays.items()}
    except Exception as error:  # tensorstore raises many kinds
        reason = shown(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise CheckpointError(f"the arrays of checkpoint {path} cannot be read ({reason}): convert it again") from None
    abstract = _nested(found) if abstract is None else abstract
    problems = tree_differences(found, abstract)
    if problems:
        more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        shortened = "; ".join(map(shown, problems[:_MOST_PROBLEMS])) + more
        raise CheckpointError(f"checkpoint {path} does not fit its backbone: {shortened}")
    try:
        pending = [arrays[name].read() for name in flatten(abstract)]
        leaves = [np.asarray(one.result()) for one in pending]
    except Exception as error:
        reason = shown(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise CheckpointError(f"the arrays of checkpoint {path} cannot be read ({reason}): convert it again") from None
    variables = jax.tree.unflatten(jax.tree.structure(abstract), leaves)
    if fingerprint(variables) != read_manifest(path)["sha256"]:
        raise CheckpointError(f"the arrays of checkpoint {path} differ from its manifest: convert it again")
    return variables


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of these leaves by their paths: what ``flatten`` undoes."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = leaf
    return tree


def _check_files(folder: Path) -> None:
    """Raises where there is no folder, or something in it is neither file nor folder: a pipe would wait for ever."""
    if not folder.is_dir():
        raise ValueError("there is no folder of arrays")
    for count, (root, folders, files) in enumerate(os.walk(folder)):
        if count > _MOST_FOLDERS or len(files) > _MOST_FILES or len(folders) > _MOST_FOLDERS:
            raise ValueError("more files than a checkpoint has")
        if odd := next((name for name in files if not os.path.isfile(os.path.join(root, name))), None):
            raise ValueError(f"{odd} is no file")


def _stored(folder: Path, name: str = "") -> dict[str, Any]:
    """Where orbax keeps the array of this name, in tensorstore's words."""
    base = {"driver": "file", "path": f"{folder.absolute()}/"}
    return {"driver": "ocdbt", "base": base, "path": f"{name}/" if name else ""}


def _open(folder: Path, name: str) -> Any:
    """The array, opened and not read.

    Raises:
        ValueError: It says that it is stored in pieces larger than itself.
    """
    array = tensorstore.open({"driver": "zarr", "kvstore": _stored(folder, name)}, open=True, read=True).result()
    pieces = array.chunk_layout.read_chunk.shape
    if pieces is None or any((piece or 0) > max(side, 1) for piece, side in zip(pieces, array.shape, strict=True)):
        raise ValueError(f"{name} is stored in pieces larger than itself")
    return array


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
    """The sha256 of names, dtypes, shapes and bytes of all arrays, whatever their layout on disk."""
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten(variables).items()):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def count_parameters(variables: Mapping[str, Any]) -> int:
    """Number of trained values: everything under ``params``, not the running statistics."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(variables.get("params", {})))
