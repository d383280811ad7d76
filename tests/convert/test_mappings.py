"""The tables of all networks but IFCNN: their authors' files, and files that do not fit."""

import re

import jax
import numpy as np
import pytest

from convert.from_torch import convert_file, main
from convert.mappings import TABLES
from convert.rules import convert
from convert.torch_file import read_torch_file
from tests.backbones.golden import FILES, files_of
from tests.convert.writer import StateDict, save_zip, tensor
from ttd_jax.backbones import BACKBONES, COMPANIONS, load_backbone
from ttd_jax.errors import CheckpointError
from ttd_jax.io.checkpoints import flatten, read_manifest

NETWORKS = BACKBONES | COMPANIONS

# A few keys of every network with their variable and PyTorch's axes, written down from the authors' modules.
BLOCK = "layers.1.residual_group.blocks.2"
SAMPLES = {
    "cddfuse": {
        "DIDF_Encoder.patch_embed.proj.weight": ("encoder/patch_embed/kernel", "OIHW"),
        "DIDF_Encoder.encoder_level1.3.norm2.body.weight": ("encoder/encoder_level1_3/norm2/scale", "C"),
        "DIDF_Encoder.encoder_level1.0.attn.temperature": ("encoder/encoder_level1_0/attn/temperature", "ABC"),
        "DIDF_Encoder.encoder_level1.0.attn.qkv_dwconv.weight": (
            "encoder/encoder_level1_0/attn/qkv_dwconv/kernel",
            "OIHW",
        ),
        "DIDF_Encoder.baseFeature.mlp.dwconv.weight": ("encoder/base/mlp/dwconv/kernel", "OIHW"),
        "DIDF_Encoder.detailFeature.net.2.theta_rho.bottleneckBlock.3.weight": (
            "encoder/detail/net_2/theta_rho/depthwise/kernel",
            "OIHW",
        ),
        "DIDF_Decoder.output.2.weight": ("decoder/output_2/kernel", "OIHW"),
        "BaseFuseLayer.attn.scale": ("base_fuse/attn/scale", "ABC"),
        "DetailFuseLayer.net.0.shffleconv.bias": ("detail_fuse/net_0/shffleconv/bias", "C"),
    },
    "piafusion": {
        "encoder.vi_conv1.weight": ("encoder/vi_conv1/kernel", "OIHW"),
        "encoder.ir_conv5.conv.1.bias": ("encoder/ir_conv5/conv/bias", "C"),
        "decoder.conv1.conv.1.weight": ("decoder/conv1/conv/kernel", "OIHW"),
        "decoder.conv5.weight": ("decoder/conv5/kernel", "OIHW"),
    },
    "piafusion-illumination": {
        "conv4.conv.1.weight": ("conv4/kernel", "OIHW"),
        "linear1.weight": ("linear1/kernel", "OI"),
        "linear2.bias": ("linear2/bias", "C"),
    },
    "mgdn": {
        "inconv2.weight": ("inconv2/kernel", "OIHW"),
        "patch_embed.norm.bias": ("patch_embed_norm/bias", "C"),
        "layers.1.MGF.TCA.kv_dwconv.weight": ("layers_1/MGF/TCA/kv_dwconv/kernel", "OIHW"),
        "layers.0.MGF.kernel_predictor_ext.1.0.weight": ("layers_0/MGF/kernel_predictor_ext/conv_1/kernel", "OIHW"),
        "layers.0.MGF.kernel_predictor_ref.2.bias": ("layers_0/MGF/kernel_predictor_ref/conv_2/bias", "C"),
        "layers.0.MGF.conv_out_2.0.bias": ("layers_0/MGF/conv_out_2/bias", "C"),
        f"{BLOCK}.attn.qkv.weight": ("layers_1/blocks_2/attn/qkv/kernel", "OI"),
        f"{BLOCK}.attn.relative_position_bias_table": ("layers_1/blocks_2/attn/relative_position_bias_table", "AB"),
        f"{BLOCK}.lce.fc.2.weight": ("layers_1/blocks_2/lce/fc_2/kernel", "OI"),
        f"{BLOCK}.mlp.fc1.bias": ("layers_1/blocks_2/mlp/fc1/bias", "C"),
        "layers.1.adjust_channel_03.weight": ("layers_1/adjust_channel_03/kernel", "OIHW"),
        "conv_after_body.0.weight": ("conv_after_body/kernel", "OIHW"),
    },
    "densefuse": {
        "conv1.conv2d.weight": ("conv1/kernel", "OIHW"),
        "DB1.denseblock.2.dense_conv.conv2d.weight": ("dense_2/kernel", "OIHW"),
        "DB1.denseblock.0.dense_conv.conv2d.bias": ("dense_0/bias", "C"),
        "conv5.conv2d.bias": ("conv5/bias", "C"),
    },
    "didfuse": {
        "weight.cov1.cov1.1.weight": ("encoder/cov1/conv/kernel", "OIHW"),
        "weight.cov1.cov1.3.weight": ("encoder/cov1/slope", "C"),
        "weight.cov2.cov2.1.weight": ("encoder/cov2/bn/scale", "C"),
        "weight.cov4.cov4.0.bias": ("encoder/cov4/conv/bias", "C"),
        "weight.cov6.cov6.0.weight": ("decoder/cov6/conv/kernel", "OIHW"),
        "weight.cov7.cov7.2.bias": ("decoder/cov7/bn/bias", "C"),
    },
    "auif": {
        "conv1.9.kernel": ("base/layers_9/kernel", "OIHW"),
        "conv2.0.kernel": ("detail/layers_0/kernel", "OIHW"),
        "conv2.3.eta": ("detail/layers_3/eta", "C"),
        "conv1.4.theta": ("base/layers_4/theta", "C"),
        "conv1.0.rest.0.weight": ("base/layers_0/bn/scale", "C"),
        "conv2.1.rest.1.weight": ("detail/layers_1/slope", "C"),
        "decoder.1.weight": ("decoder/conv/kernel", "OIHW"),
        "decoder.2.bias": ("decoder/bn/bias", "C"),
    },
    "pfcfuse": {
        "DIDF_Encoder.baseFeature.poolmlp.fc1.weight": ("encoder/base/poolmlp/fc1/kernel", "OIHW"),
        "DIDF_Encoder.baseFeature.layer_scale_2": ("encoder/base/layer_scale_2", "C"),
        "DIDF_Encoder.encoder_level1.1.norm1.body.bias": ("encoder/encoder_level1_1/norm1/bias", "C"),
        "BaseFuseLayer.layer_scale_1": ("base_fuse/layer_scale_1", "C"),
        "DetailFuseLayer.net.0.theta_phi.bottleneckBlock.5.weight": (
            "detail_fuse/net_0/theta_phi/project/kernel",
            "OIHW",
        ),
    },
}
AXES = {"OIHW": (3, 2, 0, 1), "OI": (1, 0), "ABC": (0, 1, 2), "AB": (0, 1), "C": (0,)}
"""Axes of the flax variable in PyTorch's order."""


