"""Devices: those that are named and not there, and what ``info`` says of those that are."""

import json

import pytest

from tests.cli.processes import run


@pytest.mark.parametrize("platform", ["cuda", "abacus"])
def test_a_platform_that_is_not_there(environment, pair, tmp_path, platform):
    done = run(["fuse", *pair, "-o", tmp_path / "out.png"], environment | {"JAX_PLATFORMS": platform})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ttd-jax: error: jax finds no device with JAX_PLATFORMS={platform}, only cpu:0: set another, or unset it\n"
    )


@pytest.mark.parametrize(("device", "extra"), [("gpu", "cuda12"), ("tpu", "tpu")])
def test_a_device_that_is_not_there(environment, pair, checkpoint, tmp_path, device, extra):
    arguments = ["fuse", *pair, "-o", tmp_path / "out.png", "--checkpoint", checkpoint, "--device", device]
    done = run(arguments, environment | {"CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ttd-jax: error: no {device} device found, only cpu:0: install the extra for it "
        f"(pip install 'ttd-jax[{extra}]') or leave --device out\n"
    )
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "no gpu device found: install the extra for it (pip install 'ttd-jax[cuda12]') or leave --device out"),
        ("cpu", "no cpu device found: leave --device out"),
        ("auto", "jax finds no device with JAX_PLATFORMS=abacus: set another, or unset it"),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend"), AssertionError()])
def test_devices_that_jax_does_not_find(ttd_jax, monkeypatch, device, message, error):
    def fail():
        raise error

    monkeypatch.setattr("jax.default_backend", fail)
    monkeypatch.setattr("jax.devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    assert ttd_jax("info", "--device", device) == (2, "", f"ttd-jax: error: {message}\n")


def test_info(ttd_jax):
    done = ttd_jax("info")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("versions   ttd-jax ") and "jax" in lines[0]
    assert lines[1].startswith("devices    cpu:0")
    assert "backbone   ifcnn: IFCNN (Zhang et al., Information Fusion 2020)" in lines
    assert any("83,587 parameters, 3 channel(s), looks 5 pixels far; presets max, mean, sum" in line for line in lines)


def test_info_as_json(ttd_jax):
    facts = json.loads(ttd_jax("info", "--json").out)
    assert set(facts) == {"versions", "devices", "backbones", "checkpoints"}
    ifcnn = next(row for row in facts["backbones"] if row["name"] == "ifcnn")
    assert (ifcnn["parameters"], ifcnn["channels"], ifcnn["presets"]) == (83_587, 3, ["max", "mean", "sum"])
