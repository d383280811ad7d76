"""Networks in several files: told apart by what is in them, and everything that is wrong in one line."""

import hashlib
import json

import jax
import numpy as np
import pytest

from convert.files import gather
from convert.from_torch import convert_file, main
from convert.mappings import TABLES
from convert.rules import LAYOUTS
from tests.backbones.golden import files_of, random_variables
from tests.convert.writer import Global, Reduce, StateDict, ifcnn_state_dict, save_legacy, save_zip, tensor
from ttd_jax import CheckpointError, InputError, load_backbone
from ttd_jax.backbones import BACKBONES
from ttd_jax.io.checkpoints import flatten

SPEC = BACKBONES["didfuse"]
MISSING = {
    "encoder": "the encoder is missing: name its file too (Encoder_weight_IJCAI.pkl)",
    "decoder": "the decoder is missing: name its file too (Decoder_weight_IJCAI.pkl)",
}


@pytest.fixture(scope="module")
def variables():
    return jax.tree.map(np.asarray, random_variables(SPEC, SPEC.build()))


def state_dicts(variables):
    """DIDFuse's two state dicts, by part."""
    arrays = flatten(variables)
    found = {"encoder": StateDict(), "decoder": StateDict()}
    for rule in TABLES["didfuse"].rules:
        array = arrays[rule.target]
        if axes := LAYOUTS[rule.layout]:
            array = array.transpose(np.argsort(axes))
        found[rule.target.split("/")[1]][rule.source.removeprefix("weight.")] = tensor(array)
    return found


@pytest.fixture
def files(tmp_path, variables):
    """The two files, in both layouts, as their authors wrote them: the state dict beside a number."""
    states = state_dicts(variables)
    return {
        "encoder": save_legacy(tmp_path / "a.pkl", {"weight": states["encoder"], "epoch": 3}),
        "decoder": save_zip(tmp_path / "b.pkl", {"weight": states["decoder"], "epoch": 3}),
    }


def failed(capsys, code, *arguments):
    assert main([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ttd-jax-convert: error: ") and err.count("\n") == 1
    return err.removeprefix("ttd-jax-convert: error: ").rstrip()


@pytest.mark.parametrize("order", [("encoder", "decoder"), ("decoder", "encoder")])
def test_the_order_does_not_matter(tmp_path, capsys, variables, files, order):
    assert main(["didfuse", *(str(files[part]) for part in order), "--output", str(tmp_path / "out")]) == 0
    hashes = [hashlib.sha256(files[part].read_bytes()).hexdigest() for part in ("encoder", "decoder")]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'out'}: didfuse, preset ivf, 260,935 parameters",
        "  keys: 46 used, 0 ignored by name",
        f"  source: a.pkl, sha256 {hashes[0]}",
        f"  source: b.pkl, sha256 {hashes[1]}",
        "  licence: no licence file: convert your own copies",
    ]
    source = json.loads((tmp_path / "out" / "manifest.json").read_text())["source"]
    names = ["a.pkl", "b.pkl"]
    assert source == {"files": [{"file": f, "sha256": h} for f, h in zip(names, hashes, strict=True)]}
    backbone = load_backbone(checkpoint=tmp_path / "out")
    assert backbone.name == "didfuse" and backbone.model.rule == "sum"
    jax.tree.map(np.testing.assert_array_equal, dict(backbone.variables), variables)


def test_one_file_with_all_of_it(tmp_path, variables):
    states = state_dicts(variables)
    path = save_zip(tmp_path / "all.pkl", {"weight": StateDict(states["encoder"] | states["decoder"])})
    assert len(convert_file("didfuse", path, tmp_path / "out")[1].used) == 46


@pytest.mark.parametrize("part", MISSING)
def test_one_of_two_is_missing(tmp_path, capsys, files, part):
    other = next(files[name] for name in files if name != part)
    message = failed(capsys, 3, "didfuse", other, "--output", tmp_path / "out")
    assert message == f"{other} is no didfuse (ivf) checkpoint: {MISSING[part]}"
    assert not (tmp_path / "out").exists()


def test_the_same_file_twice(tmp_path, capsys, files):
    copy = tmp_path / "copy.pkl"
    copy.write_bytes(files["encoder"].read_bytes())
    message = failed(capsys, 3, "didfuse", files["encoder"], copy, "--output", tmp_path / "out")
    assert message == (
        f"{files['encoder']}, {copy} are no didfuse (ivf) checkpoint: {copy} is the same file as {files['encoder']}; "
        + MISSING["decoder"]
    )


def test_two_files_of_one_part(tmp_path, capsys, files):
    states = state_dicts(jax.tree.map(np.asarray, random_variables(SPEC, SPEC.build(), seed=1)))
    other = save_zip(tmp_path / "c.pkl", {"weight": states["encoder"]})
    message = failed(capsys, 3, "didfuse", *files.values(), other, "--output", tmp_path / "out")
    assert message.endswith(f": {other} holds the encoder, as {files['encoder']} does: name one of them")


