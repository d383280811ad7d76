"""Contrast and sharpness of the fused image alone; no source is looked at.

``fused`` is ``(H, W)``; see :mod:`ttd_jax.metrics.levels` for dtypes. Values are in grey levels on 0 to 255.
All of these rise with sharpening and with noise: a high value says "busy", not "good".
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ttd_jax.metrics.levels import Gray, Score, levels
from ttd_jax.metrics.record import Metric, by_variant, check_variant, unknown_variant
from ttd_jax.ops.filters import centered, central_differences, pixel_mean, pixel_sum, sobel

_SD = Literal["population", "sample", "saturated"]


@partial(jax.jit, static_argnames="variant")
def standard_deviation(fused: Gray, *, variant: _SD = "population") -> Score:
    r"""Standard deviation of the grey levels (SD): higher is better, 0 for one grey level.

    Args:
        fused: The fused image.
        variant: ``"population"``, :math:`\sqrt{\frac{1}{HW}\sum (F - \bar F)^2}`; ``"sample"``, divided by
            HW - 1 instead; ``"saturated"``, what MATLAB makes of an image left as uint8, with
            :math:`F - \bar F` rounded and cut at 0 and its square cut at 255 (the published TNO table).

    Example:
        >>> import numpy as np
        >>> standard_deviation(np.array([[0, 200], [200, 0]], np.uint8)).item()
        100.0
    """
    image = levels(fused)
    match variant:
        case "population":
            return jnp.sqrt(pixel_mean(jnp.square(centered(image))))
        case "sample":
            return jnp.sqrt(pixel_sum(jnp.square(centered(image))) / (image.size - 1))
        case "saturated":
            above = jnp.floor(jnp.maximum(jnp.round(image) - pixel_mean(image), 0) + 0.5)
            return jnp.sqrt(pixel_mean(jnp.minimum(jnp.square(above), 255)))
    raise unknown_variant("SD", variant, get_args(_SD))


_AG = Literal["mean", "vifb"]


@partial(jax.jit, static_argnames="variant")
def average_gradient(fused: Gray, *, variant: _AG = "mean") -> Score:
    r"""Mean length of the grey-level gradient (AG): higher is better.

    :math:`\frac{1}{HW}\sum \sqrt{(g_x^2 + g_y^2) / 2}` with central differences, one-sided at the borders.

    Args:
        fused: The fused image, at least 2×2.
        variant: ``"mean"``; ``"vifb"`` divides the same sum by (H - 1)(W - 1).

    Example:
        >>> import numpy as np
        >>> round(average_gradient(np.array([[0, 10], [0, 10]], np.uint8)).item(), 3)  # sqrt(10² / 2)
        7.071
    """
    check_variant("AG", variant, get_args(_AG))
    image = levels(fused)
    height, width = image.shape
    squares = jnp.square(central_differences(image, -1)) + jnp.square(central_differences(image, -2))
    mean = pixel_mean(jnp.sqrt(squares / 2))
    return mean if variant == "mean" else mean * (height * width / ((height - 1) * (width - 1)))


_EI = Literal["vifb", "skimage", "skimage_old", "zoo"]


@partial(jax.jit, static_argnames="variant")
def edge_intensity(fused: Gray, *, variant: _EI = "vifb") -> Score:
    r"""Mean length of the Sobel gradient (EI): higher is better.

    :math:`\frac{1}{HW}\sum \sqrt{s_x^2 + s_y^2}` with the 3×3 kernels [1 2 1] × [-1 0 1].

    Args:
        fused: The fused image.
        variant: ``"vifb"``, border pixels repeated; ``"skimage"``, the same divided by 4, as
            ``skimage.filters.sobel_h`` and ``sobel_v`` give it; ``"skimage_old"``, that with the outermost
            pixels set to 0 (scikit-image before 0.17); ``"zoo"``, not divided, zeros outside the image.

    Example:
        >>> import numpy as np
        >>> edge_intensity(np.full((3, 3), 200, np.uint8)).item()
        0.0
    """
    image = levels(fused)
    check_variant("EI", variant, get_args(_EI))
    right, down = sobel(image, "constant" if variant == "zoo" else "edge")
    length = jnp.sqrt(jnp.square(right) + jnp.square(down))
    if variant == "skimage_old":
        length = _without_frame(length)
    return pixel_mean(length) / (4 if variant.startswith("skimage") else 1)


def _without_frame(image: Float[Array, "H W"]) -> Float[Array, "H W"]:
    return jnp.pad(image[1:-1, 1:-1], 1)


_SF = Literal["mean", "vifb", "unit"]


@partial(jax.jit, static_argnames="variant")
def spatial_frequency(fused: Gray, *, variant: _SF = "mean") -> Score:
    r"""Root of the mean squared differences between neighbours along rows and columns (SF): higher is better.

    :math:`\sqrt{\overline{(\Delta_x F)^2} + \overline{(\Delta_y F)^2}}` (Eskicioglu and Fisher 1995).

    Args:
        fused: The fused image, at least 2×2.
        variant: ``"mean"`` over the differences there are; ``"vifb"`` divides both sums by HW; ``"unit"``
            is ``"mean"`` on [0, 1] grey levels, so divided by 255.

    Example:
        >>> import numpy as np
        >>> spatial_frequency(np.array([[0, 10], [0, 10]], np.uint8)).item()
        10.0
    """
    image = levels(fused)
    across, down = jnp.square(jnp.diff(image, axis=1)), jnp.square(jnp.diff(image, axis=0))
    match variant:
        case "mean" | "unit":
            value = jnp.sqrt(pixel_mean(across) + pixel_mean(down))
            return value / 255 if variant == "unit" else value
        case "vifb":
            return jnp.sqrt((pixel_sum(across) + pixel_sum(down)) / image.size)
    raise unknown_variant("SF", variant, get_args(_SF))


ROWS = (
    Metric(
        name="SD",
        full_name="standard deviation",
        function=standard_deviation,
        needs_sources=False,
        direction="higher",
        variants={"population": "divided by N", "sample": "divided by N - 1", "saturated": "in 8-bit arithmetic"},
        conventions=by_variant(population="standard ttd cddfuse vifb mefb tang zoo", saturated="tang-published"),
        source="the standard deviation of the grey levels",
    ),
    Metric(
        name="AG",
        full_name="average gradient",
        function=average_gradient,
        needs_sources=False,
        direction="higher",
        variants={"mean": "mean over pixels", "vifb": "sum divided by (H - 1)(W - 1)"},
        conventions=by_variant(mean="standard ttd cddfuse zoo", vifb="vifb mefb tang tang-published"),
        source="Cui, Feng, Xu, Li and Chen, Opt. Commun. 341, 2015",
    ),
    Metric(
        name="EI",
        full_name="edge intensity",
        function=edge_intensity,
        needs_sources=False,
        direction="higher",
        variants={
            "vifb": "full Sobel, border repeated",
            "skimage": "Sobel / 4",
            "skimage_old": "Sobel / 4, frame zeroed",
            "zoo": "full Sobel, zeros outside",
        },
        conventions=by_variant(vifb="standard vifb mefb", skimage="ttd", zoo="zoo"),
        source="Rajalingam and Priya, Int. J. Eng. Sci. Invent. 2, 2018",
    ),
    Metric(
        name="SF",
        full_name="spatial frequency",
        function=spatial_frequency,
        needs_sources=False,
        direction="higher",
        variants={"mean": "mean over differences", "vifb": "sums divided by HW", "unit": "mean, on [0, 1]"},
        conventions=by_variant(mean="standard ttd cddfuse tang zoo", vifb="vifb mefb", unit="tang-published"),
        source="Eskicioglu and Fisher, IEEE Trans. Commun. 43, 1995",
    ),
)
