"""Checkpoint folders made to harm: refused before anything is allocated, and no file outside the folder is opened."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from ttd_jax import load_backbone
from ttd_jax.errors import CheckpointError


@pytest.fixture
def copy(checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_backbone(checkpoint=path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 2000
    return message


def stored(path: Path, name: str, **options):
    """The array of this name in a checkpoint folder, made anew."""
    kvstore = {"driver": "ocdbt", "base": f"file://{path}/variables/", "path": f"{name}/"}
    spec = {"driver": "zarr", "kvstore": kvstore, "metadata": options}
    return tensorstore.open(spec, create=True, delete_existing=True, dtype=tensorstore.float32).result()


def test_an_array_of_16_gigabytes_is_not_allocated(copy):
    stored(copy, "params.conv4.bias", shape=[2**32], chunks=[2**32], dtype="<f4")
    assert "params/conv4/bias is float32(4294967296,), expected float32(3,)" in refused(copy)


def test_a_piece_of_16_gigabytes_is_not_allocated(copy):
    array = stored(copy, "params.conv4.bias", shape=[2**32], chunks=[2**32], dtype="<f4")
    array.resize(exclusive_max=[3], resize_metadata_only=True).result()
    assert "params.conv4.bias is stored in pieces larger than itself" in refused(copy)


def test_names_that_leave_the_folder_are_not_opened(copy, tmp_path):
    outside = tmp_path / "outside"
    spec = {
        "driver": "zarr",
        "kvstore": f"file://{outside}/",
        "metadata": {"shape": [3], "chunks": [3], "dtype": "<f4"},
    }
    tensorstore.open(spec, create=True, dtype=tensorstore.float32).result().write(np.ones(3, np.float32)).result()
    metadata = copy / "variables" / "_METADATA"
    described = json.loads(metadata.read_text())
    tree = described["tree_metadata"]
    entry = tree["('params', 'conv4', 'bias')"]
    entry["key_metadata"] = [{"key": str(outside), "key_type": 2}]
    metadata.write_text(json.dumps(described | {"use_ocdbt": False, "tree_metadata": {str((str(outside),)): entry}}))
    before = {path: path.stat().st_atime_ns for path in outside.rglob("*")}
    backbone = load_backbone(checkpoint=copy)  # what the file says of names is not even read
    assert backbone.name == "ifcnn"
    assert {path: path.stat().st_atime_ns for path in outside.rglob("*")} == before


def test_arrays_beside_the_expected_ones_are_named(copy):
    stored(copy, "params.more", shape=[1], chunks=[1], dtype="<f4")
    assert refused(copy).endswith("does not fit its backbone: unexpected params/more (1,)")


@pytest.mark.parametrize("name", ["manifest.json", "variables/manifest.ocdbt", "variables/d/more"])
def test_a_pipe_is_not_waited_for(copy, name):
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    assert "is no file" in refused(copy)


def test_a_link_to_itself(copy):
    (copy / "variables" / "manifest.ocdbt").unlink()
    (copy / "variables" / "manifest.ocdbt").symlink_to("manifest.ocdbt")
    assert "manifest.ocdbt is no file" in refused(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"preset": ["mean"]},
        {"preset": {"a": 1}},
        {"preset": 5},
        {"config": {"rule": ["mean"]}},
        {"config": {"rule": {"a": 1}}},
        {"config": {"rule": -1}},
        {"config": {"rule": None}},
        {"config": ["rule"]},
        {"recipe": ["loss"]},
        {"recipe": "vif"},
        {"sha256": ["0"]},
        {"sha256": 5},
        {"backbone": {"a": 1}},
        {"format": ["1"]},
        {"format": None},
    ],
)
def test_manifests_of_odd_values(copy, change):
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    assert refused(copy)


@pytest.mark.parametrize("config", [{"channels": -1}, {"channels": 0}, {"channels": 10**9}, {"dilations": [-1]}])
def test_options_that_no_network_has(copy, config):
    manifest = copy / "manifest.json"
    described = json.loads(manifest.read_text()) | {"backbone": "bandnet", "preset": "general", "recipe": None}
    manifest.write_text(json.dumps(described | {"config": config}))
    assert refused(copy)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, " " * 2**21, '{"format": ' + "9" * 5000 + "}"])
def test_manifests_that_are_no_manifest(copy, text):
    (copy / "manifest.json").write_text(text)
    assert refused(copy).startswith(f"the manifest of checkpoint {copy} is damaged (")
