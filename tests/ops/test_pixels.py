"""Pixel types to float and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ttd_jax.errors import InputError
from ttd_jax.ops.pixels import aligned, from_float, image_dtype, in_unit, side_by_side, to_float, whole_of


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_level_survives(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1)
    scaled = to_float(levels)
    assert scaled.dtype == np.float32
    assert (scaled.min(), scaled.max()) == (0, 1)
    np.testing.assert_array_equal(from_float(scaled, dtype), levels)


def test_bool_is_black_and_white():
    np.testing.assert_array_equal(to_float(np.array([[True, False]])), [[1, 0]])


@given(arrays(np.float64, (3, 4), elements=st.floats(-2, 3)), st.sampled_from(["uint8", "uint16"]))
def test_rounding_is_half_to_even_after_clipping(image, dtype):
    full = np.iinfo(dtype).max
    expected = [[round(min(max(value, 0), 1) * full) for value in row] for row in image.tolist()]
    np.testing.assert_array_equal(from_float(image, dtype), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_clipped_and_cast(dtype):
    got = from_float(np.array([[-1, 0.25], [1, 2]], np.float32), dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [[0, 0.25], [1, 1]])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.array([[0, 255.0]]),
            "float pixels lie in [0, 1]; got [0, 255]: divide by full scale (255 for 8 bit, 65535 for 16 bit), "
            "or rescale with (x - x.min()) / (x.max() - x.min())",
        ),
        (
            np.array([[-0.5, 1.0]], np.float32),
            "float pixels lie in [0, 1]; got [-0.5, 1]: divide by full scale (255 for 8 bit, 65535 for 16 bit), "
            "or rescale with (x - x.min()) / (x.max() - x.min())",
        ),
        (
            np.array([[np.nan, np.inf, 0.5]]),
            "pixels are finite numbers; got 2 NaN or infinite ones: mask or fill them first",
        ),
        (
            np.array([[-np.inf, 0.5]], np.float16),
            "pixels are finite numbers; got 1 NaN or infinite ones: mask or fill them first",
        ),
        *[
            (
                np.zeros((2, 2), dtype),
                f"pixels are bool, uint8, uint16 or float in [0, 1]; got {dtype}: shift and scale them to [0, 1] "
                "yourself, so that nothing is guessed",
            )
            for dtype in ("int8", "int16", "int32", "int64", "uint32", "complex64", "object")
        ],
    ],
)
def test_pixels_without_a_scale(pixels, message):
    with pytest.raises(InputError) as caught:
        to_float(pixels)
    assert str(caught.value) == message


def test_the_range_is_said_as_exactly_as_it_is_checked():
    with pytest.raises(InputError, match=r"got \[0\.5, 1\.00000202\]"):
        to_float(np.array([[0.5, 1 + 2.02e-6]]))
    rounded = np.array([[-5e-7, 0.5, 1 + 5e-7]])
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(to_float(rounded.astype(dtype)), [[0, 0.5, 1]])


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint32", "complex64", "nonsense", 5])
def test_types_that_no_image_has(dtype):
    with pytest.raises(InputError) as caught:
        image_dtype(dtype)
    assert str(caught.value) == f"an image is uint8, uint16, float16, float32 or float64; got {dtype!r}"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_that_is_not_finite_comes_out(bad):
    with pytest.raises(InputError, match="not finite numbers; nothing is returned"):
        from_float(np.array([[bad]]), "uint8")


@pytest.mark.parametrize("shape", [(900, 400), (700, 200, 3), (1, 300_000)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_large_images_are_what_their_rows_are(shape, dtype):
    image = np.random.default_rng(len(shape)).normal(0.5, 0.4, shape).astype(np.float32)
    rows = np.concatenate([from_float(row[np.newaxis], dtype) for row in image])
    np.testing.assert_array_equal(from_float(image, dtype), rows)
    image.flat[-1] = np.inf
    with pytest.raises(InputError, match="not finite"):
        from_float(image, dtype)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from(["uint8", "float32"]))
def test_aligned_arrays_begin_at_64_bytes(shape, dtype):
    found = aligned(shape, dtype)
    assert found.shape == tuple(shape) and found.dtype == dtype
    assert found.ctypes.data % 64 == 0 and found.flags.c_contiguous


def test_parts_of_one_array_are_found_to_be_that():
    images = [np.full((3, 5, 1), i, np.uint8) for i in range(3)]
    parts = side_by_side(images)
    whole = whole_of(parts)
    np.testing.assert_array_equal(whole, np.stack(images))
    assert np.shares_memory(whole, parts[2])


def test_other_arrays_are_not_taken_for_one():
    one, other, third = side_by_side([np.full((3, 5), i, np.uint8) for i in range(3)])
    for images in ([other, one], [one, third], [one, one.copy()], [one, other[:2]], [np.zeros((3, 5))] * 2):
        assert whole_of(images) is None
    mixed = [np.zeros((3, 5), np.uint8), np.zeros((3, 5), np.float32)]
    assert all(kept is given for kept, given in zip(side_by_side(mixed), mixed, strict=True))


def test_only_8_bits_are_scaled_to_the_unit():
    pixels = np.array([[0, 51, 255]], np.uint8)
    np.testing.assert_array_equal(in_unit(pixels), to_float(pixels))
    floats = to_float(pixels)
    assert in_unit(floats) is floats
