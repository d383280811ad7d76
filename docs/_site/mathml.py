"""Formulas between dollar signs become MathML, which browsers draw themselves, so that no script is loaded."""

import re
import xml.etree.ElementTree as etree

import latex2mathml.converter
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

INLINE = r"(?<![\\$\w])\$(?![\s$])([^$]+?)(?<![\s\\])\$(?!\w)"
BLOCK = r"\$\$(.+?)\$\$"
AFTER_CODE = 185  # between the priorities of backticks and of backslashes


class _Formula(InlineProcessor):
    """One formula; ``display`` is "block" or "inline"."""

    def __init__(self, pattern: str, md: Markdown, display: str) -> None:
        super().__init__(pattern, md)
        self.display = display

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[etree.Element | str, int, int]:
        """The formula as MathML, out of reach of what comes later."""
        formula = latex2mathml.converter.convert(m[1].strip(), display=self.display)
        return self.md.htmlStash.store(formula), m.start(0), m.end(0)


class MathML(Extension):
    """``$...$`` within a line and ``$$...$$`` on its own."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Registers both."""
        md.inlinePatterns.register(_Formula(BLOCK, md, "block"), "formula-block", AFTER_CODE + 1)
        md.inlinePatterns.register(_Formula(INLINE, md, "inline"), "formula", AFTER_CODE)
