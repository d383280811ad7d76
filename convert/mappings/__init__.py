"""One table per network: its state-dict keys and the flax variables they fill."""

import warnings
from importlib.metadata import entry_points

from ..rules import Table
from . import auif, cddfuse, densefuse, didfuse, ifcnn, mgdn, pfcfuse, piafusion, piafusion_illumination

GROUP = "ttd_jax.mappings"
"""Entry points of this group are tables of other packages, under the names of their backbones."""


def registered() -> dict[str, Table]:
    """Tables of other packages by the network's name; one that cannot be loaded is left out, with a warning."""
    tables: dict[str, Table] = {}
    for point in entry_points(group=GROUP):
        try:
            tables[point.name] = point.load()
        except Exception as error:  # whatever the import of another package raises
            warnings.warn(f"the entry point {point.name} of {GROUP} cannot be loaded: {error!r}", stacklevel=2)
    return tables


TABLES: dict[str, Table] = registered() | {
    "ifcnn": ifcnn.TABLE,
    "cddfuse": cddfuse.TABLE,
    "piafusion": piafusion.TABLE,
    "piafusion-illumination": piafusion_illumination.TABLE,
    "mgdn": mgdn.TABLE,
    "densefuse": densefuse.TABLE,
    "didfuse": didfuse.TABLE,
    "auif": auif.TABLE,
    "pfcfuse": pfcfuse.TABLE,
}
"""Tables by the network's name."""
