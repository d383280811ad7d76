"""Everything a user can get wrong: one line that helps, the right exit code, nothing written, nothing overwritten."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ttd_jax.backbones.ifcnn import SPEC
from ttd_jax.io.checkpoints import save_checkpoint
from ttd_jax.io.images import write_image

GREY = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
PAIR = ["a.png", "b.png"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with good and bad pictures."""
    monkeypatch.chdir(tmp_path)
    for name, pixels in {
        "a.png": GREY,
        "b.png": 255 - GREY,
        "old.png": GREY // 2,
        "small.png": GREY[:4],
        "dot.png": GREY[:1, :1],
    }.items():
        write_image(name, pixels)
    tifffile.imwrite("nan.tif", np.full((6, 8), np.nan, np.float32))
    tifffile.imwrite("bright.tif", np.full((6, 8), 255.0, np.float32))
    tifffile.imwrite("signed.tif", GREY.astype(np.int16))
    tifffile.imwrite("five.tif", np.zeros((6, 8, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    Path("empty.png").touch()
    Path("text.png").write_text("no image")
    Path("cut.tif").write_bytes(Path("nan.tif").read_bytes()[:-9])
    Path("folder").mkdir()
    shutil.copy("a.png", "folder")
    return tmp_path


def contents():
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def refused(ttd_jax, code, *arguments):
    """The message, after a look that nothing else happened."""
    before = contents()
    done = ttd_jax("fuse", *arguments)
    assert (done.code, done.out) == (code, "")
    assert contents() == before
    assert done.err.startswith("ttd-jax: error: ") and done.err.count("\n") == 1
    return done.err.removeprefix("ttd-jax: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["a.png"], "fusion takes two sources or more; got 1"),
        (
            ["a.png", "small.png"],
            "sources have one size; got a.png 8 x 6, small.png 8 x 4 (width x height): register them first, or crop or "
            "resize them to match",
        ),
        (
            ["visible=a.png", "infrared=nan.tif"],
            "infrared: pixels are finite numbers; got 48 NaN or infinite ones: mask or fill them first",
        ),
        (
            ["a.png", "bright.tif"],
            "bright.tif: float pixels lie in [0, 1]; got [255, 255]: divide by full scale (255 for 8 bit, 65535 for 16 "
            "bit), or rescale with (x - x.min()) / (x.max() - x.min())",
        ),
        (
            ["a.png", "signed.tif"],
            "signed.tif: pixels are bool, uint8, uint16 or float in [0, 1]; got int16: shift and scale them to [0, 1] "
            "yourself, so that nothing is guessed",
        ),
        (["dot.png", "dot.png"], "dot.png (1) has 1 x 1 pixels: expected at least 2 x 2"),
        (
            ["a.png", "five.tif"],
            "five.tif has shape (6, 8, 5): expected (H, W), (H, W, 1) or (H, W, 3), or these with alpha",
        ),
        (["a.png", "missing.png"], "cannot read missing.png: No such file or directory"),
        (["a.png", "empty.png"], "empty.png is empty: expected an image file"),
        (["a.png", "text.png"], "text.png is no image: expected PNG, TIFF, JPEG, BMP or WebP"),
        (["a.png", "cut.tif"], "cut.tif is damaged, truncated or no image: "),
        (["a.png", "folder"], "folders go together with folders; got the folder folder and the file a.png"),
        (["visible=a.png", "b.png"], "give every source a role or none; b.png has none"),
        (["visible=a.png", "visible=b.png"], "each role comes once: give the sources different roles"),
        (["visible=missing.png", "infrared=b.png"], "cannot read missing.png: No such file or directory"),
    ],
)
def test_sources(ttd_jax, place, checkpoint, sources, message):
    got = refused(ttd_jax, 2, *sources, "-o", "out.png", "--checkpoint", checkpoint)
    assert got.startswith(message) if message.endswith(": ") else got == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "old.png"], "output old.png exists already: choose another name or pass --overwrite (overwrite=True)"),
        (["-o", "no/out.png"], "output folder {place}/no does not exist: create it first"),
        (["-o", "out.gif"], "cannot write out.gif: the name ends in one of .png .tif .tiff .jpg .jpeg .bmp .webp"),
        (["-o", "out"], "cannot write out: the name ends in one of .png .tif .tiff .jpg .jpeg .bmp .webp"),
        (["-o", "folder"], "output folder is a folder: name a file, since the sources are files"),
        (
            ["-o", "a.png", "--overwrite"],
            "output a.png is also a source or another output: choose another name",
        ),
        (
            ["-o", "folder/../b.png", "--overwrite"],
            "output folder/../b.png is also a source or another output: choose another name",
        ),
        (
            ["-o", "out.png", "--save-static", "out.png"],
            "output out.png is also a source or another output: choose another name",
        ),
        (
            ["-o", "out.png", "--save-weights", "old.png"],
            "output old.png exists already: choose another name or pass --overwrite (overwrite=True)",
        ),
        (
            ["-o", "out.png", "--recipe", "best"],
            "recipes of ifcnn are default, vif, medical, exposure, focus, fitted, paper; got 'best'",
        ),
        (
            ["-o", "out.png", "--weighting", "static", "--save-weights", "w.png", "--rule", "max"],
            "a maximum has no weights to save: leave --save-weights out, or use --weighting loss",
        ),
    ],
)
def test_outputs_and_options(ttd_jax, place, checkpoint, tmp_path_factory, ifcnn_variables, options, message):
    if "--rule" in options:  # a checkpoint whose static rule is a maximum
        options, checkpoint = options[: options.index("--rule")], tmp_path_factory.mktemp("checkpoint") / "max"
        save_checkpoint(checkpoint, ifcnn_variables, {"backbone": "ifcnn", "preset": "max", "config": {"rule": "max"}})
    assert refused(ttd_jax, 2, *PAIR, *options, "--checkpoint", checkpoint) == message.format(place=place)


