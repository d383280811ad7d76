"""``ttd-jax evaluate``: quality metrics of folders of fused images, by any method."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.progress import followed
from ttd_jax.errors import InputError

FORMATS = ("table", "csv", "json", "latex", "markdown")
_MOST_NAMES = 20  # of a folder's missing files, on stderr

_EPILOG = """examples:
  ttd-jax evaluate --sources vis ir --fused out
  ttd-jax evaluate --sources vis ir --fused out --metrics EN SSIM VIF/vifp_sum --channel gray
  ttd-jax evaluate --sources mri ct --fused a/out --method A --fused b/out --method B --convention ttd --format latex

Files belong together if their names without ending are equal. A metric can be followed by its variant; `ttd-jax
metrics` lists metrics, variants and conventions. Exit code 1 if an image failed or has no partner.
"""


class _NameLast(argparse.Action):
    """Gives the name to the ``--fused`` before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        folders = namespace.fused or []
        names = getattr(namespace, self.dest)
        if len(folders) == 0:
            parser.error(f"{option_string} names the --fused before it; there is none before {values!r}")
        if len(folders) - 1 in names:
            parser.error(f"{option_string} {values!r}: {folders[-1]} has the name {names[len(folders) - 1]!r} already")
        setattr(namespace, self.dest, {**names, len(folders) - 1: values})


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure fused images, of this or any other method, against their sources",
        description="Quality metrics of every fused image and their mean; several methods are ranked.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sources", nargs="+", required=True, metavar="DIR", help="the folders of the sources")
    parser.add_argument(
        "--fused", action="append", required=True, metavar="DIR", help="a folder of fused images; can come repeatedly"
    )
    parser.add_argument(
        "--method", action=_NameLast, default={}, metavar="NAME", help="name of the --fused before it (default: folder)"
    )
    parser.add_argument(
        "--metrics", nargs="+", metavar="NAME", help="such as EN or VIF/vifp_sum (default: all of the convention)"
    )
    parser.add_argument(
        "--convention", default="standard", metavar="NAME", help="whose definitions to follow (default: standard)"
    )
    parser.add_argument(
        "--channel",
        choices=("y", "gray", "rgb"),
        default="y",
        help="what colour images are judged by: luma (default), luma rounded to 8 bits, or the mean of the channels",
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of to the terminal")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluates; returns the exit code."""
    from ttd_jax.io.atomic import atomic_file, check_output
    from ttd_jax.io.folders import match_stems

    fused = name_methods(options.fused, options.method)
    if len(options.sources) < 2:
        raise InputError("metrics compare fused images with two or more source folders; got 1")
    if options.output:
        check_output(options.output, overwrite=options.overwrite)
        if Path(options.output).is_dir():
            raise InputError(f"output {options.output} is a folder: name a file")
    match_stems([*options.sources, *fused.values()])  # before jax starts: a wrong folder should not cost seconds
    runtime.start_jax(options)
    from ttd_jax.comparison import evaluate_folders
    from ttd_jax.comparison.report import printable, render

    metrics, variants = split_variants(options.metrics)
    found = evaluate_folders(
        fused,
        options.sources,
        metrics=metrics,
        convention=options.convention,
        variants=variants,
        channel=options.channel,
        progress=_bar,
    )
    for remark, times in found.remarks.items():
        print(f"ttd-jax: note: {printable(remark)} ({times} time{'s' * (times != 1)})", file=sys.stderr)
    for folder, names in found.unmatched.items():
        shown = ", ".join(map(printable, names[:_MOST_NAMES]))
        more = f" and {len(names) - _MOST_NAMES} more (all with --format json)" if len(names) > _MOST_NAMES else ""
        print(f"ttd-jax: unmatched: not in {printable(folder)}: {shown}{more}", file=sys.stderr)
    for stem, reason in found.failed.items():
        print(f"ttd-jax: failed: {printable(stem)}: {printable(reason)}", file=sys.stderr)
    if not found.images:
        print("ttd-jax: error: no image could be evaluated", file=sys.stderr)
        return 1
    text = render(found, form=options.format)
    if options.output:
        with atomic_file(options.output, overwrite=options.overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 1 if found.failed or found.unmatched else 0


def name_methods(folders: Sequence[str], names: dict[int, str]) -> dict[str, Path]:
    """Folder by method name.

    Raises:
        InputError: Two methods have one name.
    """
    named: dict[str, Path] = {}
    for k, folder in enumerate(folders):
        name = names.get(k) or Path(folder).absolute().name or folder
        if name in named:
            raise InputError(f"two methods are called {name!r} ({named[name]}, {folder}): name them with --method")
        named[name] = Path(folder)
    return named


def split_variants(metrics: Sequence[str] | None) -> tuple[list[str] | None, dict[str, str]]:
    """Abbreviations, and the variants of those that name one, from words such as ``VIF/vifp_sum``.

    Raises:
        InputError: A metric comes twice.
    """
    if metrics is None:
        return None, {}
    split = [word.partition("/") for word in metrics]
    names = [name for name, _, _ in split]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{twice} comes twice in --metrics: run once for each variant")
    return names, {name: variant for name, slash, variant in split if slash}


def _bar(names: Sequence[str]) -> Iterable[str]:
    return followed(names, len(names), "evaluating")
