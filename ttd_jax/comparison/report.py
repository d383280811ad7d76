"""A :class:`~ttd_jax.comparison.folders.Comparison` as text: for the terminal, CSV, JSON, LaTeX and Markdown."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp

from ttd_jax import __version__
from ttd_jax.comparison.folders import Comparison, Scores
from ttd_jax.metrics.table import METRICS
from ttd_jax.text import aligned, markdown

Format = Literal["table", "csv", "json", "latex", "markdown"]

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"\\": r"\textbackslash{}"}
)
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*_`<[]"})


def protocol(comparison: Comparison) -> str:
    """One line with everything that a stranger needs to compute the same numbers from the same images.

    Example:
        >>> comparison = Comparison(("vis", "ir"), {"A": "A"}, {"A": {"1": {"EN": 7.0}}}, "ttd", {"EN": "shannon"}, "y")
        >>> protocol(comparison).split("; ")[1]
        'convention ttd: EN/shannon↑'
    """
    chosen = " ".join(f"{name}/{variant}{METRICS[name].arrow}" for name, variant in comparison.variants.items())
    count = len(comparison.images)
    left_out = len(comparison.failed)
    undefined = ", ".join(f"{name} {times}" for name, times in comparison.undefined.items())
    parts = [
        f"ttd-jax {__version__}, jax {jax.__version__}, {_precision()}",
        f"convention {comparison.convention}: {chosen}",
        f"channel {comparison.channel}",
        f"mean of {count} image{'s' * (count != 1)}" + (f", {left_out} failed" if left_out else ""),
        *([f"images where a metric is undefined, not in its mean: {undefined}"] if undefined else []),
        f"sources {', '.join(map(printable, comparison.sources))}",
        f"fused {', '.join(_method(name, folder) for name, folder in comparison.folders.items())}",
        f"pixels {', '.join(comparison.dtypes)}",
    ]
    return "; ".join(parts)


def render(comparison: Comparison, *, form: Format = "table") -> str:
    r"""The comparison in one of :data:`FORMATS`, ending in a newline.

    ``table``, ``latex`` and ``markdown`` show every image and the mean of one method, but only the means and
    ranks of several; ``csv`` and ``json`` always hold everything, in full precision.

    Example:
        >>> comparison = Comparison(("vis", "ir"), {"A": "A"}, {"A": {"1": {"EN": 7.0}}}, "ttd", {"EN": "shannon"}, "y")
        >>> print(*render(comparison, form="csv").splitlines()[:3], sep="\n")
        method,row,image,EN
        A,image,1,7.0
        A,mean,,7.0
    """
    return FORMATS[form](comparison)


def printable(name: str) -> str:
    r"""The name, with line breaks and the like spelled out.

    Example:
        >>> printable("two\tlines\n")
        'two\\tlines\\n'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def _as_table(comparison: Comparison) -> str:
    header = [_corner(comparison), *(f"{name}{METRICS[name].arrow}" for name in comparison.variants)]
    rows = [[printable(label), *cells] for label, cells in _cells(comparison)]
    return "\n".join([*aligned([header, *rows]), "", protocol(comparison), ""])


def _as_markdown(comparison: Comparison) -> str:
    names = list(comparison.variants)
    header = [_corner(comparison), *(f"{name} {METRICS[name].arrow}" for name in names)]
    marks = {1: "**{}**"}
    rows = [[_escape(label, _MARKDOWN), *cells] for label, cells in _cells(comparison, marks)]
    return "\n".join([*markdown([header, *rows]), "", _escape(protocol(comparison), _MARKDOWN), ""])


