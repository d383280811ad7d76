"""One table per backbone: its state-dict keys and the flax variables they fill."""

from ..rules import Table
from . import ifcnn

TABLES: dict[str, Table] = {"ifcnn": ifcnn.TABLE}
"""Tables by backbone name."""
