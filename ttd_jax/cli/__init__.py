"""The ``ttd-jax`` command: one module per subcommand, each with ``add_parser`` and ``run``.

Nothing here imports jax before a subcommand runs, so that ``--help`` answers at once.

Exit codes: 0 all done; 2 usage, sources or output; 3 checkpoint; 1 anything else, such as some sets of a folder
having failed; 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ttd_jax import __version__
from ttd_jax.cli import evaluate, explain, export, fuse, info, metrics, train
from ttd_jax.errors import CheckpointError, InputError

COMMANDS = (fuse, explain, evaluate, metrics, export, train, info)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(prog="ttd-jax", description="Test-time dynamic image fusion.")
    parser.add_argument("--version", action="version", version=f"ttd-jax {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code; a user's mistake is one line on stderr."""
    options = build_parser().parse_args(arguments)
    with suppress(AttributeError):  # not every stream can
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that are not UTF-8
    try:
        code = options.run(options)
        sys.stdout.flush()  # here, where a closed pipe can be told from a failure
        return code
    except InputError as error:
        return _fail(error, 2)
    except CheckpointError as error:
        return _fail(error, 3)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # jax's word for no memory
            raise
        return _fail("out of memory: use smaller images, or fewer at a time", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(error: object, code: int) -> int:
    print(f"ttd-jax: error: {error}", file=sys.stderr)
    return code
