"""What the command says of itself: help with examples, tab completion, the line of a result, colours."""

import io
import re
import subprocess
import sys

import pytest

from convert.from_torch import main as convert
from ttd_jax.cli import COMMANDS, build_parser
from ttd_jax.cli.words import marked, result_line

NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]
REPORT = {
    "output": "f.png",
    "sources": ["near", "far"],
    "shape": [320, 480, 3],
    "dtype": "uint8",
    "color": "luma",
    "backbone": "bandnet",
    "preset": "general",
    "weighting": {"loss": "mse"},
    "seconds": {"fuse": 1.649},
}


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_two_examples_that_parse(name, ttd_jax):
    shown = ttd_jax(name, "--help").out
    examples = re.findall(rf"^  ttd-jax ({name}.*)$", shown.partition("examples:")[2], re.MULTILINE)
    assert len(examples) >= 2
    for line in examples:
        options = build_parser().parse_args(line.split())
        assert options.command == name


def test_the_converter_lists_presets(capsys):
    with pytest.raises(SystemExit):
        convert(["--help"])
    shown = capsys.readouterr().out
    assert re.search(r"^  ifcnn +max, mean, sum$", shown, re.MULTILINE)
    assert shown.count("  ttd-jax-convert ") == 2
    with pytest.raises(SystemExit):
        convert(["--version"])
    assert capsys.readouterr().out.startswith("ttd-jax-convert ")


def test_bash_completes_commands_options_and_choices(ttd_jax, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(ttd_jax("--completion", "bash").out)
    (tmp_path / "near.png").touch()
    ask = f"""
        source {script}
        complete -p ttd-jax | sed 's/.*-F \\([^ ]*\\).*/\\1/' > function
        press() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $(cat function) ttd-jax
            echo "${{COMPREPLY[*]}}"
        }}
        press ttd-jax ex; press ttd-jax fuse --save-; press ttd-jax fuse --weighting ""; press ttd-jax fuse ne
    """
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    commands, options, choices, files = done.stdout.splitlines()
    assert commands.split() == ["explain", "export"]
    assert options.split() == ["--save-weights", "--save-static"]
    assert choices.split() == ["loss", "gradient", "static"]
    assert files.split() == ["near.png"]


def test_completion_says_what_to_install(ttd_jax, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    done = ttd_jax("--completion", "zsh")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "pip install 'ttd-jax[completion]'" in done.err
    assert convert(["--completion", "zsh"]) == 2


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "f.png: 2 images, 480 × 320, 8 bit, colour kept, 1.6 s"),
        ({"color": "gray", "shape": [2, 3], "dtype": "uint16"}, "f.png: 2 images, 3 × 2, 16 bit, grey, 1.6 s"),
        ({"color": "rgb", "dtype": "float32"}, "f.png: 2 images, 480 × 320, floats, colour, 1.6 s"),
        (
            {"backbone": "ifcnn", "preset": "max", "weighting": "static"},
            "f.png: 2 images, 480 × 320, 8 bit, colour kept, ifcnn max, static, 1.6 s",
        ),
        (
            {"weighting": {"channel": "auto", "chosen_channel": 3}},
            "f.png: 2 images, 480 × 320, 8 bit, colour kept, gradient (channel auto 3), 1.6 s",
        ),
    ],
)
def test_the_line_of_a_result(changed, line):
    assert result_line(REPORT | changed, stream=Terminal()) == line


def test_a_terminal_without_the_sign_gets_a_letter():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert "480 x 320" in result_line(REPORT, stream=stream)


def test_colours_only_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert marked("error:", Terminal()) == "\033[1;31merror:\033[0m"
    assert marked("error:", io.StringIO()) == "error:"
    monkeypatch.setenv("NO_COLOR", "1")
    assert marked("error:", Terminal()) == "error:"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert marked("error:", Terminal()) == "error:"
