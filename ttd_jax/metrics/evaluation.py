"""All metrics of a fused image at once."""

from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ttd_jax.errors import InputError
from ttd_jax.metrics.levels import Gray, GrayStack, Score
from ttd_jax.metrics.planes import Channel, gray_pair, planes
from ttd_jax.metrics.record import CONVENTIONS, Convention
from ttd_jax.metrics.table import METRICS


def resolve_variants(
    metrics: Iterable[str] | None,
    *,
    convention: Convention = "standard",
    variants: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variant of each metric asked for, by its abbreviation.

    Args:
        metrics: Abbreviations (keys of ``METRICS``); None means all that the convention has.
        convention: A key of ``CONVENTIONS``.
        variants: Variants that go before the convention's.

    Raises:
        InputError: A metric, convention or variant is unknown, or the convention lacks a metric that is asked
            for and no variant is given for it.

    Example:
        >>> resolve_variants(["EN", "VIF"], convention="cddfuse")
        {'EN': 'shannon', 'VIF': 'vifp_sum'}
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention is one of {', '.join(CONVENTIONS)}; got {convention!r}")
    variants = dict(variants or {})
    if isinstance(metrics, str):
        raise InputError(f"metrics is a list of abbreviations; got the string {metrics!r}: write [{metrics!r}]")
    names = list(metrics) if metrics is not None else [n for n in METRICS if convention in METRICS[n].conventions]
    unknown = [name for name in [*names, *variants] if name not in METRICS]
    if unknown:
        raise InputError(f"unknown metric {unknown[0]!r}; the metrics are {', '.join(METRICS)}")
    for name, variant in variants.items():
        if variant not in METRICS[name].variants:
            raise InputError(f"{name} has the variants {', '.join(METRICS[name].variants)}; got {variant!r}")
        if name not in names:
            if metrics is not None:
                raise InputError(f"a variant is given for {name}, which is not among the metrics asked for")
            names.append(name)
    missing = [name for name in names if name not in variants and convention not in METRICS[name].conventions]
    if missing:
        raise InputError(
            f"the convention {convention!r} has no {missing[0]}: leave it out, or name its variant "
            f"({', '.join(METRICS[missing[0]].variants)})"
        )
    return {name: variants.get(name) or METRICS[name].conventions[convention] for name in names}


def score(fused: Gray, sources: GrayStack, variants: Mapping[str, str]) -> dict[str, Score]:
    """Metrics of grey images as arrays: the part of :func:`evaluate` that can be mapped over a batch.

    Args:
        fused: The fused image.
        sources: What it was fused from.
        variants: The variant of each metric, as :func:`resolve_variants` gives it.

    Raises:
        InputError: A metric's function gives no number.

    Example:
        >>> import jax, numpy as np
        >>> folder = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64), dtype=np.uint8)
        >>> variants = resolve_variants(["EN", "SSIM"])
        >>> scores = jax.vmap(lambda f, s: score(f, s, variants))(folder[:, 0], folder[:, 1:])
        >>> scores["SSIM"].shape
        (5,)
    """
    fused, sources = jnp.asarray(fused), jnp.asarray(sources)
    values = {}
    for name, variant in variants.items():
        metric = METRICS[name]
        images = (fused, sources) if metric.needs_sources else (fused,)
        values[name] = metric.function(*images, variant=variant)
        if jnp.shape(values[name]) != ():
            raise InputError(
                f"metric {name!r}: its function gives one number for grey images; got shape {jnp.shape(values[name])}"
            )
    return values


def evaluate(
    fused: Array | np.ndarray,
    sources: Sequence[Array | np.ndarray] | Array | np.ndarray,
    *,
    metrics: Iterable[str] | None = None,
    convention: Convention = "standard",
    variants: Mapping[str, str] | None = None,
    channel: Channel = "y",
) -> dict[str, float]:
    """Quality metrics of a fused image by their abbreviations.

    Args:
        fused: The fused image, ``(H, W)`` or ``(H, W, 3)``; uint8, uint16, or floats in [0, 1].
        sources: The images it was fused from, at least 2, each of its size and depth, grey or colour.
        metrics: Abbreviations (keys of ``METRICS``); None means all that the convention has.
        convention: Whose definitions to follow (keys of ``CONVENTIONS``).
        variants: Variants of single metrics that go before the convention, such as ``{"VIF": "vifp_sum"}``;
            they also give a metric to a convention that lacks it.
        channel: What a colour image is judged by: ``"y"``, its luma (BT.601, full range); ``"gray"``, that
            rounded to whole levels where the image is 8-bit, as OpenCV's grey; ``"rgb"``, the mean over the
            three channels, with a grey image standing for each (MEF-SSIM stays on grey). Grey images are the
            same in all.

    Returns:
        Value by abbreviation, in the order asked for. NaN where a metric is undefined, such as a correlation
        with an image of one level or a window larger than the image.

    Raises:
        InputError: A metric, convention, variant or channel is unknown; images differ in size or depth; fewer
            than two sources; NaN or infinite pixels; floats outside [0, 1].

    Example:
        >>> import numpy as np
        >>> dark, bright = np.zeros((64, 64), np.uint8), np.full((64, 64), 200, np.uint8)
        >>> evaluate(np.full((64, 64), 100, np.uint8), [dark, bright], metrics=["RMSE", "SD"])
        {'RMSE': 100.0, 'SD': 0.0}
    """
    chosen = resolve_variants(metrics, convention=convention, variants=variants)
    pairs = planes(fused, sources, channel)
    if len(pairs) == 1:
        values = score(*pairs[0], chosen)
    else:
        values = _color_score(pairs, gray_pair(fused, sources), chosen, convention)
    found = jax.device_get(values)
    return {name: float(found[name]) for name in chosen}


def _color_score(
    pairs: list[tuple[np.ndarray, np.ndarray]],
    gray: tuple[np.ndarray, np.ndarray],
    variants: Mapping[str, str],
    convention: str,
) -> dict[str, Score]:
    """The mean over channels, but for metrics that are taken on grey and for VIFB's spatial frequency.

    VIFB computes the latter of the three channels side by side, with a seam between one and the next.
    """
    on_gray = {name: variant for name, variant in variants.items() if not METRICS[name].per_channel}
    values = score(*gray, on_gray)
    joined = {"SF": variants["SF"]} if convention == "vifb" and "SF" in variants else {}
    wide_fused, wide_sources = (np.concatenate(images, axis=-1) for images in zip(*pairs, strict=True))
    values |= score(wide_fused, wide_sources, joined)
    rest = {name: variant for name, variant in variants.items() if name not in values}
    channels = [score(*pair, rest) for pair in pairs]
    return values | {name: jnp.mean(jnp.stack([each[name] for each in channels])) for name in rest}