def plain(tree):
    return {path.removeprefix("params/"): leaf for path, leaf in flatten(tree).items()}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("network", SAMPLES)
def test_keys_and_layouts(network, prefix):
    spec = NETWORKS[network]
    variables = plain(spec.abstract(spec.build(**spec.presets[spec.default_preset])))
    rng = np.random.default_rng(0)
    tensors, expected, abstract = {}, {}, {}
    for key, (target, axes) in SAMPLES[network].items():
        leaf = variables[target]
        expected[target] = rng.normal(size=leaf.shape).astype(np.float32)
        tensors[prefix + key] = expected[target].transpose(AXES[axes])
        *parents, last = f"params/{target}".split("/")
        node = abstract
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    converted = convert(tensors, TABLES[network], abstract)
    assert converted.used == list(tensors)
    got = plain(converted.variables)
    assert got.keys() == expected.keys()
    for target, array in expected.items():
        np.testing.assert_array_equal(got[target], array, err_msg=target)


@pytest.mark.parametrize("network", TABLES)
def test_every_rule_fills_variables_and_every_variable_has_a_rule(network):
    spec, rules = NETWORKS[network], TABLES[network].rules
    patterns = [re.compile(re.sub(r"\\{\w+\\}", "[^/.]+", re.escape(rule.target))) for rule in rules]
    filled = set()
    for preset in {"mgdn": ("focus", "deghost")}.get(network, [*spec.presets]):  # others differ in numbers alone
        for variable in flatten(spec.abstract(spec.build(**spec.presets[preset]))):
            numbers = [i for i, pattern in enumerate(patterns) if pattern.fullmatch(variable)]
            assert numbers, variable
            filled.update(numbers)
    assert filled == {*range(len(rules))}
    assert all("/" not in rule.source and rule.target.startswith(("params/", "batch_stats/")) for rule in rules)


def test_deghosting_has_one_stem_under_another_name():
    stem = {"params": {"inconv1": {"bias": jax.ShapeDtypeStruct((60,), np.float32)}}}
    converted = convert({"conv1.bias": np.arange(60.0)}, TABLES["mgdn"], stem)
    np.testing.assert_array_equal(converted.variables["params"]["inconv1"]["bias"], np.arange(60))


def test_positions_and_masks_are_ignored_by_name():
    block = "module.layers.0.residual_group.blocks.1"
    buffers = {f"{block}.attn_mask": np.zeros(3), f"{block}.attn.relative_position_index": np.zeros(3, np.int64)}
    assert convert(buffers, TABLES["mgdn"], {}).ignored == list(buffers)
    with pytest.raises(CheckpointError, match="unexpected key attn_mask"):
        convert({"attn_mask": np.zeros(3)}, TABLES["mgdn"], {})


def convert_shared(shared_data, name, output):
    _, _, network, preset = FILES[name]
    return convert_file(network, files_of(shared_data, name), output, preset)