def test_a_folder_that_is_not_writable(ttd_jax, place, checkpoint, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    message = refused(ttd_jax, 2, *PAIR, "-o", "out.png", "--checkpoint", checkpoint)
    assert message == f"output folder {place} is not writable: choose another one"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [*PAIR],
        [*PAIR, "-o", "out.png", "--weighting", "best"],
        [*PAIR, "-o", "out.png", "--color", "hsv"],
        [*PAIR, "-o", "out.png", "--device", "abacus"],
        [*PAIR, "-o", "out.png", "--nonsense"],
    ],
)
def test_usage(ttd_jax, place, arguments):
    before = contents()
    done = ttd_jax("fuse", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: ttd-jax") and "Traceback" not in done.err
    assert contents() == before


def test_backbones(ttd_jax, place, checkpoint):
    message = refused(ttd_jax, 2, *PAIR, "-o", "out.png", "--backbone", "resnet", "--checkpoint", checkpoint)
    assert message.startswith("backbones are ") and message.endswith("; got 'resnet'")
    message = refused(ttd_jax, 2, *PAIR, "-o", "out.png", "--backbone", "ifcnn")
    assert message == (
        f"backbone ifcnn needs a checkpoint: get one ({SPEC.origin}), convert it with python convert/from_torch.py "
        "ifcnn FILE.pth --output FOLDER, and pass --checkpoint FOLDER (checkpoint=FOLDER)"
    )


def test_a_backbone_with_roles_given_none(ttd_jax, place, checkpoint, monkeypatch):
    from tests import analytic

    backbone = analytic.backbone("mean", roles=("visible", "infrared"), max_sources=2)
    monkeypatch.setattr("ttd_jax.backbones.load_backbone", lambda *_: backbone)
    assert refused(ttd_jax, 2, *PAIR, "-o", "out.png") == (
        "analytic takes the roles visible and infrared; got a.png, b.png: name them "
        "(visible=PATH infrared=PATH, or a mapping in Python)"
    )


@pytest.fixture
def spoilt(place, checkpoint):
    """A copy of the checkpoint whose manifest can be changed."""

    def spoil(**changes):
        shutil.copytree(checkpoint, "checkpoint")
        manifest = json.loads(Path("checkpoint/manifest.json").read_text())
        Path("checkpoint/manifest.json").write_text(json.dumps(manifest | changes))
        return "checkpoint"

    return spoil


def test_a_checkpoint_of_another_backbone(ttd_jax, spoilt):
    message = refused(ttd_jax, 3, *PAIR, "-o", "o.png", "--backbone", "ifcnn", "--checkpoint", spoilt(backbone="other"))
    assert message == (
        "checkpoint checkpoint is of backbone 'other', expected 'ifcnn': name --backbone other, or convert a file of "
        "ifcnn"
    )


def test_a_checkpoint_that_was_changed(ttd_jax, spoilt):
    message = refused(ttd_jax, 3, *PAIR, "-o", "o.png", "--checkpoint", spoilt(sha256="0"))
    assert message == "the arrays of checkpoint checkpoint differ from its manifest: convert it again"


def test_a_checkpoint_with_missing_extra_and_mis_shaped_entries(ttd_jax, place, ifcnn_variables):
    params = {name: dict(entry) for name, entry in ifcnn_variables["params"].items() if name != "conv1"}
    params["conv4"]["bias"] = np.zeros(4, np.float32)
    params["conv5"] = {"kernel": np.zeros((1, 2), np.float32)}
    save_checkpoint("checkpoint", ifcnn_variables | {"params": params}, {"backbone": "ifcnn", "config": {}})
    message = refused(ttd_jax, 3, *PAIR, "-o", "o.png", "--checkpoint", "checkpoint")
    assert message == (
        "checkpoint checkpoint does not fit its backbone: missing params/conv1/kernel (7, 7, 3, 64); unexpected "
        "params/conv5/kernel (1, 2); params/conv4/bias is float32(4,), expected float32(3,)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no checkpoint at missing: expected a folder with manifest.json"),
        ("folder", "no checkpoint at folder: expected a folder with manifest.json"),
        (
            "text.png",
            "a checkpoint is a folder with manifest.json; got the file text.png: convert PyTorch files first, with "
            "python convert/from_torch.py BACKBONE FILE.pth --output FOLDER",
        ),
    ],
)
def test_what_is_no_checkpoint(ttd_jax, place, name, message):
    assert refused(ttd_jax, 3, *PAIR, "-o", "o.png", "--checkpoint", name) == message


