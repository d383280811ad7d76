"""Tables as text: what reports, the command line and studies print."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of one width, the first to the left and the others to the right.

    Example:
        >>> aligned([["", "EN"], ["mean", "7.1"]])
        ['       EN', 'mean  7.1']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return ["  ".join(line).rstrip() for line in lines]


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, the first row its head, numbers to the right.

    Example:
        >>> markdown([["", "EN"], ["mean", "7.1"]])
        ['|  | EN |', '| --- | ---: |', '| mean | 7.1 |']
    """
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (rows[0], rule, *rows[1:])]
