"""What a metric reads: grey images of any supported dtype as grey levels 0 to 255.

uint8 holds the levels themselves. uint16 (0 to 65535) is divided by 257. Floats hold [0, 1] and are
multiplied by 255. The result has JAX's default float dtype: float32, or float64 while ``jax_enable_x64`` is
on. A level within 1e-4 of a whole one counts as whole, so that an 8-bit image gives the same numbers after
any scaling. Metrics over histograms round all levels to whole ones, half to even: a 16-bit or float image
falls into the same 256 bins.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Real

from ttd_jax.errors import InputError

Gray: TypeAlias = Real[Array, "H W"] | Real[np.ndarray, "H W"]
GrayStack: TypeAlias = Real[Array, "M H W"] | Real[np.ndarray, "M H W"]
Score: TypeAlias = Float[Array, ""]

_SPANS = np.arange(256)[:, np.newaxis]
_STRETCHED = np.floor(np.arange(256) / np.maximum(_SPANS, 1) * 255 + 0.5).clip(0, 255).astype(np.uint8)
"""Level by the span of levels in the image and the distance from the lowest."""


@jax.jit
def levels(image: Gray | GrayStack) -> Float[Array, "..."]:
    """The image as floating grey levels, 0 to 255.

    Raises:
        InputError: The dtype is neither uint8, uint16 nor floating.

    Example:
        >>> levels(np.array([[0, 0.5, 1]])).tolist()
        [[0.0, 127.5, 255.0]]
    """
    image = jnp.asarray(image)
    dtype = jnp.result_type(float)
    if image.dtype == jnp.uint8:
        return image.astype(dtype)
    if image.dtype == jnp.uint16:
        return _snapped(image.astype(dtype) / 257)
    if jnp.issubdtype(image.dtype, jnp.floating):
        wide = image if image.dtype.itemsize >= 4 else image.astype(jnp.float32)
        return _snapped((wide * 255).astype(dtype))
    raise InputError(
        f"expected uint8 (0 to 255), uint16 (0 to 65535) or floats in [0, 1]; got {image.dtype}: convert the image"
    )


@jax.jit
def separate(fused: Gray, sources: GrayStack) -> list[Float[Array, "H W"]]:
    """The levels of the fused image and of each source, as images of their own.

    Example:
        >>> image = np.array([[0, 65535]], np.uint16)
        >>> [plane.tolist() for plane in separate(image, image[np.newaxis])]
        [[[0.0, 255.0]], [[0.0, 255.0]]]
    """
    return [levels(fused), *levels(sources)]


def _snapped(level: Array) -> Array:
    """Levels that are whole but for rounding error made whole: some metrics ask whether two are equal."""
    whole = jnp.round(level)
    return level + lax.stop_gradient(jnp.where(jnp.abs(whole - level) < 1e-4, whole - level, 0))


def double_precision() -> AbstractContextManager[None]:
    """A context in which arrays can be float64 whatever the setting; convert on the way in and out.

    Example:
        >>> with double_precision():
        ...     jnp.ones(1, float).dtype
        dtype('float64')
    """
    return jax.enable_x64(True)


def whole_levels(image: Gray | GrayStack) -> Int[Array, "..."]:
    """The image as integers 0 to 255, rounded half to even and clipped.

    Example:
        >>> whole_levels(np.array([[0, 0.5, 1]])).tolist()
        [[0, 128, 255]]
    """
    return jnp.clip(jnp.round(levels(image)), 0, 255).astype(jnp.int32)


@partial(jax.jit, static_argnames="unit")
def stretch(image: Float[Array, "H W"], *, unit: int = 1) -> Float[Array, "H W"]:
    """Grey levels stretched to the whole of 0 to 255 and rounded, halves up; NaN for a single level but 0.

    Whole levels are read from a table of ``(v - low) / (high - low) * 255`` in double precision, because the
    double's rounding error decides where a half goes, and toolkits agree on it.

    Args:
        image: Grey levels.
        unit: What the levels are divided by first; anything but 1 is computed, in the precision at hand.

    Example:
        >>> stretch(jnp.array([[10.0, 20, 30]])).tolist()
        [[0.0, 128.0, 255.0]]
    """
    if unit != 1:
        image = image / lax.optimization_barrier(jnp.full_like(image, unit))
    low, high = jnp.min(image), jnp.max(image)
    # The barriers keep x / y a division: a product with 1 / y rounds differently.
    share = (image - low) / lax.optimization_barrier(jnp.broadcast_to(high - low, image.shape))
    stretched = lax.round(share * 255, lax.RoundingMethod.AWAY_FROM_ZERO)
    if unit == 1:
        whole = (low == jnp.round(low)) & (high == jnp.round(high)) & (high > low)
        by_offset = jnp.asarray(_STRETCHED, image.dtype)[jnp.where(whole, high - low, 0).astype(jnp.int32)]
        whole = whole & (image == jnp.round(image))
        stretched = jnp.where(whole, by_offset[jnp.where(whole, image - low, 0).astype(jnp.int32)], stretched)
    return jnp.where((low == 0) & (high == 0), image, stretched)


def undefined() -> Score:
    """NaN, for an image that a metric's windows do not fit.

    Example:
        >>> undefined().item()
        nan
    """
    return jnp.full((), jnp.nan)