def test_an_installation_without_checkpoints(ttd_jax, place, monkeypatch):
    monkeypatch.setattr("ttd_jax.backbones.BUNDLED", place / "none")
    message = refused(ttd_jax, 3, *PAIR, "-o", "o.png")
    assert message == "this installation has no checkpoint of its own: name one (checkpoint=FOLDER)"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device", "out.png"), 1, "out.png: No space left on device"),
        (OSError("odd"), 1, "odd"),
        (MemoryError(), 1, "out of memory: use smaller images, or fewer at a time"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
            1,
            "out of memory: use smaller images, or fewer at a time",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_else_may_happen(ttd_jax, place, checkpoint, monkeypatch, error, code, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("ttd_jax.Fuser.__call__", fail)
    assert refused(ttd_jax, code, *PAIR, "-o", "out.png", "--checkpoint", checkpoint) == message


def test_a_defect_of_ours_is_not_hidden(ttd_jax, place, checkpoint, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr("ttd_jax.Fuser.__call__", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        ttd_jax("fuse", *PAIR, "-o", "out.png", "--checkpoint", checkpoint)


def test_a_full_disk(ttd_jax, place, checkpoint):
    import jax

    from tests.io.test_atomic import NOISE, full_disk

    write_image("noise.png", NOISE)
    cached = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", float("inf"))  # of a cut entry others would hear
    with full_disk(5000):
        message = refused(ttd_jax, 1, "noise.png", "noise.png", "-o", "out.png", "--checkpoint", checkpoint)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", cached)
    assert "File too large" in message
