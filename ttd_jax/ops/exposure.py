"""From bracketed photographs towards scene radiance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ttd_jax.errors import InputError

GAMMA = 2.2
"""Exponent of the response curve that deghosting networks take for granted (Kalantari and Ramamoorthi 2017)."""


def with_linearized(
    images: Float[np.ndarray, "M H W 3"], exposure_times: Sequence[float | int]
) -> Float[np.ndarray, "M H W 6"]:
    r"""Each image beside its linearised twin, what deghosting networks take.

    :math:`r_m = x_m^{2.2}\, t_{\min} / t_m`: the radiance that the image shows where it is neither black nor white, in
    units of what saturates the shortest exposure, so that it lies in [0, 1].

    Args:
        images: Photographs in [0, 1], as a camera or an 8-bit file encodes them.
        exposure_times: Exposure time of each in seconds or any other unit; only ratios matter.

    Returns:
        Image and radiance, three channels each.

    Raises:
        InputError: A time is not a positive finite number, or there are more or fewer than images.

    Example:
        >>> with_linearized(np.full((2, 1, 1, 3), 0.5), [1, 4])[:, 0, 0, 3].round(3).tolist()
        [0.218, 0.054]
    """
    images, times = np.asarray(images), np.asarray(exposure_times, np.float64)
    if times.shape != (len(images),) or not (np.isfinite(times) & (times > 0)).all():
        raise InputError(
            f"exposure times are {len(images)} positive numbers, one for each image; got {list(exposure_times)}"
        )
    shares = (times.min() / times).astype(images.dtype)[:, None, None, None]
    return np.concatenate([images, images ** images.dtype.type(GAMMA) * shares], axis=-1)
