"""Tab completion: ``--completion SHELL`` prints a script, made by the package shtab from the parser."""

import argparse
from collections.abc import Iterator
from typing import Any

from ttd_jax.errors import InputError

SHELLS = ("bash", "zsh", "tcsh")
_FILES = {"SOURCE", "OUT", "FILE", "FIGURE", "file"}
_FOLDERS = {"DIR"}


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Adds the option to the parser of a whole command."""
    parser.add_argument(
        "--completion",
        action=_Print,
        choices=SHELLS,
        help="print a script for tab completion: " + f'eval "$({parser.prog} --completion bash)"',
    )


class _Print(argparse.Action):
    """Prints the script and exits."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        try:
            import shtab
        except ImportError:
            raise InputError("tab completion needs shtab: pip install 'ttd-jax[completion]'") from None
        for action in _actions(parser):
            if action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
