"""``python -m ttd_jax`` is ``ttd-jax``."""

import atexit
import gc
import os
import sys

_OBJECTS = 50_000  # made before cycles are looked for: imports make so many, and hardly a cycle


def main() -> int:
    """Runs the command line; an interruption while it is being imported is no traceback either."""
    try:
        from ttd_jax import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


def command() -> None:
    """Runs the command line as a process, and ends it.

    What is registered for the end is done, threads are waited for, and files are written. Modules are not taken down
    one by one, which with jax among them takes a fifth of a second.
    """
    gc.set_threshold(_OBJECTS, 20, 20)
    code = main()
    if "jax" not in sys.modules:
        sys.exit(code)
    import threading

    threading._shutdown()  # type: ignore[attr-defined]  # pools end, threads are waited for: what an interpreter does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it any more, or it is closed
        pass
    os._exit(code)


if __name__ == "__main__":
    command()
