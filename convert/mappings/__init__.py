"""One table per network: its state-dict keys and the flax variables they fill."""

from ..rules import Table
from . import cddfuse, ifcnn, mgdn, piafusion, piafusion_illumination

TABLES: dict[str, Table] = {
    "ifcnn": ifcnn.TABLE,
    "cddfuse": cddfuse.TABLE,
    "piafusion": piafusion.TABLE,
    "piafusion-illumination": piafusion_illumination.TABLE,
    "mgdn": mgdn.TABLE,
}
"""Tables by the network's name."""
