"""``ttd-jax explain``: why the weights are as they are, in numbers and one figure."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.fuse import add_sources, check_files, parse_sources, refuse_existing
from ttd_jax.errors import InputError
from ttd_jax.text import aligned

_EPILOG = """examples:
  ttd-jax explain near.png far.png
  ttd-jax explain visible=day.png infrared=thermal.png -o figure.png
  ttd-jax explain under.jpg normal.jpg over.jpg -o figure.png --json
"""

_BOUND_ROWS = {
    "error": "error of the image (Eq. 4, left)",
    "decomposed": "error by components (Eq. 9)",
    "covariance": "covariance, summed",
    "constant": "constant (Eq. 10)",
    "bound": "bound (Eq. 10)",
}


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "explain",
        help="show why the weights are as they are: numbers and a figure",
        description="Fuse registered images with test-time weights and by the static rule, and print how weights and "
        "losses go together, with the terms of the paper's bound (docs/theory.md).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_sources(parser)
    parser.add_argument("-o", "--output", metavar="FIGURE", help="also draw a figure of every step")
    runtime.add_fusion_arguments(parser)
    runtime.add_reading_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing figure")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explains one fusion; returns the exit code."""
    from ttd_jax.inputs import check_sources

    runtime.check_fusion_arguments(options)
    sources = parse_sources(options.sources)
    paths = list(sources.values()) if isinstance(sources, dict) else sources
    if folder := next((path for path in paths if os.path.isdir(path)), None):
        raise InputError(f"{folder} is a folder: name one file for each source")
    (output,) = check_files([options.output], paths)
    # before jax starts: a bad file should not cost seconds
    checked = check_sources(sources, range=runtime.settle_reading(options))
    refuse_existing([output], options.overwrite)
    runtime.start_jax(options)
    result = runtime.make_fuser(options)(checked, explain=True)
    if output:
        import numpy as np

        from ttd_jax.figures import explanation_figure
        from ttd_jax.io.images import write_image

        figure = explanation_figure(checked.images, result, result.static)
        write_image(output, np.asarray(figure), overwrite=options.overwrite)
    if options.json:
        print(json.dumps({"output": str(output) if output else None, **result.report}))
        return 0
    print(describe(result.report["theory"]))
    for remark in result.report["remarks"]:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
    return 0


def describe(theory: Mapping[str, Any]) -> str:
    """``report["theory"]`` as two tables of text."""
    names = list(theory["sources"])
    columns = ("weight", "loss", "covariance", "correlation", "error")
    rows = [["", *columns], *([n, *(_number(theory["sources"][n][c]) for c in columns)] for n in names)]
    rows.append(["sum", "", "", _number(theory["covariance"]), "", ""])
    bounds = [["absolute differences", "static", "dynamic"]]
    bounds += [
        [label, *(_number(theory[kind][key]) for kind in ("static", "dynamic"))] for key, label in _BOUND_ROWS.items()
    ]
    return "\n".join([*aligned(rows), "", *aligned(bounds)])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