KEYS = {
    "cddfuse": (158, 0),
    "piafusion": (30, 0),
    "illumination": (12, 0),
    "focus": (212, 8),
    "exposure": (338, 12),
    "depth": (312, 9),
    "deghost": (511, 18),
    "densefuse": (16, 0),
    "didfuse": (46, 7),
    "auif": (165, 21),
    "pfcfuse": (152, 0),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", FILES)
def test_reference_files(shared_data, tmp_path, name):
    manifest, converted = convert_shared(shared_data, name, tmp_path / "out")
    assert (len(converted.used), len(converted.ignored)) == KEYS[name]
    assert manifest == read_manifest(tmp_path / "out")
    if name == "illumination":
        return
    backbone = load_backbone(checkpoint=tmp_path / "out")
    jax.tree.map(np.testing.assert_array_equal, dict(backbone.variables), converted.variables)
    spec = backbone.spec
    row = backbone.manifest["preset"], spec.roles, spec.channels, spec.max_sources, list(backbone.recipes)
    assert (
        row
        == {
            "cddfuse": ("ivf", (), 1, None, ["default", "published", "vif", "paper"]),
            "piafusion": ("default", ("visible", "infrared"), 1, 2, ["default", "published", "vif", "paper"]),
            "focus": ("focus", (), 3, 2, ["default", "focus", "paper"]),
            "exposure": ("exposure", (), 3, 2, ["default", "paper"]),
            "depth": ("depth", ("rgb", "depth"), 3, 2, []),
            "deghost": ("deghost", ("under", "reference", "over"), 6, 3, []),
            "densefuse": ("gray", (), 1, None, ["default", "vif", "paper"]),
            "didfuse": ("ivf", (), 1, None, ["default", "paper"]),
            "auif": ("ivf", (), 1, None, ["default", "paper"]),
            "pfcfuse": ("ivf", (), 1, None, ["default", "vif", "paper"]),
        }[name]
    )


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "network", "preset", "message"),
    [
        ("deghost", "mgdn", "focus", r"is no mgdn \(focus\) checkpoint, but one of mgdn \(--preset deghost\)"),
        ("depth", "cddfuse", "mif", r"is no cddfuse \(mif\) checkpoint, but one of mgdn \(--preset depth\)"),
        ("cddfuse", "ifcnn", "max", r"is no ifcnn \(max\) checkpoint, but one of cddfuse \(--preset ivf\)"),
        ("piafusion", "piafusion-illumination", None, r", but one of piafusion \(--preset default\)"),
        ("illumination", "piafusion", None, r", but one of piafusion-illumination \(--preset default\)"),
        ("pfcfuse", "cddfuse", None, r"is no cddfuse \(ivf\) checkpoint, but one of pfcfuse \(--preset ivf\)"),
        ("cddfuse", "pfcfuse", None, r"is no pfcfuse \(ivf\) checkpoint, but one of cddfuse \(--preset ivf\)"),
        ("densefuse", "didfuse", None, r"holds no part of didfuse, but is one of densefuse \(--preset gray\)"),
    ],
)
def test_a_file_of_another_network_or_preset_is_recognized(shared_data, tmp_path, name, network, preset, message):
    with pytest.raises(CheckpointError, match=message):
        convert_file(network, shared_data / FILES[name][0], tmp_path / "out", preset)
    assert not (tmp_path / "out").exists()


def edited(shared_data, path, change):
    """CDDFuse's file with something changed, written anew."""
    tensors = {key: array.copy() for key, array in read_torch_file(shared_data / FILES["cddfuse"][0]).items()}
    return save_zip(path, StateDict({key: tensor(array) for key, array in change(tensors).items()}))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {k: v for k, v in t.items() if not k.startswith("BaseFuseLayer")},
            "missing params/base_fuse/attn/proj/kernel (1, 1, 64, 64) and 10 more of base_fuse",
        ),
        (
            lambda t: t | {"Teacher.module.a.weight": np.zeros(2, np.float32), "Teacher.b": np.zeros(3, np.float32)},
            "unexpected key Teacher.module.a.weight (2,) and 1 more of Teacher",
        ),
        (
            lambda t: t | {"DIDF_Decoder.module.output.2.weight": np.zeros((3, 32, 3, 3), np.float32)},
            "params/decoder/output_2/kernel is float32(3, 3, 32, 3), expected float32(3, 3, 32, 1)",
        ),
    ],
)
def test_missing_and_extra_networks_and_wrong_channels(shared_data, tmp_path, capsys, change, message):
    path = edited(shared_data, tmp_path / "a.pth", change)
    assert main(["cddfuse", str(path), "--output", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err == f"ttd-jax-convert: error: {path} is no cddfuse (ivf) checkpoint: {message}\n"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["cddfuse", "piafusion", "illumination", "focus"])
def test_a_truncated_file(shared_data, tmp_path, name):
    file, _, network, preset = FILES[name]
    path = tmp_path / "cut.pth"
    path.write_bytes((shared_data / file).read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        convert_file(network, path, tmp_path / "out", preset)
