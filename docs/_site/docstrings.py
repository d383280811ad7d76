"""Docstrings as they are written, made Markdown for the site."""

import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))
import pages


class Roles(griffe.Extension):
    """Writes the roles of docstrings as Markdown."""

    def __init__(self) -> None:
        self.known = {name for names in pages.documented().values() for name in names}

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Once for everything that may have a docstring."""
        if obj.docstring:  # once: an alias shares it
            obj.docstring.value = pages.unrolled(obj.docstring.value, self.known)
