"""``ttd-jax fuse`` on files: what is written, printed and returned."""

import json
import threading

import numpy as np
import pytest

from ttd_jax import GradientWeighting, fuse, load_backbone
from ttd_jax.io.images import read_image, write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path):
    """Two grey and one colour picture of 16 bits."""
    for name, shape in {"a": (6, 8), "b": (6, 8), "c": (6, 8, 3)}.items():
        write_image(tmp_path / f"{name}.png", RNG.integers(0, 65536, shape, dtype=np.uint16))
    return [tmp_path / f"{name}.png" for name in "abc"]


def test_a_pair(ttd_jax, checkpoint, pictures, tmp_path):
    a, b, _ = pictures
    output = tmp_path / "out.png"
    done = ttd_jax("fuse", a, b, "-o", output, "--checkpoint", checkpoint)
    assert done.code == 0
    start, seconds = done.out.rsplit(", ", 1)
    assert start == f"{output}: 2 images, 8 × 6, 16 bit, grey, ifcnn mean"
    assert seconds.endswith(" s\n") and float(seconds[:-3]) >= 0
    assert done.err == ""
    np.testing.assert_array_equal(read_image(output).pixels, fuse([a, b], checkpoint=checkpoint).image)


def test_large_files_are_read_while_jax_starts(ttd_jax, checkpoint, pictures, tmp_path, monkeypatch):
    from ttd_jax.cli import runtime

    where = []
    start = runtime.start_jax
    monkeypatch.setattr(
        runtime, "start_jax", lambda options: where.append(threading.current_thread()) or start(options)
    )
    monkeypatch.setattr("ttd_jax.cli.fuse._LONG", 0)
    a, b, _ = pictures
    output = tmp_path / "out.png"
    assert ttd_jax("fuse", a, b, "-o", output, "--checkpoint", checkpoint).code == 0
    assert len(where) == 1 and where[0] is not threading.main_thread()
    np.testing.assert_array_equal(read_image(output).pixels, fuse([a, b], checkpoint=checkpoint).image)
    done = ttd_jax("fuse", a, b, "-o", tmp_path / "gpu.png", "--device", "gpu")
    assert (done.code, done.out) == (2, "") and done.err.startswith("ttd-jax: error: no gpu device found")
    b.write_bytes(b.read_bytes()[:60])
    done = ttd_jax("fuse", a, b, "-o", tmp_path / "bad.png")
    assert (done.code, done.out) == (2, "") and f"{b}" in done.err
    assert not (tmp_path / "bad.png").exists()


def test_roles_and_more_sources(ttd_jax, checkpoint, pictures, tmp_path):
    a, b, c = pictures
    output = tmp_path / "out.tif"
    done = ttd_jax("fuse", f"infrared={a}", f"visible={c}", f"other={b}", "-o", output, "--checkpoint", checkpoint)
    assert done.code == 0
    assert "3 images, 8 × 6, 16 bit, colour kept" in done.out
    expected = fuse({"infrared": a, "visible": c, "other": b}, checkpoint=checkpoint)
    np.testing.assert_array_equal(read_image(output).pixels, expected.image)


def test_an_equals_sign_in_a_file_name(ttd_jax, checkpoint, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures[0].rename(tmp_path / "visible=day.png")
    done = ttd_jax("fuse", "visible=day.png", "b.png", "-o", "out.png", "--checkpoint", checkpoint)
    assert done.code == 0
    assert done.out.startswith("out.png: 2 images")


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--weighting", "static"], {"weighting": "static"}),
        (["--recipe", "paper"], {"recipe": "paper"}),
        (["--color", "gray"], {"color": "gray"}),
        (["--color", "rgb"], {"color": "rgb"}),
        (["--backbone", "ifcnn"], {}),
    ],
)
def test_options(ttd_jax, checkpoint, pictures, tmp_path, options, arguments):
    a, _, c = pictures
    done = ttd_jax("fuse", a, c, "-o", tmp_path / "out.png", "--checkpoint", checkpoint, *options)
    assert done.code == 0
    expected = fuse([a, c], checkpoint=checkpoint, **arguments)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png").pixels, expected.image)


