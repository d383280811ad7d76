"""The code in the guides runs as printed, and guides are short."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"


def run(guide: str) -> dict:
    """The names that a guide's code leaves behind."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / guide).read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names


def test_your_own_weighting():
    names = run("your_own_weighting.md")
    assert names["result"].weights.shape == (2, 40, 50)


def test_bring_your_own_backbone():
    names = run("bring_your_own_backbone.md")
    result, sources = names["result"], np.stack(names["sources"])
    assert result.report["backbone"] == "two-scales"
    np.testing.assert_array_equal(result.weights > 0, True)
    assert result.image.std() < sources.std(axis=(1, 2)).min()  # three kinds of noise are averaged


def code_of(page: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return code


@pytest.fixture
def metrics_as_they_were(monkeypatch):
    from ttd_jax.metrics import METRICS

    before = dict(METRICS)
    yield METRICS
    METRICS.clear()
    METRICS.update(before)


def test_a_metric_of_ones_own(metrics_as_they_were, tmp_path):
    names: dict = {}
    exec(code_of("your_metric.md"), names)
    assert list(metrics_as_they_were)[-1] == "BK"
    assert "BK" in names["evaluate"](names["dark"], [names["dark"], names["bright"]])  # all of the standard convention

    from PIL import Image

    from ttd_jax.comparison import evaluate_folders
    from ttd_jax.comparison.report import render

    for folder in ("dark", "bright", "fused"):
        (tmp_path / folder).mkdir()
        Image.fromarray(names.get(folder, names["bright"])).save(tmp_path / folder / "1.png")
    sources = [tmp_path / "dark", tmp_path / "bright"]
    assert "BK↑" in render(evaluate_folders({"mine": tmp_path / "fused"}, sources, metrics=["BK"]))


def test_a_file_format_of_ones_own():
    from ttd_jax.io import formats

    try:
        exec(code_of("your_file_format.md"), {})
        assert ".npy" in formats.suffixes(writable=True)
    finally:
        formats.unregister("NumPy")


def test_a_metric_that_breaks_its_contract_is_named(metrics_as_they_were):
    from dataclasses import replace

    from ttd_jax.errors import InputError
    from ttd_jax.metrics import METRICS, evaluate, register

    image = np.zeros((4, 4), np.uint8)
    register(replace(METRICS["EN"], name="rows", function=lambda fused, variant: fused.sum(axis=0)))
    with pytest.raises(InputError, match=r"metric 'rows': its function gives one number .* got shape \(4,\)"):
        evaluate(image, [image, image], metrics=["rows"])
    register(replace(METRICS["EN"], name="plain", function=lambda fused, variant: np.asarray(fused).std()))
    assert evaluate(image, [image, image], metrics=["plain"]) == {"plain": 0.0}  # NumPy serves as well
    with pytest.raises(InputError, match=r"there is a metric 'SD' already \(standard deviation\): rename yours"):
        register(replace(METRICS["EN"], name="SD"))
    with pytest.raises(InputError, match=r"metric 'EN': conventions are among standard, .*; got 'mine'"):
        replace(METRICS["EN"], conventions={"mine": "shannon"})
    with pytest.raises(InputError, match=r"EN has the variants shannon, zoo; got 'other'"):
        replace(METRICS["EN"], conventions={"standard": "other"})
    with pytest.raises(InputError, match=r"metric 'EN': direction is 'higher' or 'lower'; got 'up'"):
        replace(METRICS["EN"], direction="up")


@pytest.mark.parametrize("guide", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_guides_are_short(guide):
    """What is measured lives under docs/studies, what is looked up under docs/reference."""
    assert len(guide.read_text().split()) <= 800


COMMANDS = ["README.md", *(f"docs/{task}.md" for task in ("exposure", "focus", "infrared", "medical"))]


@pytest.mark.parametrize("page", COMMANDS)
def test_commands_and_code_about_the_examples_run(page, tmp_path, monkeypatch, capsys):
    """What a newcomer copies: it runs from a clone, and prints the line that the page shows, but for the seconds."""
    from ttd_jax.cli import main

    (tmp_path / "examples").symlink_to(DOCS.parent / "examples")
    monkeypatch.chdir(tmp_path)
    text = (DOCS.parent / page).read_text()
    commands = re.findall(r"^ttd-jax (fuse \S*examples/.*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        assert main([*command.split(), "--no-compile-cache"]) == 0
        printed = capsys.readouterr().out
        assert (tmp_path / command.rpartition(" ")[2]).exists()
        for shown in re.findall(r"^(fused.png: .*), [0-9.]+ s$", text, re.MULTILINE):
            assert printed.rpartition(", ")[0] == shown
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, names)
    assert names["result"].image.dtype == np.uint8
