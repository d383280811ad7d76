"""One picture of one fusion: sources, components, losses, weights, static, fused, and what the weights changed.

Drawn with NumPy and Pillow, so that the command, notebooks and talks need nothing more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from ttd_jax.errors import InputError
from ttd_jax.ops.pixels import to_float
from ttd_jax.result import FusionResult

Color = tuple[int, int, int]

PALETTES: dict[str, tuple[str, ...]] = {
    "weight": ("#0b1437", "#1d3f72", "#1f7a8c", "#5fb58b", "#c9dd7a", "#fdf8c8"),
    "loss": ("#0a0710", "#3d1250", "#8c1d5c", "#d6424a", "#f68f46", "#fbe7a8"),
    "difference": ("#14397d", "#4d87c7", "#b9d3ea", "#f7f6f3", "#f3bf9a", "#d2663a", "#7c1d13"),
}
"""Colours at equal steps from the lowest value of a scale to the highest."""

_INK, _FAINT, _RULE, _PAPER = (28, 30, 36), (110, 114, 124), (214, 215, 219), (255, 255, 255)
_WIDTH, _MARGIN, _GAP, _COLUMNS = 1920, 36, 16, 4
_TITLE, _TEXT, _SMALL = 30, 20, 16  # font sizes
_BAR = 12
_SHOWN = 99.5  # percentile that the end of a colour scale stands for


def colorize(values: Float[np.ndarray, "H W"], palette: str, low: float, high: float) -> UInt8[np.ndarray, "H W 3"]:
    """A map in colours.

    Args:
        values: Numbers; what lies outside the scale gets the colour of its end.
        palette: A key of ``PALETTES``.
        low: The value of the first colour.
        high: The value of the last, larger than ``low``.
    """
    stops = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in PALETTES[palette]], float)
    position = np.clip((values - low) / (high - low), 0, 1) * (len(stops) - 1)
    channels = [np.interp(position, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def explanation_figure(sources: Sequence[np.ndarray], result: FusionResult, static: np.ndarray) -> Image.Image:
    """A sheet with a row a source (source, component, loss, weight), and static, dynamic and their difference below.

    All losses share one scale, from 0 to the 99.5th percentile of them all, all weights the one from 0 to 1; the
    difference is of luma. The numbers of ``report["theory"]`` stand beside it if they are there.

    Args:
        sources: The images that were fused, arrays as ``fuse`` takes them.
        result: What ``fuse`` made of them, with test-time weights.
        static: What the static rule makes of them.

    Returns:
        An RGB picture 1920 pixels wide.

    Raises:
        InputError: The result has no losses, or is one of a batch.

    Example:
        >>> import numpy as np
        >>> from ttd_jax import fuse
        >>> pair = list(np.random.default_rng(0).random((2, 32, 48)))
        >>> explanation_figure(pair, fuse(pair), fuse(pair, weighting="static").image).width
        1920
    """
    if result.weights is None or result.losses is None or result.components is None:
        raise InputError("static fusion has no losses and weights to draw: use weighting='loss'")
    if result.weights.ndim != 3:
        raise InputError("draw the results of a batch one by one")
    names, report = list(result.report["sources"]), result.report
    theory: Mapping[str, Any] = report.get("theory") or {}
    top = float(np.percentile(result.losses, _SHOWN)) or 1.0
    change = _luma(_unit(np.asarray(result.image))) - _luma(_unit(np.asarray(static)))
    most = max(float(np.percentile(np.abs(change), _SHOWN)), 1e-3)

    sheet = _Sheet(len(names), result.weights.shape[1:])
    sheet.title(f"{report['backbone']} {report.get('preset') or ''}".strip(), _describe(report))
    for m, name in enumerate(names):
        error = theory["sources"][name]["error"] if theory else None
        loss, weight = result.losses[m], result.weights[m]
        sheet.tile(m, 0, name, "", _picture(sources[m]))
        sheet.tile(m, 1, "component", "" if error is None else f"off by {error:.3g}", _picture(result.components[m]))
        sheet.tile(m, 2, "loss", f"mean {loss.mean():.3g}", _map(loss, "loss", 0, top))
        sheet.tile(m, 3, "weight", f"mean {weight.mean():.3g}", _map(weight, "weight", 0, 1))
    sheet.bar(2, "loss", "0", f"{top:.3g} and more")
    sheet.bar(3, "weight", "0", "1")
    last = len(names)
    sheet.tile(last, 0, "static", "", _picture(static))
    sheet.tile(last, 1, "fused", "test-time weights", _picture(result.image))
    sheet.tile(last, 2, "fused - static", "luma", _map(change, "difference", -most, most))
    sheet.bar(2, "difference", f"-{most:.3g}", f"+{most:.3g}", below=True)
    if theory:
        sheet.table(_numbers(names, theory))
    return sheet.image


class _Sheet:
    """A page of rows and columns under construction."""

    def __init__(self, sources: int, shape: tuple[int, int]):
        height, width = shape
        self.tile_width = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
        self.tile_height = min(round(self.tile_width * height / width), self.tile_width)
        self.sources = sources
        self.caption = 2 * _TEXT
        row = self.caption + self.tile_height + _GAP
        self.first = _MARGIN + 2 * _TITLE + _GAP
        self.scales = self.first + sources * row
        self.second = self.scales + _BAR + 2 * _SMALL + _GAP
        self.image = Image.new("RGB", (_WIDTH, self.second + row + _BAR + 2 * _SMALL + _MARGIN // 2), _PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Left and top of a cell's caption."""
        left = _MARGIN + column * (self.tile_width + _GAP)
        if row == self.sources:
            return left, self.second
        return left, self.first + row * (self.caption + self.tile_height + _GAP)

    def text(self, x: float, y: float, words: str, size: int = _TEXT, color: Color = _INK, anchor: str = "ls") -> None:
        """Words on a baseline."""
        self.draw.text((x, y), words, color, ImageFont.load_default(size), anchor)

    def title(self, left: str, right: str) -> None:
        """The line on top."""
        baseline = _MARGIN + _TITLE
        self.text(_MARGIN, baseline, left, _TITLE)
        self.text(_WIDTH - _MARGIN, baseline, right, _TEXT, _FAINT, "rs")
        self.draw.line((_MARGIN, baseline + _GAP, _WIDTH - _MARGIN, baseline + _GAP), _RULE, 2)

    def tile(self, row: int, column: int, name: str, remark: str, picture: Callable[[int, int], Image.Image]) -> None:
        """A picture with its caption."""
        left, top = self.corner(row, column)
        room = self.tile_width - ImageDraw.Draw(self.image).textlength(remark, ImageFont.load_default(_SMALL)) - _GAP
        self.text(left, top + self.caption - 10, _fit(name, room))
        self.text(left + self.tile_width, top + self.caption - 10, remark, _SMALL, _FAINT, "rs")
        shown = picture(self.tile_width, self.tile_height)
        x = left + (self.tile_width - shown.width) // 2
        self.image.paste(shown, (x, top + self.caption + (self.tile_height - shown.height) // 2))

    def bar(self, column: int, palette: str, low: str, high: str, below: bool = False) -> None:
        """A colour scale under a column of the sources, or under the last row."""
        left, top = _MARGIN + column * (self.tile_width + _GAP), self.scales
        if below:
            top = self.second + self.caption + self.tile_height + _GAP
        ramp = colorize(np.linspace(0, 1, self.tile_width)[np.newaxis].repeat(_BAR, 0), palette, 0, 1)
        self.image.paste(Image.fromarray(ramp), (left, top))
        self.text(left, top + _BAR + _SMALL + 2, low, _SMALL, _FAINT)
        self.text(left + self.tile_width, top + _BAR + _SMALL + 2, high, _SMALL, _FAINT, "rs")

    def table(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Numbers in the last cell: a name and two columns each."""
        left, top = self.corner(self.sources, 3)
        stops = left + round(0.76 * self.tile_width), left + self.tile_width
        step = min(28, self.tile_height // max(len(rows) - 1, 1))
        size = min(_SMALL + 1, max(step - 6, 9))
        baseline = top + self.caption - 10
        for name, first, second in rows:
            heading = not name.startswith(" ")
            room = self.tile_width if heading else 0.55 * self.tile_width
            self.text(left, baseline, _fit(name, room, size), size, _INK if heading else _FAINT)
            for stop, words in zip(stops, (first, second), strict=True):
                self.text(stop, baseline, words, size, _FAINT if first == "static" else _INK, "rs")
            baseline += step


def _numbers(names: Sequence[str], theory: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of the table: covariances by source, and the bound of both fusions."""
    static, dynamic = theory["static"], theory["dynamic"]
    rows = [("covariance of weight and loss", "", "")]
    rows += [(f"   {name}", "", _number(theory["sources"][name]["covariance"])) for name in names]
    rows += [("   sum", "", _number(theory["covariance"])), ("absolute errors", "static", "fused")]
    labels = {"error": "error (Eq. 4)", "decomposed": "decomposed (Eq. 9)", "bound": "bound (Eq. 10)"}
    labels |= {"constant": "   constant", "covariance": "   + covariance"}
    return rows + [(f"   {label}", _number(static[key]), _number(dynamic[key])) for key, label in labels.items()]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _describe(report: Mapping[str, Any]) -> str:
    """The weighting and the colour rule in words."""
    options = report["weighting"] if isinstance(report["weighting"], Mapping) else {}
    words = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in options.items()]
    height, width = report["shape"][:2]
    chosen = [word for word in words if word.partition(" ")[0] in ("loss", "scale", "component", "form", "smoothing")]
    return ",  ".join([*chosen, f"color {report['color']}", f"{width} x {height}"])


def _fit(words: str, room: float, size: int = _TEXT) -> str:
    """Words cut to a width, which long file names need."""
    font = ImageFont.load_default(size)
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "…") > room:
        words = words[:-1]
    return words + "…"


def _unit(image: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], without alpha or an axis of one channel."""
    pixels = np.clip(image, 0, 1).astype(np.float32) if image.dtype.kind == "f" else to_float(image)
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    return pixels[..., 0] if pixels.shape[2:] == (1,) else pixels


def _luma(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image @ np.array([0.299, 0.587, 0.114], np.float32)


def _size(shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """The largest size of this shape within a box."""
    scale = min(width / shape[1], height / shape[0])
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)


def _picture(image: np.ndarray) -> Callable[[int, int], Image.Image]:
    pixels = np.rint(255 * _unit(np.asarray(image))).astype(np.uint8)

    def draw(width: int, height: int) -> Image.Image:
        size = _size(pixels.shape, width, height)
        way = Image.Resampling.LANCZOS if size[0] < 4 * pixels.shape[1] else Image.Resampling.NEAREST
        return Image.fromarray(pixels).convert("RGB").resize(size, way)

    return draw


def _map(values: np.ndarray, palette: str, low: float, high: float) -> Callable[[int, int], Image.Image]:
    def draw(width: int, height: int) -> Image.Image:
        size = _size(values.shape, width, height)
        way = Image.Resampling.BILINEAR if size[0] < 4 * values.shape[1] else Image.Resampling.NEAREST
        return Image.fromarray(colorize(np.asarray(Image.fromarray(values).resize(size, way)), palette, low, high))

    return draw
