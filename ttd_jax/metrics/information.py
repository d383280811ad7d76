"""Information in the grey-level histograms of the fused image and its sources.

``fused`` is ``(H, W)`` and ``sources`` ``(M, H, W)`` with any M of at least 1; see :mod:`ttd_jax.metrics.levels` for
dtypes. Histograms have 256 bins, one per whole level, and know nothing of where a pixel is: a scrambled image has
the entropy of the original.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ttd_jax.metrics.levels import Gray, Score, unknown_variant, whole_levels

BINS = 256


def histogram(image: Int[Array, "H W"]) -> Float[Array, " 256"]:
    """Share of the pixels at each level."""
    counts = jnp.zeros(BINS, jnp.int32).at[image.ravel()].add(1, mode="promise_in_bounds")
    return counts.astype(float) / image.size


def joint_histogram(x: Int[Array, "H W"], y: Int[Array, "H W"]) -> Float[Array, "256 256"]:
    """Share of the pixels at each pair of levels."""
    counts = jnp.zeros(BINS * BINS, jnp.int32).at[(BINS * x + y).ravel()].add(1, mode="promise_in_bounds")
    return counts.reshape(BINS, BINS).astype(float) / x.size


def _entropy_bits(shares: Float[Array, "..."]) -> Score:
    return -jnp.sum(shares * jnp.log2(jnp.where(shares > 0, shares, 1)))


@partial(jax.jit, static_argnames="variant")
def entropy(fused: Gray, *, variant: str = "shannon") -> Score:
    r"""Shannon entropy of the grey-level histogram (EN), in bits: higher is better, 0 to 8.

    :math:`-\sum_k p_k \log_2 p_k`

    Args:
        fused: The fused image.
        variant: ``"shannon"``; ``"zoo"`` takes the logarithm of p + 1e-7, so that empty bins count a little.
    """
    shares = histogram(whole_levels(fused))
    match variant:
        case "shannon":
            return _entropy_bits(shares)
        case "zoo":
            return -jnp.sum(shares * jnp.log2(shares + 1e-7))
    raise unknown_variant("EN", variant, ["shannon", "zoo"])
