"""``ttd-jax export``: a fusion as one file that runs without this package."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.errors import InputError
from ttd_jax.options import ExportFormat, choices

_EPILOG = """examples:
  ttd-jax export -o fuse.stablehlo
  ttd-jax export --channels 3 --sources 3 --platforms cpu,cuda -o fuse.stablehlo
  python examples/run_exported.py fuse.stablehlo near.png far.png fused.png
  ttd-jax export --format onnx --size 640x480 -o fuse.onnx
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write a fusion as one file that jax or ONNX Runtime runs without this package",
        description="Write a fusion, its parameters included, as one file that runs without this package.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write; FILE.json describes it")
    parser.add_argument(
        "--format",
        choices=choices(ExportFormat),
        default="stablehlo",
        help="stablehlo, which jax runs (default), or onnx, for ONNX Runtime (extra: onnx)",
    )
    runtime.add_fusion_arguments(parser)
    parser.add_argument("--sources", type=int, default=2, help="number of sources (default: 2)")
    parser.add_argument("--channels", type=int, default=1, help="1 for grey sources (default), 3 for colour")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="one image size only (default: any)")
    parser.add_argument("--platforms", help="where StableHLO will run, among cpu, cuda, rocm, tpu (default: cpu,cuda)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports; returns the exit code."""
    from ttd_jax.io.atomic import check_output

    runtime.check_fusion_arguments(options)
    size = None
    if options.size is not None:
        found = re.fullmatch(r"(\d+)x(\d+)", options.size)
        if not found:
            raise InputError(f"--size is WIDTHxHEIGHT, such as 640x480; got {options.size!r}")
        size = int(found[2]), int(found[1])
    check_output(Path(options.output), overwrite=options.overwrite)
    runtime.start_jax(options)
    from ttd_jax.export import export_fuser

    fuser = runtime.make_fuser(options)
    about = export_fuser(
        fuser,
        options.output,
        format=options.format,
        sources=options.sources,
        channels=options.channels,
        size=size,
        platforms=None if options.platforms is None else options.platforms.split(","),
        overwrite=options.overwrite,
    )
    returns = ", ".join(f"{name} {shape}" for name, shape in about["returns"].items())
    where = f"ONNX opset {about['opset']}" if options.format == "onnx" else f"for {', '.join(about['platforms'])}"
    print(f"{options.output}: takes {', '.join(about['takes'])}, returns {returns}; {where}")
    if options.channels == 1:
        print("ttd-jax: note: takes grey sources; for colour ones export with --channels 3", file=sys.stderr)
    return 0
