"""Devices: those that are named and not there, and what ``info`` says of those that are."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import run
from ttd_jax.cli.machine import cache, in_words, machine


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
    assert [line.split()[0] for line in lines[2:5]] == ["processor", "memory", "programs"]
    assert lines[4] == "programs   none: every run compiles its program, which takes some seconds"
    at = lines.index("backbone   ifcnn: IFCNN (Zhang et al., Information Fusion 2020)")
    assert lines[at + 1].startswith("           presets max, mean, sum; recipes default, ")


def test_info_about_a_backbone(ttd_jax):
    done = ttd_jax("info", "ifcnn")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "backbone   ifcnn: IFCNN (Zhang et al., Information Fusion 2020)" and "mgdn" not in done.out
    assert lines[1].startswith("           83,587 parameters, 3 channel(s), looks 5 pixels far; presets max, mean, sum")
    assert ttd_jax("info", "ifcn").err.startswith("ttd-jax: error: backbones are bandnet, ")


def test_what_a_machine_lacks_is_said():
    small = {"name": "Small", "cores": 1, "extensions": ["SSE"], "memory": 2_000_000_000}
    processor, memory, programs = in_words(small, {"folder": "here", "files": 1, "bytes": 3_000_000})
    assert processor == (
        "processor  Small, 1 core for this process, SSE; one core takes up to twice as long as two; no wide vector "
        "instructions: networks are slower; no AMX: --precision bfloat16 gains nothing"
    )
    assert memory == "memory     2.0 GB: a colour pair of 12 megapixels takes 1.4, by the pyramid .9"
    assert programs == "programs   here: 1 file, 3 MB"
    large = {"name": "Large", "cores": 64, "extensions": ["AVX2", "AMX"], "memory": 64_000_000_000}
    assert in_words(large, None)[:2] == [
        "processor  Large, 64 cores for this process, AVX2, AMX",
        "memory     64.0 GB",
    ]
    assert in_words({"name": "Other", "cores": 2, "extensions": None, "memory": None}, None)[:2] == [
        "processor  Other, 2 cores for this process",
        "memory     unknown",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="nproc and /proc are Linux's")
def test_the_machine_is_the_one_that_linux_tells_of():
    facts = machine()
    assert facts["cores"] == int(subprocess.run("nproc", capture_output=True, check=True).stdout)
    total = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert total and 0 < facts["memory"] <= 1024 * int(total[1])


def test_programs_are_counted(tmp_path):
    (tmp_path / "program").write_bytes(bytes(7))
    assert cache(tmp_path) == {"folder": str(tmp_path), "files": 1, "bytes": 7} and cache(None) is None


def test_info_as_json(ttd_jax):
    facts = json.loads(ttd_jax("info", "ifcnn", "--json").out)
    assert set(facts) == {"versions", "devices", "processor", "compile_cache", "backbones", "checkpoints"}
    ifcnn = next(row for row in facts["backbones"] if row["name"] == "ifcnn")
    assert (ifcnn["parameters"], ifcnn["channels"], ifcnn["presets"]) == (83_587, 3, ["max", "mean", "sum"])
