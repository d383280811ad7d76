"""`evaluate`: colour, conventions, and every kind of bad input."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage import data

from ttd_jax.errors import InputError
from ttd_jax.metrics import METRICS, evaluate, resolve_variants


@pytest.fixture(scope="module")
def color():
    """A 40x44 colour image and two colour sources."""
    photo = data.astronaut()[60:100, 180:224]
    return photo, [np.roll(photo, 2, axis=0), (photo * 0.7).astype(np.uint8)]


def test_all_of_a_convention_in_the_order_of_the_table(fused, sources):
    found = evaluate(fused, sources[:2], convention="ttd")
    assert list(found) == ["EN", "CE", "SD", "AG", "EI", "SF", "SCD", "SSIM"]
    assert all(type(value) is float for value in found.values())
    assert list(evaluate(fused, sources[:2], metrics=["SF", "EN"])) == ["SF", "EN"]


def test_a_variant_goes_before_the_convention(fused, sources):
    by_convention = evaluate(fused, sources, metrics=["EI"], convention="vifb")["EI"]
    by_variant = evaluate(fused, sources, metrics=["EI"], convention="vifb", variants={"EI": "skimage"})["EI"]
    assert by_variant == pytest.approx(by_convention / 4)


def test_a_variant_gives_a_metric_to_a_convention_that_lacks_it():
    assert "VIF" not in resolve_variants(None, convention="ttd")
    assert resolve_variants(None, convention="ttd", variants={"VIF": "vifp_sum"})["VIF"] == "vifp_sum"


@pytest.mark.parametrize("channel", ["y", "gray", "rgb"])
def test_gray_images_are_the_same_in_every_channel(channel, fused, sources):
    expected = evaluate(fused, sources, metrics=["EN", "AG"])
    assert evaluate(fused, sources, metrics=["EN", "AG"], channel=channel) == expected
    stacked = [source[..., np.newaxis] for source in sources]
    assert evaluate(fused[..., np.newaxis], stacked, metrics=["EN", "AG"], channel=channel) == expected


def test_y_is_unrounded_luma(color):
    fused, _ = color
    luma = fused @ np.array([0.299, 0.587, 0.114]) / 255
    expected = evaluate(luma, [luma, luma], metrics=["SD", "AG"])
    assert evaluate(fused, [fused, fused], metrics=["SD", "AG"], channel="y") == pytest.approx(expected)


def test_gray_rounds_as_opencv():
    """Colours whose luma lies on a half, and the level that OpenCV 5.0 with fused multiply-add gives them."""
    red, green, blue, gray = np.array([
        (0, 138, 171, 101), (1, 67, 148, 57), (2, 188, 189, 133), (3, 39, 15, 25), (4, 238, 207, 165),
        (5, 23, 136, 31), (6, 14, 92, 21), (7, 101, 80, 71), (8, 40, 102, 37), (9, 37, 185, 45),
        (10, 24, 223, 43), (11, 29, 142, 37),
    ]).T  # fmt: skip
    image = np.stack([red, green, blue], axis=-1).reshape(3, 4, 3).astype(np.uint8)
    expected = gray.reshape(3, 4).astype(np.uint8)
    found = evaluate(image, [image, image], metrics=["SD", "SF"], channel="gray")
    assert found == evaluate(expected, [expected, expected], metrics=["SD", "SF"])


def test_rgb_is_the_mean_over_channels(color):
    fused, sources = color
    names = ["EN", "AG", "SF", "MI", "PSNR", "SSIM"]
    per_channel = [evaluate(fused[..., k], [s[..., k] for s in sources], metrics=names) for k in range(3)]
    expected = {name: np.mean([found[name] for found in per_channel]) for name in names}
    assert evaluate(fused, sources, metrics=names, channel="rgb") == pytest.approx(expected)


def test_a_gray_source_stands_for_every_channel(color):
    fused, (first, second) = color
    gray = second[..., 0]
    repeated = np.repeat(gray[..., np.newaxis], 3, axis=2)
    names = ["MI", "SCD"]
    expected = evaluate(fused, [first, repeated], metrics=names, channel="rgb")
    assert evaluate(fused, [first, gray], metrics=names, channel="rgb") == pytest.approx(expected)


def test_vifb_takes_spatial_frequency_of_channels_side_by_side(color):
    fused, sources = color
    found = evaluate(fused, sources, metrics=["SF"], convention="vifb", channel="rgb")["SF"]
    wide = np.concatenate([fused[..., k] for k in range(3)], axis=1).astype(float)
    squares = np.sum(np.diff(wide, axis=1) ** 2) + np.sum(np.diff(wide, axis=0) ** 2)
    assert found == pytest.approx(np.sqrt(squares / wide.size), rel=1e-6)


def test_the_exposure_metric_stays_on_gray(color):
    fused, sources = (np.repeat(np.repeat(image, 2, axis=0), 2, axis=1) for image in (color[0], color[1][0]))
    pair = [sources, sources[::-1]]
    rgb, gray = (evaluate(fused, pair, metrics=["MEF-SSIM"], channel=channel) for channel in ("rgb", "gray"))
    assert rgb == gray


IMAGE = np.zeros((20, 30), np.uint8)
OTHER = np.ones((20, 30), np.uint8)
FLOATS = np.full((20, 30), 0.5)


def broken(value):
    image = FLOATS.copy()
    image[3, 4] = value
    return image


@pytest.mark.parametrize(
    ("fused", "sources", "options", "message"),
    [
        (IMAGE, [IMAGE], {}, r"at least two sources; got 1: for a ground truth"),
        (IMAGE, [], {}, r"at least two sources; got 0"),
        (IMAGE, IMAGE, {}, r"sources is a list of at least two images"),
        (
            IMAGE,
            [IMAGE, IMAGE[:10]],
            {},
            r"one size; fused is 30x20 but sources\[1\] is 30x10: resize or crop",
        ),
        (IMAGE, [IMAGE, FLOATS], {}, r"one depth; fused is uint8 but sources\[1\] is float64: convert"),
        (
            IMAGE.astype(np.uint16),
            [IMAGE, IMAGE],
            {},
            r"one depth; fused is uint16 but sources\[0\] is uint8",
        ),
        (
            IMAGE.astype(np.int32),
            [IMAGE, IMAGE],
            {},
            r"fused: pixels are bool, uint8, uint16 or float in \[0, 1\]; got int32: shift and scale",
        ),
        (np.zeros((1, 20, 30), np.uint8), [IMAGE] * 2, {}, r"fused has shape \(1, 20, 30\): expected \(H, W\), "),
        (IMAGE[:2], [IMAGE[:2]] * 2, {}, r"fused has 2 x 30 pixels: expected at least 3 x 3"),
        (broken(np.nan), [FLOATS, FLOATS], {}, r"fused: pixels are finite numbers; got 1 NaN or infinite"),
        (FLOATS, [FLOATS, broken(np.inf)], {}, r"sources\[1\]: pixels are finite numbers; got 1 NaN or"),
        (
            FLOATS * 255,
            [FLOATS, FLOATS],
            {},
            r"fused: float pixels lie in \[0, 1\]; got \[127.5, 127.5\]: divide",
        ),
        (IMAGE, [IMAGE, OTHER], {"metrics": ["XX"]}, r"unknown metric 'XX'; the metrics are EN, CE, "),
        (IMAGE, [IMAGE, OTHER], {"metrics": "EN"}, r"got the string 'EN': write \['EN'\]"),
        (
            IMAGE,
            [IMAGE, OTHER],
            {"convention": "matlab"},
            r"convention is one of standard, ttd, .*; got 'matlab'",
        ),
        (IMAGE, [IMAGE, OTHER], {"channel": "L"}, r"channel is one of 'y', 'gray', 'rgb'; got 'L'"),
        (IMAGE, [IMAGE, OTHER], {"variants": {"EN": "x"}}, r"EN has the variants shannon, zoo; got 'x'"),
        (IMAGE, [IMAGE, OTHER], {"variants": {"XX": "x"}}, r"unknown metric 'XX'"),
        (
            IMAGE,
            [IMAGE, OTHER],
            {"metrics": ["VIF"], "convention": "ttd"},
            r"the convention 'ttd' has no VIF: leave it out, or name its variant \(vifp_mean, vifp_sum,",
        ),
        (
            IMAGE,
            [IMAGE, OTHER],
            {"metrics": ["EN"], "variants": {"AG": "mean"}},
            r"a variant is given for AG, which is not among the metrics asked for",
        ),
    ],
)
def test_bad_input_is_explained_in_one_line(fused, sources, options, message):
    with pytest.raises(InputError, match=message) as caught:
        evaluate(fused, sources, **options)
    assert "\n" not in str(caught.value)


def test_a_batch_of_jax_arrays_is_accepted(fused, sources):
    expected = evaluate(fused, sources, metrics=["EN", "MI"])
    assert evaluate(jnp.asarray(fused), jnp.asarray(sources), metrics=["EN", "MI"]) == expected


def test_metric_functions_refuse_integers_they_cannot_scale():
    with pytest.raises(InputError, match=r"expected uint8 .* got int32: convert the image"):
        METRICS["EN"].function(np.zeros((8, 8), np.int32))
