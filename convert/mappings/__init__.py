"""One table per backbone: its state-dict keys and the flax variables they fill."""

from ..rules import Table
from . import cddfuse, ifcnn

TABLES: dict[str, Table] = {"ifcnn": ifcnn.TABLE, "cddfuse": cddfuse.TABLE}
"""Tables by backbone name."""
