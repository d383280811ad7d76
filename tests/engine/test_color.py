"""The colour rules of ``fuse``, and that colour comes out as it went in."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import analytic
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, LossWeighting
from ttd_jax.engine.color import COLOR_RULES, choose_color_rule, color_by_band
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)
SIZE = (12, 14)
WEIGHTS = np.array([0.299, 0.587, 0.114])


def picture():
    """Colour around mid-grey, so that no luma in reach makes it impossible."""
    return (0.4 + 0.2 * RNG.random((*SIZE, 3))).astype(np.float32)


def grey():
    return (0.4 + 0.2 * RNG.random(SIZE)).astype(np.float32)


def split(rgb):
    """Luma and chroma (Cb, Cr), in NumPy."""
    y = rgb @ WEIGHTS
    return y, np.stack([(rgb[..., 2] - y) / 1.772, (rgb[..., 0] - y) / 1.402], axis=-1)


@pytest.fixture(scope="module", params=["ifcnn", "analytic"])
def backbone(request, ifcnn_variables):
    return ifcnn_backbone(ifcnn_variables) if request.param == "ifcnn" else analytic.backbone("mean")


@pytest.mark.parametrize(
    ("color", "colored", "channels", "rule"),
    [
        ("auto", (False, False), 3, "gray"),
        ("auto", (True, True), 3, "rgb"),
        ("auto", (True, True), 1, "luma"),
        ("auto", (True, False), 3, "luma"),
        ("auto", (False, True, True), 1, "luma"),
        ("gray", (True, True), 3, "gray"),
        ("luma", (True, True), 3, "luma"),
        ("luma", (False, False), 3, "luma"),
        ("rgb", (True, False), 3, "rgb"),
        ("rgb", (False, False), 3, "rgb"),
    ],
)
def test_the_rule(color, colored, channels, rule):
    assert choose_color_rule(color, colored, channels) == rule


def test_rules_that_cannot_be():
    with pytest.raises(InputError) as caught:
        choose_color_rule("rgb", (True, True), 1)
    assert str(caught.value) == ("this backbone takes one channel: use color='luma', which keeps the colour, or 'gray'")
    with pytest.raises(InputError) as caught:
        choose_color_rule("hsv", (True, True), 3)
    assert str(caught.value) == "color is one of auto, gray, luma, rgb; got 'hsv'"


@pytest.mark.parametrize("weighting", ["loss", "static"])
def test_the_hue_of_a_picture_fused_with_itself_is_kept(backbone, weighting):
    rgb = RNG.random((*SIZE, 3)).astype(np.float32)  # the whole of colour space
    result = Fuser(backbone, weighting=weighting, color="luma")([rgb, rgb])
    assert result.image.shape == rgb.shape
    chroma, kept = split(rgb)[1], split(result.image)[1]  # paler where the fused luma leaves no room for it
    assert np.abs(chroma[..., 0] * kept[..., 1] - chroma[..., 1] * kept[..., 0]).max() < 1e-3 / 255
    assert (np.linalg.norm(kept, axis=-1) <= np.linalg.norm(chroma, axis=-1) + 1e-6).all()
    assert np.median(np.linalg.norm(kept, axis=-1) / np.linalg.norm(chroma, axis=-1)) > 0.5
    assert result.report["color"] == "luma"
    assert result.report["color_rule"] == COLOR_RULES["luma"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_colour_source_among_grey_ones_gives_its_chroma(backbone, order):
    rgb, infrared = picture(), grey()
    result = Fuser(backbone, weighting=LossWeighting(scale=5.0))([rgb, infrared][::order])
    luma = Fuser(backbone, weighting=LossWeighting(scale=5.0))([split(rgb)[0].astype(np.float32), infrared][::order])
    np.testing.assert_allclose(split(result.image)[1], split(rgb)[1], atol=2e-6)
    np.testing.assert_allclose(split(result.image)[0], luma.image, atol=2e-6)
    np.testing.assert_allclose(result.weights, luma.weights, atol=2e-6)
    assert result.report["color"] == "luma"


def test_the_chroma_of_several_colour_sources_is_merged_by_the_weights(backbone):
    sources = [picture(), grey(), picture()]
    result = Fuser(backbone, weighting=LossWeighting(form="linear", scale=50.0))(sources)
    weights = result.weights[[0, 2]]
    weights = (weights / weights.sum(0))[..., np.newaxis]
    expected = weights[0] * split(sources[0])[1] + weights[1] * split(sources[2])[1]
    np.testing.assert_allclose(split(result.image)[1], expected, atol=3e-6)
    assert np.ptp(weights) > 0.01


def test_static_rules_average_the_chroma():
    sources = [picture(), grey(), picture()]
    result = Fuser(analytic.backbone("max"), weighting="static")(sources)
    assert result.weights is None
    np.testing.assert_allclose(split(result.image)[1], (split(sources[0])[1] + split(sources[2])[1]) / 2, atol=2e-6)


def test_a_grey_source_that_takes_all_the_weight_leaves_the_colour():
    rgb, sharp = picture(), np.full(SIZE, 0.25, np.float32)
    fuser = Fuser(analytic.backbone("mean"), weighting=LossWeighting(form="linear", scale=1e9))
    result = fuser([rgb, sharp])
    assert (result.weights[0] == 0).any()
    np.testing.assert_allclose(split(result.image)[1], split(rgb)[1], atol=2e-6)


def test_rgb_goes_through_the_network_as_it_is(ifcnn_variables):
    sources = [picture(), picture()]
    backbone = ifcnn_backbone(ifcnn_variables)
    result = Fuser(backbone)(sources)
    assert result.report["color"] == "rgb"
    assert result.components.shape == (2, *SIZE, 3)
    swapped = Fuser(backbone)([source[..., ::-1] for source in sources])
    assert np.abs(swapped.image[..., ::-1] - result.image).max() > 1e-3  # channels are not treated alike


@pytest.mark.parametrize("weighting", ["loss", "static"])
def test_gray_drops_colour_from_everything(backbone, weighting):
    sources = [picture(), picture()]
    result = Fuser(backbone, weighting=weighting, color="gray")(sources)
    lumas = [split(source)[0].astype(np.float32) for source in sources]
    assert result.image.shape == SIZE
    np.testing.assert_allclose(result.image, Fuser(backbone, weighting=weighting)(lumas).image, atol=2e-6)


def test_grey_stored_as_rgb_stays_grey_in_three_channels(backbone):
    a, b = grey(), grey()
    result = Fuser(backbone)([np.dstack([a] * 3), np.dstack([b] * 3)])
    plain = Fuser(backbone)([a, b])
    assert result.report["color"] == "gray"
    assert result.image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(result.image[..., 0], result.image[..., 2])
    np.testing.assert_allclose(result.image[..., 0], plain.image, atol=1e-6)


def test_a_three_channel_network_on_grey_gives_the_luma_of_its_output(ifcnn_variables):
    from ttd_jax.core import fusion
    from ttd_jax.core.weighting import StaticWeighting

    backbone = ifcnn_backbone(ifcnn_variables, "max")
    sources = np.stack([grey(), grey()])[..., np.newaxis]
    raw = np.asarray(fusion.fuse(backbone.model, backbone.variables, jnp.asarray(sources), StaticWeighting()).image)
    result = Fuser(backbone, weighting="static")(list(sources))
    assert np.ptp(raw, axis=-1).max() > 1e-3
    np.testing.assert_allclose(result.image[..., 0], np.clip(raw @ WEIGHTS, 0, 1), atol=1e-5)


def bracket():
    """A wall in warm light that grows from left to right, two exposures of it by a camera of gamma 2.2."""
    light = np.linspace(0.02, 0.9, 64)[np.newaxis, :, np.newaxis] * np.ones((48, 1, 1))
    radiance = light * np.array([1.0, 0.55, 0.25])
    dark, bright = (np.clip(gain * radiance, 0, 1) ** (1 / 2.2) for gain in (0.25, 2.0))
    return [np.rint(255 * frame).astype(np.uint8) for frame in (dark, bright)], radiance


@pytest.mark.parametrize("backbone", ["bandnet", "pyramid", "mertens"])
def test_brackets_keep_the_colour_of_what_one_frame_clips(backbone):
    frames, radiance = bracket()
    fused = Fuser(backbone)(frames).image / 255
    y, chroma = split(fused)
    true = split(radiance ** (1 / 2.2))
    ratio, expected = chroma / y[..., np.newaxis], true[1] / true[0][..., np.newaxis]  # the same whatever the exposure
    clipped = frames[1].max(-1) == 255
    assert 0.3 < clipped.mean() < 0.9
    angle = np.arctan2(ratio[..., 1], ratio[..., 0]) - np.arctan2(expected[..., 1], expected[..., 0])
    assert np.abs(np.degrees(angle)).max() < 12  # the bright frame alone: 31
    strength = np.linalg.norm(ratio, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert 0.6 < strength[clipped].min() and strength.max() < 1.3


def test_colour_is_as_strong_as_in_the_only_source_that_has_it():
    stack = RNG.random((3, *SIZE, 3)).astype(np.float32)
    lumas, colored = (stack @ WEIGHTS).astype(np.float32), np.array([False, True, False])
    arrays = np.full((3, *SIZE), 1 / 3, np.float32), stack, lumas, grey(), colored
    _, strengths = color_by_band(*map(jnp.asarray, arrays))
    np.testing.assert_array_equal(strengths[1], 1)


def test_colour_is_carried_no_further_than_sources_with_colour_go():
    stack = np.stack([np.full((*SIZE, 3), level, np.float32) for level in (0.1, 0.4, 1.0)])
    weights, pixels, lumas = jnp.full((3, *SIZE), 1 / 3), jnp.asarray(stack), jnp.asarray(stack[..., 0])
    colored = jnp.array([True, True, False])
    told = [color_by_band(weights, pixels, lumas, jnp.full(SIZE, fused), colored)[1][0] for fused in (0.05, 0.4, 0.9)]
    assert told[0].max() == told[0].min() == 1
    np.testing.assert_array_equal(told[1], told[2])
    np.testing.assert_allclose(told[1], 0.4 * np.sqrt(0.6) / (0.1 * np.sqrt(0.9)), rtol=0.05)
