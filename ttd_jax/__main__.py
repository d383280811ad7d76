"""``python -m ttd_jax`` is ``ttd-jax``."""

import sys


def main() -> int:
    """Runs the command line; an interruption while it is being imported is no traceback either."""
    try:
        from ttd_jax import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
