"""The edge of a command: what the shell hands us, what we say when we fail, and the exit code.

Exit codes: 0 all done; 2 usage, sources or output; 3 checkpoint; 1 anything else, such as some sets of a folder
having failed; 130 interrupted.
"""

import errno
import io
import os
import sys
from collections.abc import Callable

from ttd_jax.cli.words import marked
from ttd_jax.errors import CheckpointError, InputError

_LONGEST = 2000  # characters of a message


def run(name: str, command: Callable[[], int]) -> int:
    """Runs a command and returns its exit code; a user's mistake is one line on stderr.

    Args:
        name: What errors begin with.
        command: The command; it may also end by ``SystemExit``, as argparse does.

    Raises:
        SystemExit: As the command does.
    """

    def fail(error: object, code: int) -> int:
        text = str(error)
        if len(text) > _LONGEST:  # what is wrong and what to do stand at the end, after a name
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        print(f"{name}: {marked('error:', sys.stderr)} {text}", file=sys.stderr)
        return code

    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names that are not UTF-8
        _replace_closed()
        try:
            return command()
        finally:
            sys.stdout.flush()  # here, where a closed pipe can be told from a failure
    except InputError as error:
        return fail(error, 2)
    except CheckpointError as error:
        return fail(error, 3)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return fail(f"{where}{error.strerror or error}", 2 if error.errno == errno.ENAMETOOLONG else 1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # jax's word for no memory
            raise
        return fail("out of memory: use smaller images, or fewer at a time", 1)
    except KeyboardInterrupt:
        return fail("interrupted", 130)


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
