"""``ttd-jax metrics``: what metrics there are, and what each means in which convention."""

import argparse
from typing import Any

from ttd_jax.errors import InputError

_EPILOG = """examples:
  ttd-jax metrics
  ttd-jax metrics SSIM
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "metrics",
        help="list metrics and conventions, or explain one metric",
        description="Lists metrics and conventions; with NAME explains one metric.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="abbreviation of a metric, such as SSIM")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the list or the explanation; returns the exit code."""
    from ttd_jax.metrics import METRICS

    if options.name is None:
        print(listing(), end="")
        return 0
    names = {name.lower(): name for name in METRICS}
    if options.name.lower() not in names:
        raise InputError(f"metrics are {', '.join(METRICS)}; got {options.name!r}")
    print(explanation(names[options.name.lower()]), end="")
    return 0


def listing() -> str:
    """One line for each metric and each convention."""
    from ttd_jax.metrics import CONVENTIONS, METRICS

    wide = max(map(len, [*METRICS, *CONVENTIONS]))
    longest = max(len(metric.full_name) for metric in METRICS.values())
    lines = [f"metrics (↑ higher is better, ↓ lower is better; `ttd-jax metrics {next(iter(METRICS))}` explains one)"]
    for name, metric in METRICS.items():
        needs = "" if metric.needs_sources else " (of the fused image alone)"
        lines.append(f"  {name:{wide}} {metric.arrow} {metric.full_name}{needs}")
        if len(metric.variants) > 1:
            lines[-1] = f"{lines[-1]:{wide + longest + 34}}{len(metric.variants)} variants"
    lines += ["", "conventions (for `ttd-jax evaluate --convention`)"]
    lines += [f"  {name:{wide}} {meaning}" for name, meaning in CONVENTIONS.items()]
    return "\n".join([*lines, ""])


def explanation(name: str) -> str:
    """Everything that the table of metrics says of one."""
    from ttd_jax.metrics import METRICS

    metric = METRICS[name]
    of = "the fused image and its sources" if metric.needs_sources else "the fused image alone"
    lines = [
        f"{name} {metric.arrow} {metric.full_name}: {metric.direction} is better; of {of}",
        f"  defined in {metric.source}",
        *([] if metric.per_channel else ["  always taken on grey, also with --channel rgb"]),
        "variants",
    ]
    wide = max(map(len, metric.variants))
    for variant, meaning in metric.variants.items():
        users = ", ".join(convention for convention, used in metric.conventions.items() if used == variant)
        lines.append(f"  {name}/{variant:{wide}}  {meaning}" + (f" [{users}]" if users else ""))
    lines.append("in brackets: the conventions that mean this variant")
    return "\n".join([*lines, ""])
