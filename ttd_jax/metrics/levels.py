"""What a metric reads: grey images of any supported dtype as grey levels 0 to 255.

uint8 holds the levels themselves. uint16 (0 to 65535) is divided by 257. Floats hold [0, 1] and are multiplied by
255. The result has JAX's default float dtype: float32, or float64 while ``jax_enable_x64`` is on. Metrics over
histograms round to whole levels first, half to even, so a 16-bit or float image falls into the same 256 bins.
"""

from collections.abc import Iterable
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from ttd_jax.errors import InputError

Gray: TypeAlias = Real[Array, "H W"] | Real[np.ndarray, "H W"]
GrayStack: TypeAlias = Real[Array, "M H W"] | Real[np.ndarray, "M H W"]
Score: TypeAlias = Float[Array, ""]


def levels(image: Gray | GrayStack) -> Float[Array, "..."]:
    """The image as floating grey levels, 0 to 255.

    Raises:
        InputError: The dtype is neither uint8, uint16 nor floating.
    """
    image = jnp.asarray(image)
    dtype = jnp.result_type(float)
    if image.dtype == jnp.uint8:
        return image.astype(dtype)
    if image.dtype == jnp.uint16:
        return image.astype(dtype) / 257
    if jnp.issubdtype(image.dtype, jnp.floating):
        # Scaled in its own precision: float32(v / 255) * 255 is v again, exactly, for every level v.
        wide = image if image.dtype.itemsize >= 4 else image.astype(jnp.float32)
        return (wide * 255).astype(dtype)
    raise InputError(
        f"expected uint8 (0 to 255), uint16 (0 to 65535) or floats in [0, 1]; got {image.dtype}: convert the image"
    )


def whole_levels(image: Gray | GrayStack) -> Int[Array, "..."]:
    """The image as integers 0 to 255, rounded half to even and clipped."""
    return jnp.clip(jnp.round(levels(image)), 0, 255).astype(jnp.int32)


def unknown_variant(metric: str, variant: str, choices: Iterable[str]) -> InputError:
    """The error for a variant that a metric does not have."""
    return InputError(f"{metric} has the variants {', '.join(choices)}; got {variant!r}")
