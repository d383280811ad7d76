"""Dominability by band: its special cases beside independent code, and what holds for all of them."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, special

from ttd_jax import Facts, FusionModel, InputError, LossWeighting, fuse
from ttd_jax.backbones import pyramid
from ttd_jax.core import fusion
from ttd_jax.core.bands import ENERGY_FLOOR, merge_by_band, weights_of_bands
from ttd_jax.core.weighting import PAPER
from ttd_jax.engine.color import color_by_band
from ttd_jax.ops.pyramid import laplacian_pyramid


@dataclass(frozen=True)
class Dimmed(FusionModel):
    """A network whose components are 0.8 of their sources and a tenth."""

    facts = Facts(by_band=True)

    def encode(self, variables, sources):
        return sources

    def merge(self, features, weights=None):
        if isinstance(weights, tuple):
            return merge_by_band(features, weights)
        return jnp.mean(features, axis=0) if weights is None else jnp.sum(weights * features, axis=0)

    def decode(self, variables, latent):
        return 0.8 * latent + 0.1


BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


run = jax.jit(fusion.fuse, static_argnums=0)


def halved(image):
    for axis in (0, 1):
        image = ndimage.correlate1d(image, BINOMIAL, axis, mode="nearest")
    return image[::2, ::2]


def doubled(image, size):
    for axis in (0, 1):
        wide = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        apart = np.zeros([2 * n if a == axis else n for a, n in enumerate(wide.shape)])
        apart[tuple(slice(None, None, 2) if a == axis else slice(None) for a in (0, 1))] = wide
        spread = 2 * ndimage.correlate1d(apart, BINOMIAL, axis, mode="nearest")
        image = np.take(spread, np.arange(2, 2 + size[axis]), axis)
    return image


def burt_kolczynski(sources, power=4):
    """Energy-weighted pyramid fusion, in float64 with scipy alone."""
    levels = [np.asarray(source, float) for source in sources]
    bands = []
    while min(levels[0].shape) > 16:
        coarser = [halved(level) for level in levels]
        band = np.stack([a - doubled(b, a.shape) for a, b in zip(levels, coarser, strict=True)])
        energy = np.stack([ndimage.gaussian_filter(one**2, 1, truncate=3, mode="nearest") for one in band])
        weights = special.softmax(power * np.log(energy + ENERGY_FLOOR), axis=0)
        bands.append((weights * band).sum(axis=0))
        levels = coarser
    image = np.mean(levels, axis=0)
    for band in reversed(bands):
        image = band + doubled(image, band.shape)
    return image


@pytest.mark.parametrize("shape", [(2, 64, 70), (3, 37, 51)])
def test_without_loss_it_is_the_energy_weighted_pyramid(shape):
    sources = draw(*shape)
    fused = run(pyramid.MODEL, {}, sources[..., np.newaxis], pyramid.WEIGHTING)
    np.testing.assert_allclose(fused.image[..., 0], burt_kolczynski(np.asarray(sources)), atol=2e-5)


def test_one_band_without_saliency_is_the_papers_equation_6():
    model, sources = Dimmed(), draw(2, 20, 23, 1)
    one = run(model, {}, sources, replace(PAPER, bands=1, saliency=0.0))
    squares = np.stack([np.mean((c - s) ** 2, axis=-1) for c, s in zip(one.components, sources, strict=True)])
    np.testing.assert_allclose(one.weights, special.softmax(np.exp(-squares), axis=0), atol=1e-6)
    assert one.bands is None


@pytest.mark.parametrize("form", ["log", "exp"])
def test_scores_of_bands_follow_their_formula(form):
    sources = draw(2, 40, 44, 1, seed=3)
    weighting = replace(PAPER, bands=3, saliency=1.5, scale=2.0, form=form)
    model = Dimmed()
    fused = run(model, {}, sources, weighting)
    for k, weights in enumerate(fused.bands):
        u, x = (np.asarray(laplacian_pyramid(images[..., 0], 2)[k], float) for images in (fused.components, sources))

        def local(values):
            return ndimage.gaussian_filter(values, (0, 1, 1), truncate=3, mode="nearest")

        loss = local((u - x) ** 2)
        score = -2 * np.log(loss + 255.0**-2) if form == "log" else np.exp(-2 * loss)
        if k < 2:
            score = score + 1.5 * np.log(local(u**2) + ENERGY_FLOOR)
        np.testing.assert_allclose(weights[..., 0], special.softmax(score, axis=0), atol=2e-4)


def test_every_option_of_a_weighting_counts_in_bands():
    sources, model = draw(2, 40, 44, 1, seed=3), Dimmed()
    plain = replace(PAPER, bands=3, saliency=1.0, scale=2.0, form="log")
    straight = run(model, {}, sources, plain)
    turned = run(model, {}, sources, replace(plain, correlation="positive"))
    for one, other in zip(straight.bands, turned.bands, strict=True):
        np.testing.assert_allclose(one, np.asarray(other)[::-1], atol=1e-5)  # two sources exchange their weights
    smoothed = run(model, {}, sources, replace(plain, saliency=0.0, smoothing=3.0))
    rough = run(model, {}, sources, replace(plain, saliency=0.0))
    for one, other in zip(smoothed.bands[:2], rough.bands[:2], strict=True):
        assert np.std(one) < np.std(other)
    assert np.abs(run(model, {}, sources, replace(plain, loss="l1")).bands[0] - straight.bands[0]).max() > 0.01


def test_weights_of_every_band_and_their_summary_sum_to_one():
    fused = run(pyramid.MODEL, {}, draw(4, 50, 61, 1), pyramid.WEIGHTING)
    for weights in (*fused.bands, fused.weights):
        np.testing.assert_allclose(np.sum(weights, axis=0), 1, atol=1e-5)
    assert fused.weights.shape == (4, 50, 61) and len(fused.bands) == 3


def test_even_weights_merge_to_the_mean_and_one_sided_ones_to_that_source():
    features = draw(3, 33, 40, 5)
    shapes = [band.shape for band in laplacian_pyramid(features[..., 0], 2)]
    even = tuple(jnp.full((*shape, 1), 1 / 3) for shape in shapes)
    np.testing.assert_allclose(merge_by_band(features, even), features.mean(axis=0), atol=1e-6)
    chosen = jnp.array([0.0, 1.0, 0.0])[:, None, None, None]
    np.testing.assert_allclose(merge_by_band(features, tuple(0 * w + chosen for w in even)), features[1], atol=1e-6)


def test_a_full_size_map_goes_down_a_gaussian_pyramid():
    weights = draw(2, 20, 24, 1)
    fine, coarse = weights_of_bands(weights, laplacian_pyramid(draw(2, 20, 24), 1))
    np.testing.assert_array_equal(fine, weights)
    expected = [halved(np.asarray(one, float)) for one in weights[..., 0]]
    np.testing.assert_allclose(coarse[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("model", [pyramid.MODEL, Dimmed()])
def test_the_summary_is_the_mean_of_the_enlarged_weights(model):
    fused = run(model, {}, draw(2, 40, 45, 1), replace(pyramid.WEIGHTING, bands="all"))
    *finer, total = ([np.asarray(one, float) for one in weights[..., 0]] for weights in fused.bands)
    for weights in reversed(finer):
        total = [own + doubled(coarse, own.shape) for own, coarse in zip(weights, total, strict=True)]
    np.testing.assert_allclose(fused.weights, np.stack(total) / 3, atol=1e-5)


def test_order_of_the_sources_does_not_matter():
    sources, order = draw(3, 45, 52, 1), np.array([2, 0, 1])
    one, other = (run(pyramid.MODEL, {}, s, pyramid.WEIGHTING) for s in (sources, sources[order]))
    np.testing.assert_allclose(one.image, other.image, atol=1e-5)
    np.testing.assert_allclose(np.asarray(one.weights)[order], other.weights, atol=1e-5)


def test_new_numbers_compile_nothing():
    counted = jax.jit(lambda s, w: fusion.fuse(pyramid.MODEL, {}, s, w).image)
    sources = draw(2, 20, 20, 1)
    for saliency in (1.0, 2.0, 3.0):
        counted(sources, replace(pyramid.WEIGHTING, saliency=np.float32(saliency), scale=np.float32(0)))
    assert counted._cache_size() == 1


@pytest.mark.parametrize(
    "sources",
    [
        [np.zeros((40, 40)), np.ones((40, 40))],
        [np.zeros((5, 7)), draw(5, 7)],
        [np.full((33, 33), 0.5), np.full((33, 33), 0.5)],
        [draw(40, 40), np.zeros((40, 40))],
    ],
)
def test_sources_without_structure_give_a_finite_picture(sources):
    result = fuse(sources, backbone="pyramid")
    assert np.isfinite(result.image).all() and 0 <= result.image.min() and result.image.max() <= 1
    np.testing.assert_allclose(result.weights.sum(axis=0), 1, atol=1e-5)


def test_a_network_of_bands_has_as_many_as_it_makes():
    sources = list(np.asarray(draw(2, 40, 44)))
    for bands in (1, 3, "all"):
        fuse(sources, backbone="pyramid", weighting=LossWeighting(bands=bands))
    with pytest.raises(InputError, match="makes 3 bands of an image of this size: use bands='all', or bands=1"):
        fuse(sources, backbone="pyramid", weighting=LossWeighting(bands=2))


def test_the_pyramid_keeps_colour_and_bits():
    near, far = (np.random.default_rng(n).integers(0, 65536, (40, 50, 3), np.uint16) for n in (0, 1))
    result = fuse([near, far], backbone="pyramid")
    assert result.image.dtype == np.uint16 and result.image.shape == (40, 50, 3)
    same = fuse([near, near], backbone="pyramid").image.astype(int)
    assert np.abs(same - near).max() <= 2
    assert result.report["backbone"] == "pyramid" and len(result.bands) == 3


def test_colour_does_not_come_from_clipped_pixels():
    red = np.zeros((64, 64, 3), np.float32) + np.array([0.6, 0.3, 0.3], np.float32)
    white = np.ones((64, 64, 3), np.float32)
    fused = fuse([red, white], backbone="pyramid").image
    brightness = fused @ np.array([0.299, 0.587, 0.114])
    chroma = fused[..., 0] - brightness
    wanted = 0.6 - np.array([0.6, 0.3, 0.3]) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(chroma - wanted).max() < 0.02  # the average would halve it


def chroma_of(image):
    brightness = image @ np.array([0.299, 0.587, 0.114])
    return np.stack([image[..., 2] - brightness, image[..., 0] - brightness])


def test_no_colour_that_is_in_no_source():
    """Bands of chroma from different sources would overshoot at edges."""
    rng = np.random.default_rng(0)
    areas = ndimage.zoom(rng.random((3, 6, 7, 3)), (1, 10, 10, 1), order=0).astype(np.float32)
    sources = 0.2 + 0.6 * areas
    result = fuse(list(sources), backbone="pyramid")
    lumas, luma = (x @ np.array([0.299, 0.587, 0.114], np.float32) for x in (sources, result.image))
    arrays = (jnp.asarray(x) for x in (result.weights, sources, lumas, luma, np.ones(3, bool)))
    _, strengths = color_by_band(*arrays)
    there = np.stack([chroma_of(source) * strength for source, strength in zip(sources, strengths, strict=True)])
    found = chroma_of(result.image)
    assert (found > there.min(axis=0) - 1e-4).all() and (found < there.max(axis=0) + 1e-4).all()


def test_the_source_that_is_as_bright_as_the_result_tells_its_colour():
    blue = np.zeros((40, 40, 3), np.float32) + np.array([0.1, 0.1, 0.3], np.float32)
    middle = np.zeros((40, 40, 3), np.float32) + np.array([0.55, 0.45, 0.45], np.float32)
    bright = np.zeros((40, 40, 3), np.float32) + np.array([0.8, 0.9, 0.8], np.float32)
    fused = fuse([blue, middle, bright], backbone="pyramid").image  # flat: their mean, about 0.48
    near, far = (np.abs(chroma_of(fused) - chroma_of(one)).max() for one in (middle, np.mean([blue, bright], axis=0)))
    assert near < far / 3  # every source alike: twice as far


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bands": 0}, "bands is 'all' or a number of at least 1; got 0"),
        ({"bands": "many"}, "bands is 'all' or a number of at least 1; got 'many'"),
        ({"saliency": -1.0}, "saliency is a finite number of at least 0; got -1.0"),
        ({"bands": 3, "loss": lambda u, x: jnp.abs(u - x)[..., 0]}, "use bands=1"),
        ({"bands": "all", "normalization": "none"}, "weights by band need normalization"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        LossWeighting(**options)


def test_components_by_band_are_of_the_kind_that_was_asked_for():
    sources, weighting = draw(2, 40, 44, 1), LossWeighting(bands=3, saliency=1.0, scale=1.0)
    alone, fused = (
        run(Dimmed(), {}, sources, replace(weighting, component=c).complete(PAPER)) for c in ("alone", "fused")
    )
    np.testing.assert_allclose(alone.components, 0.8 * sources + 0.1, atol=1e-6)
    expected = np.broadcast_to(0.8 * sources.mean(axis=0) + 0.1, sources.shape)
    np.testing.assert_allclose(fused.components, expected, atol=1e-6)
