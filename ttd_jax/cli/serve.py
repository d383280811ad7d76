"""``ttd-jax serve``: fusion over HTTP, for programs."""

import argparse
from dataclasses import fields
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.serve.limits import Limits

_EPILOG = """examples:
  ttd-jax serve
  ttd-jax serve --host 0.0.0.0 --port 80 --checkpoint ifcnn-max --rate 30 --page
  curl -F sources=@near.png -F sources=@far.png localhost:8000/fuse -o fused.png
"""

_HELP = {
    "megabytes": "of one request, all its files together",
    "files": "of one request",
    "megapixels": "of all sources of one fusion together",
    "seconds": "from a request to its answer",
    "running": "fusions computed at once",
    "waiting": "requests that may wait beside these",
    "rate": "requests a minute from one address, 0 for any number",
    "kept": "seconds for which the page keeps files",
    "disk": "megabytes of these, of all visitors together",
}


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="answer requests for fusions over HTTP",
        description="Answer POST /fuse with fused images, until interrupted; the page /docs tells how to ask.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_serving_arguments(parser, port=8000)
    parser.add_argument("--page", action="store_true", help="also serve the page of ttd-jax demo, at /")
    parser.set_defaults(run=run)


def add_serving_arguments(parser: argparse.ArgumentParser, *, port: int) -> None:
    """The options of what listens.

    Args:
        parser: What they are added to.
        port: The default.
    """
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=port, help=f"default: {port}; 0 for a free one")
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="DIR",
        help="another network that may be asked for by the name of its folder; can come repeatedly",
    )
    limits = parser.add_argument_group("limits")
    for field in fields(Limits):
        limits.add_argument(
            f"--{field.name}",
            type=int,
            default=field.default,
            metavar="N",
            help=f"{_HELP[field.name]} (default: {field.default})",
        )
    runtime.add_arguments(parser)


def limits_of(options: argparse.Namespace) -> Limits:
    """The limits that the options mean.

    Raises:
        InputError: A number is too small.
    """
    return Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})


def run(options: argparse.Namespace) -> int:
    """Serves; returns the exit code."""
    return start(options, api=True, page=options.page)


def start(options: argparse.Namespace, *, api: bool, page: bool) -> int:
    """Serves until interrupted; returns the exit code.

    Args:
        options: Of the command.
        api: Whether there is the service for programs.
        page: Whether there is the page.
    """
    limits = limits_of(options)
    runtime.start_jax(options)
    from ttd_jax.serve.run import serve

    serve(limits, host=options.host, port=options.port, checkpoints=options.checkpoint, api=api, page=page)
    return 0
