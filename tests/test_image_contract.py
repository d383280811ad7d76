"""What an image is: ``fuse``, ``evaluate`` and the illumination classifier take the same arrays and refuse the same."""

import numpy as np
import pytest

from ttd_jax.errors import InputError
from ttd_jax.inputs import check_sources
from ttd_jax.metrics import evaluate
from ttd_jax.metrics.planes import planes
from ttd_jax.ops.pixels import as_image

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 256, (12, 14, 3), dtype=np.uint8)
WHOLE[0, 0], WHOLE[0, 1] = 0, 255
UNIT = (WHOLE / 255).astype(np.float32)
ONE_BIT = WHOLE > 127
ALPHA = RNG.integers(0, 256, (12, 14, 1), dtype=np.uint8)


def rounded(image, by):
    """The image with every 0 and 1 a rounding error outside of [0, 1]."""
    return np.where(image == 1, 1 + by, np.where(image == 0, -by, image)).astype(image.dtype)


SAME = {  # an image, and a plain one that it must count as
    "float64 that a filter rounded": (rounded(UNIT.astype(np.float64), 5e-7), UNIT.astype(np.float64)),
    "float32 that a resize rounded": (rounded(UNIT, 2.0**-23), UNIT),
    "bool": (ONE_BIT, ONE_BIT.astype(np.uint8) * 255),
    "bool of one channel": (ONE_BIT[..., :1], ONE_BIT[..., 0].astype(np.uint8) * 255),
    "colour with alpha": (np.concatenate([WHOLE, ALPHA], axis=-1), WHOLE),
    "grey with alpha": (np.concatenate([WHOLE[..., :1], ALPHA], axis=-1), WHOLE[..., 0]),
    "masked where nothing is": (np.ma.masked_array(WHOLE, mask=np.zeros_like(WHOLE, bool)), WHOLE),
    "the other byte order": (WHOLE.astype(">u2"), WHOLE.astype(np.uint16)),
    "a list": (UNIT.astype(np.float64).tolist(), UNIT.astype(np.float64)),
}


@pytest.mark.parametrize(("image", "plain"), SAME.values(), ids=SAME)
def test_the_same_image_everywhere(image, plain):
    found, wanted = check_sources([image, plain]), check_sources([plain, plain])
    for got in found.images:
        np.testing.assert_array_equal(got, wanted.images[0])
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    for channel in ("y", "gray", "rgb"):
        for got, expected in zip(
            planes(image, [image, plain], channel), planes(plain, [plain] * 2, channel), strict=True
        ):
            for a, b in zip(got, expected, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)


def test_scores_do_not_see_how_an_image_is_stored():
    image, plain = SAME["float32 that a resize rounded"]
    names = ["EN", "SD", "CC", "RMSE"]
    expected = evaluate(plain, [plain[::-1], plain[:, ::-1]], metrics=names)
    assert evaluate(image, [image[::-1], image[:, ::-1]], metrics=names) == expected


def test_of_six_channels_the_photograph_is_judged():
    six = np.concatenate([UNIT, UNIT**2.2], axis=-1)
    assert check_sources([six, six]).images[0].shape == (12, 14, 6)
    ((fused, sources),) = planes(UNIT, [six, UNIT], "y")
    np.testing.assert_array_equal(fused, sources[0])


masked = np.ma.masked_array(WHOLE, mask=WHOLE < 10)
REFUSED = [
    (masked, rf" has {int((WHOLE < 10).sum())} masked pixels: fill them first"),
    (
        UNIT + np.float32(2e-6),
        r": float pixels lie in \[0, 1\]; got \[1\.99999999e-06, 1\.00000203\]: divide by full scale",
    ),
    (UNIT * np.float32(np.nan), ": pixels are finite numbers; got 504 NaN or infinite ones"),
    (WHOLE.astype(np.int64), ": pixels are bool, uint8, uint16 or float in .* got int64: shift and scale them"),
    (UNIT.astype(complex), ": pixels are bool, uint8, .* got complex128"),
    (np.dstack([WHOLE, WHOLE[..., :2]]), r" has shape \(12, 14, 5\): expected \(H, W\)"),
    (WHOLE[np.newaxis], r" has shape \(1, 12, 14, 3\): expected \(H, W\)"),
    (WHOLE[:1], r" has 1 x 14 pixels: expected at least"),
]


@pytest.mark.parametrize(("image", "message"), REFUSED)
def test_the_same_refusals_everywhere(image, message):
    with pytest.raises(InputError, match="^source 2" + message) as caught:
        check_sources([WHOLE, image])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^fused" + message):
        evaluate(image, [WHOLE, WHOLE])


def test_what_needs_nothing_is_not_copied():
    pixels, remarks = as_image(WHOLE, "any")
    assert pixels is WHOLE and remarks == ()
