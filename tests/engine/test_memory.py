"""Images that do not fit in memory are refused with numbers, before they are computed."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser
from ttd_jax.engine.memory import available_on, check_memory, needed_memory
from ttd_jax.errors import InputError
from ttd_jax.io.limits import available_on_host

STACK = np.random.default_rng(0).random((3, 2, 40, 50)).astype(np.float32)
MESSAGE = r"fusing 2 sources of 50 x 40 with analytic needs about \d+\.\d GB of memory, and 0\.0 GB are free: use "


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr("ttd_jax.engine.memory.available_on_host", lambda: 10_000)


def test_a_single_image(no_memory):
    with pytest.raises(InputError, match=MESSAGE):
        Fuser(analytic.backbone())(list(STACK[0]))


def test_a_batch(no_memory):
    with pytest.raises(InputError, match=r"^a batch of 3 x 2 sources of 50 x 40 with analytic needs about "):
        Fuser(analytic.backbone()).batch(STACK)


def test_a_stream_goes_on_where_it_fits(monkeypatch):
    fuser = Fuser(analytic.backbone()).compile((2, 40, 50))
    needed = needed_memory(fuser._programs.compile((2, 40, 50, 1), "gray"))
    monkeypatch.setattr("ttd_jax.engine.memory.available_on_host", lambda: needed - 1)
    small = [image[:20] for image in STACK[0]]
    results = list(fuser.stream([list(STACK[0]), small], errors="yield"))
    assert re.match(MESSAGE.replace("0\\.0", r"\d+\.\d"), str(results[0]))
    assert results[1].image.shape == (20, 50)


def test_the_command_says_so_in_one_line(ttd_jax_command):
    code, errors = ttd_jax_command
    assert code == 2
    assert re.fullmatch(r"ttd-jax: error: fusing 2 sources of .* GB are free: use [^\n]*\n", errors)


@pytest.fixture
def ttd_jax_command(no_memory, tmp_path, capsys):
    from ttd_jax.cli import main
    from ttd_jax.io.images import write_image

    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name, image in zip(names, STACK[0], strict=True):
        write_image(name, (image * 255).astype(np.uint8))
    code = main(["fuse", *names, "-o", str(tmp_path / "o.png"), "--no-compile-cache"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("platform", "place"), [("cpu", "memory"), ("gpu", "memory on H")])
def test_what_several_devices_need_comes_out_of_one_memory_on_a_host_alone(monkeypatch, platform, place):
    monkeypatch.setattr("ttd_jax.engine.memory.needed_memory", lambda program: 600_000_000)
    monkeypatch.setattr("ttd_jax.engine.memory.available_on", lambda device: 1_000_000_000)
    device = SimpleNamespace(platform=platform, device_kind="H")
    check_memory(None, [device], "a batch")
    if platform == "gpu":
        check_memory(None, [device, device], "a batch")  # each has its own
        monkeypatch.setattr("ttd_jax.engine.memory.needed_memory", lambda program: 1_200_000_000)
    with pytest.raises(InputError, match=rf"^a batch needs about 1\.2 GB of {place}, and 1\.0 GB are free"):
        check_memory(None, [device, device], "a batch")


def test_what_is_needed_grows_with_the_image():
    programs = Fuser(analytic.backbone())._programs
    small, large = (needed_memory(programs.compile((2, n, n, 1), "gray")) for n in (100, 400))
    assert 100 * 100 * 4 * 5 < small < large / 8  # sources, image, weights, at least


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_available_memory_without_a_container(tmp_path):
    write(tmp_path, proc__meminfo="MemTotal:       100 kB\nMemAvailable:    60 kB\nHugePages_Total:       0\n")
    assert available_on_host(root=tmp_path) == 60 * 1024


def test_a_container_that_leaves_less(tmp_path):
    write(tmp_path, proc__meminfo="MemAvailable:    60 kB\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("50000\n")
    (group / "memory.current").write_text("40000\n")
    (group / "memory.stat").write_text("anon 30000\ninactive_file 7000\n")
    assert available_on_host(root=tmp_path) == 50_000 - 40_000 + 7_000
    (group / "memory.max").write_text("max\n")
    assert available_on_host(root=tmp_path) == 60 * 1024


def test_a_container_of_the_older_kind(tmp_path):
    write(tmp_path, proc__meminfo="MemAvailable:    60 kB\n")
    group = tmp_path / "sys/fs/cgroup/memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("50000\n")
    (group / "memory.usage_in_bytes").write_text("52000\n")
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 0\n")
    assert available_on_host(root=tmp_path) == 0
    (group / "memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")
    assert available_on_host(root=tmp_path) == 60 * 1024


def test_systems_and_devices_that_do_not_say(tmp_path):
    assert available_on_host(root=tmp_path) is None
    assert available_on(SimpleNamespace(platform="gpu", memory_stats=lambda: None)) is None
    stats = {"bytes_limit": 100, "bytes_in_use": 30}
    assert available_on(SimpleNamespace(platform="gpu", memory_stats=lambda: stats)) == 70


def test_this_system_says():
    found = available_on_host()
    there_is = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (found is not None) == Path("/proc/meminfo").exists()
    assert found is None or 10e6 < found < there_is