def test_weights_and_static_are_saved_too(ttd_jax, checkpoint, pictures, tmp_path):
    outputs = [tmp_path / name for name in ("out.png", "weights.png", "static.png")]
    options = ["-o", outputs[0], "--save-weights", outputs[1], "--save-static", outputs[2]]
    assert ttd_jax("fuse", *pictures, *options, "--checkpoint", checkpoint).code == 0
    result = fuse(pictures, checkpoint=checkpoint)
    maps = read_image(outputs[1]).pixels
    assert maps.dtype == np.uint16 and maps.shape == (6, 3 * 8)
    for m in range(3):
        np.testing.assert_allclose(maps[:, 8 * m : 8 * (m + 1)] / 65535, result.weights[m], atol=0.51 / 65535)
    static = fuse(pictures, checkpoint=checkpoint, weighting="static")
    np.testing.assert_array_equal(read_image(outputs[2]).pixels, static.image)


def test_json(ttd_jax, checkpoint, pictures, tmp_path):
    done = ttd_jax("fuse", *pictures[:2], "-o", tmp_path / "out.png", "--json", "--checkpoint", checkpoint)
    report = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert report["output"] == str(tmp_path / "out.png")
    assert report["sources"] == ["a.png", "b.png"]
    assert report["checkpoint"] == load_backbone(checkpoint=checkpoint).manifest["sha256"]


def test_notes_go_to_stderr(ttd_jax, checkpoint, pictures, tmp_path):
    dark = tmp_path / "dark.png"
    write_image(dark, np.full((6, 8), 9, np.uint8))
    done = ttd_jax("fuse", pictures[0], dark, "-o", tmp_path / "out.png", "--checkpoint", checkpoint)
    assert done.code == 0
    assert done.err == ("ttd-jax: note: dark.png uses 0.0% of the pixel range: stretch it first if that is not meant\n")


def test_overwriting_must_be_asked_for(ttd_jax, checkpoint, pictures, tmp_path):
    output = tmp_path / "out.png"
    write_image(output, np.zeros((2, 2), np.uint8))
    arguments = ["fuse", *pictures[:2], "-o", output, "--checkpoint", checkpoint]
    assert ttd_jax(*arguments).code == 2
    assert read_image(output).pixels.shape == (2, 2)
    assert ttd_jax(*arguments, "--overwrite").code == 0
    assert read_image(output).pixels.shape == (6, 8)


def test_names_that_are_no_text(ttd_jax, checkpoint, pictures, tmp_path):
    odd = tmp_path / "caf\udce9.png"  # Latin-1 bytes in a name
    done = ttd_jax("fuse", *pictures[:2], "-o", odd, "--checkpoint", checkpoint)
    assert done.code == 0
    assert "caf\\udce9.png: 2 images" in done.out
    assert odd.exists()


@pytest.mark.parametrize(
    ("arguments", "channel", "said"),
    [
        ([], "mean", "mean)"),
        (["--channel", "auto"], "auto", "auto "),
        (["--channel", "58"], 58, "58)"),
        (["--channel", "13,44"], [13, 44], "[13, 44])"),
    ],
)
def test_gradient_weights(ttd_jax, checkpoint, pictures, tmp_path, arguments, channel, said):
    a, b, _ = pictures
    output = tmp_path / "out.png"
    options = ["--checkpoint", checkpoint, "--weighting", "gradient", *arguments]
    done = ttd_jax("fuse", a, b, "-o", output, *options)
    assert done.code == 0 and f"ifcnn mean, gradient (channel {said}" in done.out
    expected = fuse([a, b], checkpoint=checkpoint, weighting=GradientWeighting(channel=channel))
    np.testing.assert_array_equal(read_image(output).pixels, expected.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channel", "3"], "--channel is for gradients: add --weighting gradient"),
        (["--weighting", "gradient", "--channel", "64"], "this backbone has 64 feature channels, 0 to 63"),
        (["--weighting", "gradient", "--channel", "best"], "an index, indices such as 13,44,58, mean or auto"),
    ],
)
def test_bad_channels(ttd_jax, checkpoint, pictures, tmp_path, arguments, message):
    done = ttd_jax("fuse", *pictures[:2], "-o", tmp_path / "out.png", "--checkpoint", checkpoint, *arguments)
    assert done.code == 2 and message in done.err
