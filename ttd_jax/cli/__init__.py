"""The ``ttd-jax`` command: one module per subcommand, each with ``add_parser`` and ``run``.

Nothing here imports jax before a subcommand runs, so that ``--help`` answers at once.

Exit codes: 0 all done; 2 usage, sources or output; 3 checkpoint; 1 anything else, such as some sets of a folder
having failed; 130 interrupted.
"""

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from ttd_jax import __version__
from ttd_jax.cli import demo, evaluate, explain, export, fuse, info, metrics, serve, train
from ttd_jax.cli.completion import add_completion
from ttd_jax.cli.words import marked
from ttd_jax.errors import CheckpointError, InputError

_LONGEST = 2000  # characters of a message
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
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names that are not UTF-8
        _replace_closed()
        options = build_parser().parse_args(_advised(arguments))
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
        return _fail(f"{name}{error.strerror or error}", 2 if error.errno == errno.ENAMETOOLONG else 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # jax's word for no memory
            raise
        return _fail("out of memory: use smaller images, or fewer at a time", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _replace_closed() -> None:
    """Gives nowhere to write to where standard output or error was closed (``>&-``): the work is done all the same.

    A file that is opened later would get the closed one's number, and what a library prints would end up in it.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", errors="backslashreplace", closefd=False))


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


def _fail(error: object, code: int) -> int:
    text = str(error)
    if len(text) > _LONGEST:  # what is wrong and what to do stand at the end, after a name
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    print(f"ttd-jax: {marked('error:', sys.stderr)} {text}", file=sys.stderr)
    return code
