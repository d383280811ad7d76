"""Checkpoints on disk: what is written is read, and whatever does not fit is refused with everything listed."""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from ttd_jax import load_backbone
from ttd_jax.backbones.ifcnn import IFCNN, SPEC
from ttd_jax.errors import CheckpointError, InputError
from ttd_jax.io.checkpoints import (
    count_parameters,
    fingerprint,
    flatten,
    load_variables,
    read_manifest,
    save_checkpoint,
    tree_differences,
)

MANIFEST = {"backbone": "ifcnn", "preset": "mean", "config": {"rule": "mean"}}
ABSTRACT = SPEC.abstract(IFCNN())


def refused(path, **options):
    with pytest.raises(CheckpointError) as caught:
        load_backbone(checkpoint=path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def copy(ifcnn_variables, tmp_path):
    """A checkpoint to spoil."""

    def make(change=lambda variables: None, **manifest):
        variables = jax.tree.map(np.copy, ifcnn_variables)
        change(variables)
        save_checkpoint(tmp_path / "copy", variables, MANIFEST | manifest, overwrite=True)
        return tmp_path / "copy"

    return make


def test_round_trip(tmp_path, ifcnn_variables, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = save_checkpoint("folder", ifcnn_variables, MANIFEST)  # orbax alone refuses relative paths
    assert sorted(os.listdir("folder")) == ["manifest.json", "variables"]
    assert read_manifest("folder") == written
    assert (written["format"], written["parameters"]) == (1, 83_587)
    files = [path for path in Path("folder").rglob("*") if path.is_file()]
    assert len(files) > 2 and not any(bytes(tmp_path) in path.read_bytes() for path in files)
    loaded = load_variables("folder", ABSTRACT)
    assert jax.tree.structure(loaded) == jax.tree.structure(ifcnn_variables)
    jax.tree.map(np.testing.assert_array_equal, loaded, ifcnn_variables)
    backbone = load_backbone("ifcnn", "folder")
    assert backbone.model == IFCNN(rule="mean")
    assert backbone.manifest["sha256"] == fingerprint(ifcnn_variables)


def test_options_override_the_checkpoints(checkpoint):
    assert load_backbone(checkpoint=checkpoint, rule="sum").model.rule == "sum"
    with pytest.raises(InputError) as caught:
        load_backbone(checkpoint=checkpoint, rules="sum")
    assert str(caught.value) == "options of ifcnn are rule; got 'rules'"
    with pytest.raises(InputError, match=r"max, mean, sum, l1; got 'median'"):
        load_backbone(checkpoint=checkpoint, rule="median")


def test_a_recipe_of_its_own(copy):
    path = copy(recipe={"loss": "mse", "scale": 7.0})
    recipe = load_backbone(checkpoint=path).recipes["default"]
    assert (recipe.loss, recipe.scale) == ("mse", 7.0)
    assert recipe.component == SPEC.recipes["default"].component


def test_existing_folders_are_kept(copy, ifcnn_variables):
    path = copy()
    with pytest.raises(InputError, match="exists already"):
        save_checkpoint(path, ifcnn_variables, MANIFEST)
    assert refused(path.parent / "no") == f"no checkpoint at {path.parent / 'no'}: expected a folder with manifest.json"


def test_nothing_is_left_of_a_checkpoint_that_fails(tmp_path):
    with pytest.raises(ValueError, match="Unsupported data type"):
        save_checkpoint(tmp_path / "folder", {"params": {"a": object()}}, MANIFEST)
    assert not os.listdir(tmp_path)


def test_every_difference_is_listed(copy):
    def change(variables):
        del variables["params"]["conv1"]
        variables["params"]["conv9"] = {"kernel": np.zeros((1, 2), np.float32)}
        variables["params"]["conv4"]["bias"] = np.zeros(4, np.float32)
        variables["params"]["conv4"]["kernel"] = variables["params"]["conv4"]["kernel"].astype(np.float16)

    message = refused(copy(change))
    assert message.startswith("checkpoint ") and "does not fit its backbone: " in message
    for problem in (
        "missing params/conv1/kernel (7, 7, 3, 64)",
        "unexpected params/conv9/kernel (1, 2)",
        "params/conv4/bias is float32(4,), expected float32(3,)",
        "params/conv4/kernel is float16(1, 1, 64, 3), expected float32(1, 1, 64, 3)",
    ):
        assert problem in message
    assert message.count(";") == 3


def test_changed_numbers_are_noticed(copy):
    path = copy()
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"sha256": "0" * 64}))
    assert refused(path) == f"the arrays of checkpoint {path} differ from its manifest: convert it again"


