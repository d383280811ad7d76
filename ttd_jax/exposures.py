"""Exposure times and linearised twins for backbones that take them, at the edge."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ttd_jax.backbones.spec import Backbone
from ttd_jax.errors import InputError
from ttd_jax.ops.exposure import with_linearized

WITH_TWIN = 6
"""Channels of an image beside its linearised twin."""


def times_in_order(
    times: Mapping[str, float] | Sequence[float] | None, roles: Sequence[str], order: Iterable[int]
) -> list[float] | None:
    """Exposure times in the order of the stack.

    Args:
        times: By role, or one for each source as given.
        roles: Roles in the order of the stack.
        order: Index among the sources as given of each in the stack.

    Raises:
        InputError: There are not as many times as sources, or their roles differ.
    """
    if times is None:
        return None
    if isinstance(times, Mapping):
        if set(times) != set(roles):
            raise InputError(f"exposure times are for {', '.join(roles)}; got {', '.join(map(str, times))}")
        return [times[role] for role in roles]
    given, indices = list(times), list(order)
    if len(given) != len(indices):
        raise InputError(f"exposure times are {len(indices)} numbers, one for each source; got {given}")
    return [given[i] for i in indices]


def with_twins(
    backbone: Backbone, stack: Float[np.ndarray, "M H W C"], times: list[float] | None
) -> Float[np.ndarray, "M H W D"]:
    """The stack as the backbone takes it: with linearised twins if it takes six channels, else unchanged.

    Raises:
        InputError: Exposure times are missing or of no use, or the backbone does not take six channels.
    """
    channels = stack.shape[-1]
    if backbone.channels != WITH_TWIN:
        if times is not None:
            raise InputError(f"{backbone.name} takes no exposure times: leave them out")
        if channels == WITH_TWIN:
            raise InputError(f"sources of {backbone.name} have {backbone.channels} channels at most; got {channels}")
        return stack
    if channels == WITH_TWIN:
        if times is not None:
            raise InputError("sources of six channels hold their linearised twins already: leave exposure times out")
        return stack
    if times is None:
        raise InputError(
            f"{backbone.name} takes images of six channels, each beside its linearised twin, or plain ones with their "
            f"exposure times: name these (exposure_times={{{', '.join(f'{r!r}: …' for r in backbone.roles)}}}, "
            "--exposure-times T T T)"
        )
    return with_linearized(np.broadcast_to(stack, (*stack.shape[:3], 3)), times)
