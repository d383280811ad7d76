"""One table per backbone: its state-dict keys and the flax variables they fill."""

from ..rules import Table
from . import cddfuse, ifcnn, piafusion

TABLES: dict[str, Table] = {"ifcnn": ifcnn.TABLE, "cddfuse": cddfuse.TABLE, "piafusion": piafusion.TABLE}
"""Tables by backbone name."""