def _as_latex(comparison: Comparison) -> str:
    names = list(comparison.variants)
    arrows = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
    header = [_corner(comparison), *(f"{name} {arrows[METRICS[name].direction]}" for name in names)]
    marks = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    rows = [[_escape(label, _LATEX), *cells] for label, cells in _cells(comparison, marks)]
    body = [" & ".join(cells) + r" \\" for cells in rows]
    if len(comparison.scores) == 1:
        body.insert(-1, r"\midrule")
    return "\n".join(
        [
            "% " + protocol(comparison),
            r"% \usepackage{booktabs}",
            r"\begin{tabular}{l" + "r" * len(names) + "}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _as_csv(comparison: Comparison) -> str:
    """One table: ``row`` says whether a line is an image, a mean, a rank, or the protocol (in column ``image``)."""
    names = list(comparison.variants)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "row", "image", *names])
    means, ranks = comparison.means(), comparison.ranks()
    for method, by_image in comparison.scores.items():
        label = printable(method)
        for image, scores in by_image.items():
            writer.writerow([label, "image", printable(image), *(scores[name] for name in names)])
        writer.writerow([label, "mean", "", *(means[method][name] for name in names)])
    if len(comparison.scores) > 1:
        for method in comparison.scores:
            writer.writerow([printable(method), "rank", "", *(ranks[method][name] or "" for name in names)])
    writer.writerow(["", "protocol", protocol(comparison), *("" for _ in names)])
    return text.getvalue()


def _as_json(comparison: Comparison) -> str:
    """One object; a value that is not finite is null, since JSON has no other word for it."""
    means, ranks = comparison.means(), comparison.ranks()
    methods = {
        method: {
            "folder": comparison.folders[method],
            "mean": _finite(means[method]),
            **({"rank": ranks[method]} if len(comparison.scores) > 1 else {}),
            "images": {image: _finite(scores) for image, scores in by_image.items()},
        }
        for method, by_image in comparison.scores.items()
    }
    facts = {
        "protocol": protocol(comparison),
        "versions": {"ttd-jax": __version__, "jax": jax.__version__},
        "precision": _precision(),
        "convention": comparison.convention,
        "metrics": {
            name: {"full_name": METRICS[name].full_name, "variant": variant, "direction": METRICS[name].direction}
            for name, variant in comparison.variants.items()
        },
        "channel": comparison.channel,
        "sources": list(comparison.sources),
        "pixels": list(comparison.dtypes),
        "image_count": len(comparison.images),
        "undefined": comparison.undefined,
        "methods": methods,
        "failed": dict(comparison.failed),
        "unmatched": {folder: list(names) for folder, names in comparison.unmatched.items()},
        "remarks": dict(comparison.remarks),
    }
    return json.dumps(facts, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "table": _as_table,
    "csv": _as_csv,
    "json": _as_json,
    "latex": _as_latex,
    "markdown": _as_markdown,
}
"""Format by name."""


def _cells(comparison: Comparison, marks: dict[int, str] | None = None) -> list[tuple[str, list[str]]]:
    """Rows of text: the images and the mean of one method, or the mean (and rank) of several, best ones marked."""
    means, ranks = comparison.means(), comparison.ranks()
    names = list(comparison.variants)
    if len(comparison.scores) == 1:
        ((method, by_image),) = comparison.scores.items()
        rows = [*by_image.items(), ("mean", means[method])]
        forms = _formats(scores for _, scores in rows)
        return [(label, [format(scores[name], forms[name]) for name in names]) for label, scores in rows]
    forms = _formats(means.values())
    table = []
    for method in comparison.scores:
        cells = []
        for name in names:
            rank = ranks[method][name]
            value = (marks or {}).get(rank or 0, "{}").format(format(means[method][name], forms[name]))
            cells.append(f"{value} ({rank or '-'})")
        table.append((method, cells))
    return table


def _corner(comparison: Comparison) -> str:
    return "image" if len(comparison.scores) == 1 else "method"


def _method(name: str, folder: str) -> str:
    """The folder, with the method's name if that says more."""
    name, folder = printable(name), printable(folder)
    return folder if Path(folder).name == name else f"{folder} ({name})"


def _formats(rows: Iterable[Scores]) -> dict[str, str]:
    """How to print each metric: five significant digits of its largest value, as many decimals for the others."""
    columns: dict[str, list[float]] = {}
    for scores in rows:
        for name, value in scores.items():
            columns.setdefault(name, []).append(abs(value))
    largest = {name: max(filter(math.isfinite, column), default=0.0) for name, column in columns.items()}
    return {name: _format(value) for name, value in largest.items()}


def _format(largest: float) -> str:
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    return f".{max(4 - exponent, 0)}f" if exponent > -4 else ".4e"


def _finite(scores: Scores) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def _escape(text: str, table: dict[int, str]) -> str:
    return printable(text).translate(table)


def _precision() -> str:
    return jnp.result_type(float).name
