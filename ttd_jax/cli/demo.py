"""``ttd-jax demo``: a page that fuses what is dropped on it."""

import argparse
from typing import Any

from ttd_jax.cli.serve import add_serving_arguments, start

_EPILOG = """examples:
  ttd-jax demo
  ttd-jax demo --host 0.0.0.0 --port 80 --megabytes 32
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="show a page that fuses what is dropped on it",
        description="Serve a page that fuses images and shows how, until interrupted; needs the extra demo.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_serving_arguments(parser, port=7860)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves; returns the exit code."""
    return start(options, api=False, page=True)
