"""What a command says of its result, in words a user knows; colours where they can be seen."""

import io
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

Stream = TextIO | io.TextIOBase
_COLOR = {"gray": "grey", "luma": "colour kept", "rgb": "colour"}
_BOLD_RED = "\033[1;31m"


def result_line(report: Mapping[str, Any], *, stream: Stream | None = None) -> str:
    """What a report says in one line: images, size, depth, colour, seconds; network and weights unless they are usual.

    Args:
        report: Of ``FusionResult``, with ``output`` as the file's name.
        stream: Where it will be printed, whose encoding may have no multiplication sign; None is standard output.
    """
    height, width = report["shape"][:2]
    times = _or_plain("×", "x", stream or sys.stdout)
    parts = [
        f"{len(report['sources'])} images",
        f"{width} {times} {height}",
        _depth(report["dtype"]),
        _COLOR.get(report["color"], "channels as they are"),
    ]
    if report["backbone"] != "bandnet":
        parts.append(f"{report['backbone']} {report['preset'] or ''}".strip())
    if weights := _weights(report["weighting"]):
        parts.append(weights)
    return f"{report['output']}: {', '.join(parts)}, {report['seconds']['fuse']:.1f} s"


def marked(word: str, stream: Stream) -> str:
    """The word in bold red on a terminal that shows colours (``NO_COLOR`` and ``TERM=dumb`` say that none does)."""
    seen = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"{_BOLD_RED}{word}\033[0m" if seen else word


def _or_plain(text: str, plain: str, stream: Stream) -> str:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return plain
    return text


def _depth(dtype: str) -> str:
    return {"uint8": "8 bit", "uint16": "16 bit", "bool": "black and white"}.get(dtype, "floats")


def _weights(weighting: Any) -> str:
    """How the weights were made, where it was not by losses."""
    if weighting == "static":
        return "static"
    if "channel" not in weighting:
        return ""
    chosen = f" {weighting['chosen_channel']}" if "chosen_channel" in weighting else ""
    return f"gradient (channel {weighting['channel']}{chosen})"
