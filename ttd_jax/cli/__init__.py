"""The ``ttd-jax`` command: one module per subcommand, each with ``add_parser`` and ``run``.

Nothing here imports jax before a subcommand runs, so that ``--help`` answers at once.
Exit codes are those of :mod:`ttd_jax.cli.edge`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from ttd_jax import __version__
from ttd_jax.cli import demo, edge, evaluate, explain, export, fuse, info, metrics, serve, train
from ttd_jax.cli.completion import add_completion
from ttd_jax.errors import InputError

COMMANDS = (fuse, explain, evaluate, metrics, demo, serve, export, train, info)

_EPILOG = """examples:
  ttd-jax fuse near.png far.png -o fused.png
  ttd-jax fuse --help
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="ttd-jax",
        description="Test-time dynamic image fusion.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ttd-jax {__version__}")
    add_completion(parser)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code; a user's mistake is one line on stderr."""

    def command() -> int:
        options = build_parser().parse_args(_advised(arguments))
        return options.run(options)

    return edge.run("ttd-jax", command)


def _advised(arguments: Sequence[str] | None) -> Sequence[str]:
    """The arguments.

    Raises:
        InputError: They begin with an image instead of a subcommand.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    first = arguments[0] if arguments else ""
    known = {command.__name__.rpartition(".")[2] for command in COMMANDS}
    if first and not first.startswith("-") and first not in known and (os.sep in first or "." in first or "=" in first):
        raise InputError(
            f"expected a command ({', '.join(sorted(known))}) before the images; got {first}: ttd-jax fuse {first} ..."
        )
    return arguments