def test_everything_that_is_wrong_is_told_at_once(tmp_path, capsys, variables, files, ifcnn_variables):
    states = state_dicts(variables)
    odd = StateDict({**states["encoder"], "cov9.cov9.0.weight": tensor(np.zeros(3, np.float32))})
    odd["cov1.cov1.1.bias"] = tensor(np.zeros(63, np.float32))
    odd_file = save_zip(tmp_path / "odd.pkl", {"weight": odd})
    foreign = save_zip(tmp_path / "ifcnn.pth", ifcnn_state_dict(ifcnn_variables))
    cut = tmp_path / "cut.pkl"
    cut.write_bytes(files["encoder"].read_bytes()[:-100])
    nothing = tmp_path / "nothing.pkl"
    message = failed(capsys, 3, "didfuse", cut, foreign, odd_file, nothing, "--output", tmp_path / "out")
    told = message.split(" checkpoint: ", 1)[1]
    assert told == (
        f"{cut}: ends before its last number: truncated, download it again; "
        f"{foreign} holds no part of didfuse, but is one of ifcnn (--preset max); "
        f"{nothing} cannot be read: No such file or directory; "
        "unexpected key weight.cov9.cov9.0.weight (3,); "
        "params/encoder/cov1/conv/bias is float32(63,), expected float32(64,)"
    )


def test_a_file_that_asks_to_be_run(tmp_path, capsys, files):
    hostile = save_zip(tmp_path / "x.pkl", {"weight": Reduce(Global("os", "system"), (f"touch {tmp_path / 'ran'}",))})
    message = failed(capsys, 3, "didfuse", files["encoder"], hostile, "--output", tmp_path / "out")
    assert "refused: the file asks for os.system" in message and not (tmp_path / "ran").exists()


def test_several_files_for_a_network_of_one(tmp_path, files):
    with pytest.raises(InputError, match="ifcnn is converted from one file; got 2: name one"):
        convert_file("ifcnn", list(files.values()), tmp_path / "out")
    with pytest.raises(InputError, match="densefuse is converted from one file; got 0: name one"):
        convert_file("densefuse", [], tmp_path / "out")


def test_a_part_given_as_another_network(tmp_path, files):
    with pytest.raises(CheckpointError, match=r"is no ifcnn \(max\) checkpoint, but one of didfuse \(--preset ivf\)"):
        convert_file("ifcnn", files["decoder"], tmp_path / "out", "max")
    gathered = gather("auif", "ivf", [files["decoder"]])
    assert gathered.missing == ["base", "detail", "decoder"] and gathered.files == []
    assert gathered.problems[0] == f"{files['decoder']} holds no part of auif, but is one of didfuse (--preset ivf)"


def densefuse_state_dict(channels: int) -> StateDict:
    shapes = {"conv1": (16, channels), "conv2": (64, 64), "conv3": (32, 64), "conv4": (16, 32), "conv5": (channels, 16)}
    shapes |= {f"DB1.denseblock.{i}.dense_conv": (16, 16 * (i + 1)) for i in range(3)}
    arrays = {f"{name}.conv2d.weight": np.ones((*shape, 3, 3), np.float32) for name, shape in shapes.items()}
    arrays |= {f"{name}.conv2d.bias": np.ones(shape[:1], np.float32) for name, shape in shapes.items()}
    return StateDict({key: tensor(array) for key, array in arrays.items()})


def test_densefuse_for_rgb(tmp_path, capsys):
    gray = save_legacy(tmp_path / "gray.model", densefuse_state_dict(1))
    assert main(["densefuse", str(gray), "--output", str(tmp_path / "gray")]) == 0
    assert "densefuse, preset gray, 74,193 parameters" in capsys.readouterr().out
    path = save_legacy(tmp_path / "rgb.model", densefuse_state_dict(3))
    message = failed(capsys, 3, "densefuse", path, "--output", tmp_path / "out")
    assert message == (
        f"{path} is no densefuse (gray) checkpoint: params/conv1/kernel is float32(3, 3, 3, 16), expected "
        "float32(3, 3, 1, 16); params/conv5/bias is float32(3,), expected float32(1,); params/conv5/kernel is "
        "float32(3, 3, 16, 3), expected float32(3, 3, 16, 1): it is the network for RGB (densefuse_rgb.model): take "
        "the grey one, densefuse_gray.model"
    )


@pytest.mark.shared_data
def test_auifs_three_files_in_the_wrong_order(shared_data, tmp_path, capsys):
    files = files_of(shared_data, "auif")
    _, converted = convert_file("auif", files, tmp_path / "out")
    _, again = convert_file("auif", files[::-1], tmp_path / "again")
    jax.tree.map(np.testing.assert_array_equal, converted.variables, again.variables)
    encoder, other = files[1], files_of(shared_data, "didfuse")[0]
    message = failed(capsys, 3, "auif", encoder, encoder, other, "--output", tmp_path / "x")
    assert message.split(" checkpoint: ", 1)[1] == (
        f"{encoder} is the same file as {encoder}; {other} holds no part of auif, but is one of didfuse (--preset ivf);"
        " the base is missing: name its file too (TCSVT_Encoder_Base.model); the decoder is missing: name its file too "
        "(TCSVT_Decoder.model)"
    )
