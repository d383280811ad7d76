"""What the Dockerfile copies, installs and starts is what the package has; an image is not built here."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()


def steps(word: str) -> list[str]:
    """What stands after an instruction, in order."""
    return [line.split(None, 1)[1] for line in LINES if line.startswith(f"{word} ")]


def copied() -> set[str]:
    """Files and folders of the checkout that reach the stage in which the wheel is built."""
    return {source for step in steps("COPY") if "--from" not in step for source in step.split()[:-1]}


def missing(project: dict, files: set[str]) -> set[str]:
    """What building the wheel needs and these files are not, nor lie in."""
    settings = project["tool"]["setuptools"]
    folders = settings["package-dir"]
    wanted = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    wanted |= {
        folders.get(name, folders.get(name.partition(".")[0], name.partition(".")[0])) for name in settings["packages"]
    }
    return wanted - files


def test_the_wheel_has_all_that_it_is_built_from():
    assert missing(PROJECT, copied()) == set()
    assert missing(PROJECT, copied() - {"convert"}) == {"convert"}
    for name in copied() - {"ttd_jax", "convert"}:  # of which the wheel may be installed instead
        assert (ROOT / name).exists()
        kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert name.rstrip("/") in kept or any(one.startswith(name) for one in kept)


def test_extras_and_variants_are_declared():
    extras = set(PROJECT["project"]["optional-dependencies"])
    (chosen,) = (value.partition("=")[2] for value in steps("ARG") if value.startswith("EXTRAS="))
    assert set(chosen.split(",")) <= extras
    (cases,) = re.findall(r"(cuda\S+)\) extras=", "\n".join(LINES))
    assert set(cases.split("|")) <= extras


def test_the_base_is_of_a_python_that_the_package_takes():
    (base,) = (value for value in steps("ARG") if value.startswith("BASE="))
    version = tuple(map(int, re.findall(r"\d+", base)[:2]))
    assert version >= tuple(map(int, re.findall(r"\d+", PROJECT["project"]["requires-python"])))


def test_it_runs_as_nobody_special_and_tells_how_it_is():
    last = LINES[max(i for i, line in enumerate(LINES) if line.startswith("FROM ")) :]
    (user,) = (line.split()[1] for line in last if line.startswith("USER "))
    assert int(user.partition(":")[0]) > 0
    command = next(json.loads(line.removeprefix("CMD ")) for line in last if line.startswith("CMD "))
    port = command[command.index("--port") + 1]
    assert f"EXPOSE {port}" in last
    assert f"http://127.0.0.1:{port}/health" in next(line for line in last if line.startswith("HEALTHCHECK "))


def test_what_it_starts_is_a_command(capsys):
    from ttd_jax.cli import main

    (program,) = (json.loads(value) for value in steps("ENTRYPOINT"))
    command = next(json.loads(value) for value in steps("CMD"))
    assert program == ["ttd-jax"]
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0 and "--port" in capsys.readouterr().out


def test_versions_that_are_held_are_ones_that_the_package_takes():
    lines = [line for line in (ROOT / "container" / "constraints.txt").read_text().splitlines() if line[:1] not in "#"]
    held = dict(line.split("==") for line in lines)
    bounds = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["serve"]
    for requirement in bounds:
        name, least = requirement.split(">=")
        found = held[name.replace("_", "-").lower()]
        assert [int(n) for n in re.findall(r"\d+", found)] >= [int(n) for n in re.findall(r"\d+", least)], requirement
