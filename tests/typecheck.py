"""How annotations are checked while testing: beartype, with an int where a float is asked for, as PEP 484 has it.

Names of options are left to the package, whose own message for a wrong one is what the tests are about.
"""

from typing import Literal, get_origin

from beartype import BeartypeConf, FrozenDict, beartype

from ttd_jax import options

_NAMES = {choice: object for choice in vars(options).values() if get_origin(choice) is Literal}

check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict(_NAMES)))
