"""BT.601 luma and chroma: against scikit-image, exact both ways, and what gives way where a colour cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.color import rgb2ycbcr

from ttd_jax.ops.color import join_luma, luma, split_luma

RGB = np.random.default_rng(0).random((40, 50, 3))
pixels = arrays(np.float32, (4, 5, 3), elements=st.floats(0, 1, width=32))


def test_luma_and_chroma_against_scikit_image():
    digital = rgb2ycbcr(RGB)  # 16 + 219 Y and 128 + 224 C
    y, chroma = split_luma(jnp.asarray(RGB, jnp.float32))
    np.testing.assert_allclose(y[..., 0], (digital[..., 0] - 16) / 219, atol=1e-5)
    np.testing.assert_allclose(chroma, (digital[..., 1:] - 128) / 224, atol=1e-5)
    np.testing.assert_array_equal(luma(jnp.asarray(RGB, jnp.float32)), y)


@given(pixels)
def test_round_trip_is_exact(rgb):
    np.testing.assert_allclose(join_luma(*split_luma(jnp.asarray(rgb))), rgb, atol=1e-6)


def test_round_trip_in_double_precision():
    with jax.enable_x64(True):
        np.testing.assert_allclose(join_luma(*split_luma(jnp.asarray(RGB))), RGB, atol=1e-15)


def test_grey_has_no_chroma_and_corners_are_the_standards():
    grey = jnp.broadcast_to(jnp.linspace(0, 1, 11)[:, None, None], (11, 1, 3))
    y, chroma = split_luma(grey)
    np.testing.assert_allclose(y, grey[..., :1], atol=1e-7)
    np.testing.assert_allclose(chroma, 0, atol=1e-7)
    blue_and_red = split_luma(jnp.array([[[0.0, 0, 1], [1, 0, 0]]]))[1][0]
    np.testing.assert_allclose(jnp.diagonal(blue_and_red), 0.5, atol=1e-6)


@given(pixels, arrays(np.float32, (4, 5, 1), elements=st.floats(0, 1, width=32)))
def test_another_luma_keeps_the_hue(rgb, y):
    chroma = np.asarray(split_luma(jnp.asarray(rgb))[1])
    joined = join_luma(jnp.asarray(y), jnp.asarray(chroma))
    assert float(joined.min()) >= 0 and float(joined.max()) <= 1
    paled = np.asarray(split_luma(joined)[1])
    np.testing.assert_allclose(paled[..., 0] * chroma[..., 1], paled[..., 1] * chroma[..., 0], atol=1e-6)
    assert (np.abs(paled) <= np.abs(chroma) + 1e-6).all() and (paled * chroma >= -1e-6).all()


def test_no_colour_leaves_the_range_by_rounding():
    rng = np.random.default_rng(2)
    y, chroma = rng.random((300, 300, 1)), rng.random((300, 300, 2)) - 0.5
    joined = np.asarray(join_luma(jnp.asarray(y, jnp.float32), jnp.asarray(chroma, jnp.float32)))
    assert joined.min() >= 0 and joined.max() <= 1


def test_luma_gives_way_by_half_and_the_colour_pales_no_more_than_it_must():
    rng = np.random.default_rng(1)
    rgb, y = jnp.asarray(rng.random((200, 1, 3)), jnp.float32), jnp.asarray(rng.random((200, 1, 1)), jnp.float32)
    joined = join_luma(y, split_luma(rgb)[1])
    got = np.asarray(luma(joined))[:, 0, 0]
    # by search: among the colours of this chroma that exist, the nearest luma
    shifts = np.linspace(-1, 1, 4001)[None]
    candidates = np.asarray(rgb) + shifts[..., None]
    exists = ((candidates >= 0) & (candidates <= 1)).all(-1)
    lumas, wanted = np.asarray(luma(rgb))[..., 0] + shifts, np.asarray(y)[:, 0]
    nearest = lumas[np.arange(200), np.where(exists, np.abs(lumas - wanted), np.inf).argmin(1)]
    np.testing.assert_allclose(got, (wanted[:, 0] + nearest) / 2, atol=6e-4)
    # and at that luma, the strongest colour of this hue
    strengths = np.linspace(0, 1, 2001)[:, None, None]
    candidates = got[:, None] + strengths * (np.asarray(rgb) - np.asarray(luma(rgb)))[:, 0]
    strongest = ((candidates >= -1e-6) & (candidates <= 1 + 1e-6)).all(-1).sum(0) - 1
    np.testing.assert_allclose(joined[:, 0], candidates[strongest, np.arange(200)], atol=1e-3)
    assert 20 < (strongest < 2000).sum() < 180


def test_structure_is_seen_in_the_strongest_colour():
    red = jnp.broadcast_to(split_luma(jnp.array([[[1.0, 0, 0]]]))[1], (2, 1, 2))
    dark, bright = luma(join_luma(jnp.array([[[0.299]], [[0.8]]]), red))[:, 0, 0]
    assert bright - dark > 0.2