def test_damaged_arrays(copy):
    path = copy()
    for root, _, files in os.walk(path / "variables"):
        for name in files:
            with open(os.path.join(root, name), "r+b") as file:
                file.truncate(10)
    assert refused(path).startswith(f"the arrays of checkpoint {path} cannot be read (")


def test_missing_arrays(copy):
    path = copy()
    (path / "variables").rename(path / "elsewhere")
    assert refused(path).startswith(f"the arrays of checkpoint {path} cannot be read (")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", "null", '{"format": 1}', "\udcff", '{"format": 1, "backbone": "ifcnn"}']
)
def test_a_damaged_manifest(copy, content):
    path = copy()
    (path / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    message = refused(path)
    assert message.startswith(f"the manifest of checkpoint {path} is damaged (")
    assert message.endswith("convert it again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "checkpoint {path} has format 2, this version reads 1: update ttd-jax"),
        ({"backbone": "newnet"}, "checkpoint {path} is of backbone 'newnet'; this version has "),
        ({"config": {"rule": "median"}}, "the manifest of checkpoint {path} is damaged ("),
        ({"backbone": ["ifcnn"]}, "the manifest of checkpoint {path} is damaged ("),
        ({"config": {"network": None}}, "the manifest of checkpoint {path} is damaged (ifcnn has no option 'network')"),
        ({"config": {"rule": {}}}, "the manifest of checkpoint {path} is damaged (TypeError('option rule is dict"),
        ({"config": {"depth": 3}}, "the manifest of checkpoint {path} is damaged ("),
        ({"config": None}, "the manifest of checkpoint {path} is damaged ("),
        ({"recipe": {"loss": "ssim"}}, "the manifest of checkpoint {path} is damaged ("),
        ({"recipe": {"temperature": 1}}, "the manifest of checkpoint {path} is damaged ("),
    ],
)
def test_a_manifest_that_does_not_fit(copy, change, message):
    path = copy()
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | change))
    assert refused(path).startswith(message.format(path=path))


def test_another_backbone(copy):
    path = copy(backbone="other")
    with pytest.raises(CheckpointError) as caught:
        load_backbone("ifcnn", path)
    assert str(caught.value) == (
        f"checkpoint {path} is of backbone 'other', expected 'ifcnn': name --backbone other, or convert a file of ifcnn"
    )


def test_a_pytorch_file_is_no_checkpoint(tmp_path):
    (tmp_path / "IFCNN-MAX.pth").write_bytes(b"\x80\x02")
    assert refused(tmp_path / "IFCNN-MAX.pth") == (
        f"a checkpoint is a folder with manifest.json; got the file {tmp_path / 'IFCNN-MAX.pth'}: convert PyTorch "
        "files first, with python convert/from_torch.py BACKBONE FILE.pth --output FOLDER"
    )


def test_unknown_backbones(checkpoint):
    with pytest.raises(InputError, match=r"^backbones are .*ifcnn.*; got 'resnet'$"):
        load_backbone("resnet", checkpoint)


def test_a_backbone_without_checkpoint_says_how_to_get_one():
    with pytest.raises(InputError) as caught:
        load_backbone("ifcnn")
    message = str(caught.value)
    assert "github.com/uzeful/IFCNN" in message
    assert "python convert/from_torch.py ifcnn FILE.pth --output FOLDER" in message


def test_fingerprint_sees_names_shapes_types_and_values():
    base = {"params": {"a": np.arange(6, dtype=np.float32)}}
    others = [
        {"params": {"b": np.arange(6, dtype=np.float32)}},
        {"params": {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}},
        {"params": {"a": np.arange(6, dtype=np.int32)}},
        {"params": {"a": np.arange(1, 7, dtype=np.float32)}},
    ]
    assert len({fingerprint(tree) for tree in [base, *others]}) == 5
    strided = {"params": {"a": np.arange(12, dtype=np.float32)[::2] / 2}}
    assert fingerprint(strided) == fingerprint(base)


def test_parameters_are_counted_without_statistics(ifcnn_variables):
    assert count_parameters(ifcnn_variables) == 83_587
    assert "batch_stats/conv2/bn/mean" in flatten(ifcnn_variables)
    assert tree_differences(ifcnn_variables, ABSTRACT) == []
