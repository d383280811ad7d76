"""Pixels in and out of files: every format, depth and channel count, and the odd files people have."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.io.files import GREY8, GREY16, GREY_FLOAT, RGB8, RGB16, RGB_FLOAT, SMOOTH, decode_png
from ttd_jax.errors import InputError
from ttd_jax.io import png as png_module
from ttd_jax.io.images import declared_size, read_image, stored_dtype, write_image

GREY = {"uint8": GREY8, "uint16": GREY16, "float32": GREY_FLOAT}
RGB = {"uint8": RGB8, "uint16": RGB16, "float32": RGB_FLOAT}


@pytest.mark.parametrize("samples", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", "uint8"),
        ("a.png", "uint16"),
        ("a.tif", "uint8"),
        ("a.tif", "uint16"),
        ("a.tif", "float32"),
        ("a.TIFF", "uint16"),
        ("a.PNG", "uint16"),
        ("a.bmp", "uint8"),
    ],
)
def test_round_trip_is_exact(tmp_path, name, dtype, samples):
    write_image(tmp_path / name, samples[dtype])
    picture = read_image(tmp_path / name)
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, samples[dtype])
    assert picture.remarks == ()


@pytest.mark.parametrize("pixels", [GREY8, RGB8, GREY16, RGB16], ids=["grey8", "rgb8", "grey16", "rgb16"])
def test_png_and_tiff_are_what_other_readers_see(tmp_path, pixels):
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(decode_png(tmp_path / "a.png"), pixels)
    write_image(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)
    if not (pixels.ndim == 3 and pixels.dtype == np.uint16):  # which Pillow cannot read
        with Image.open(tmp_path / "a.tif") as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_webp_is_lossless_and_grey_comes_back_as_three_equal_channels(tmp_path):
    write_image(tmp_path / "rgb.webp", RGB8)
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.webp").pixels, RGB8)
    write_image(tmp_path / "grey.webp", GREY8)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.webp").pixels, np.dstack([GREY8] * 3))


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
def test_jpeg_is_near_without_chroma_subsampling(tmp_path, name):
    write_image(tmp_path / name, SMOOTH)
    assert np.abs(read_image(tmp_path / name).pixels.astype(int) - SMOOTH).max() <= 4
    with Image.open(tmp_path / name) as image:
        assert [sampling for _, *sampling, _ in image.layer] == [[1, 1]] * 3
    write_image(tmp_path / f"grey-{name}", SMOOTH[..., 0])
    assert read_image(tmp_path / f"grey-{name}").pixels.ndim == 2


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp", "bmp"])
def test_the_size_is_told_before_pixels_are_read(tmp_path, ending):
    write_image(tmp_path / f"a.{ending}", SMOOTH)
    assert declared_size(tmp_path / f"a.{ending}") == SMOOTH.shape


def test_the_quality_of_a_jpeg_is_95_unless_asked_otherwise(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for name, options in (("usual", {}), ("asked", {"quality": 95}), ("other", {"quality": 94})):
        write_image(tmp_path / f"{name}.jpg", pixels, **options)
    usual, asked, other = ((tmp_path / f"{name}.jpg").read_bytes() for name in ("usual", "asked", "other"))
    assert usual == asked != other


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("a.png", "float32", "uint16"),
        ("a.png", "float64", "uint16"),
        ("a.png", "uint16", "uint16"),
        ("a.tif", "float16", "float32"),
        ("a.tif", "float64", "float32"),
        ("a.jpg", "uint16", "uint8"),
        ("a.jpg", "float32", "uint8"),
        ("a.bmp", "uint16", "uint8"),
        ("a.webp", "float32", "uint8"),
    ],
)
def test_depth_that_a_format_holds(tmp_path, name, given, stored):
    pixels = GREY16 if given == "uint16" else GREY_FLOAT.astype(given)
    write_image(tmp_path / name, pixels)
    assert stored_dtype(name, given) == stored
    assert read_image(tmp_path / name).pixels.dtype == stored


def test_values_are_clipped_and_rounded_half_to_even(tmp_path):
    # k / 510 lies halfway between two 8-bit levels for odd k
    halves = np.array([[1, 3, 5, 7], [-100, 0, 510, 700]], np.float64) / 510
    write_image(tmp_path / "a.bmp", halves)
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp").pixels, [[0, 2, 2, 4], [0, 0, 255, 255]])
    sixteen = np.array([[0, 128, 129, 65535], [127, 385, 386, 257]], np.uint16)
    write_image(tmp_path / "b.bmp", sixteen)  # 257 of 16 bits is 1 of 8
    np.testing.assert_array_equal(read_image(tmp_path / "b.bmp").pixels, [[0, 0, 1, 255], [0, 1, 2, 1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_written(tmp_path, bad):
    with pytest.raises(InputError, match="not finite"):
        write_image(tmp_path / "a.tif", np.full((2, 2), bad, np.float32))
    assert not list(tmp_path.iterdir())


def pillow(pixels, mode=None, **options):
    return lambda path: (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)).save(
        path, **options
    )


def tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def png(pixels):
    return lambda path: path.write_bytes(imagecodecs.png_encode(pixels))


PALETTE = Image.fromarray(RGB8).quantize(8)
BITS = GREY8 > 127
GREY_ALPHA = np.dstack([GREY8, 255 - GREY8])
RGBA16 = np.dstack([RGB16, GREY16])


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("palette.png", lambda p: PALETTE.save(p), np.asarray(PALETTE.convert("RGB"))),
        ("palette.gif", lambda p: PALETTE.save(p), np.asarray(PALETTE.convert("RGB"))),
        ("bits.png", pillow(BITS), BITS),
        ("bits.tif", pillow(BITS), BITS),
        ("fax.tif", pillow(BITS, compression="group4"), BITS),
        ("alpha.png", pillow(np.dstack([RGB8, GREY8])), np.dstack([RGB8, GREY8])),
        ("alpha16.png", png(RGBA16), RGBA16),
        ("grey-alpha16.png", png(np.dstack([GREY16, GREY16])), np.dstack([GREY16, GREY16])),
        ("alpha16.tif", tiff(RGBA16, photometric="rgb", extrasamples=["unassalpha"]), RGBA16),
        ("lzw.tif", pillow(RGB8, compression="tiff_lzw"), RGB8),
        ("deflate.tif", tiff(RGB16, compression="zlib", predictor=True), RGB16),
        ("tiles.tif", tiff(np.tile(RGB16, (6, 4, 1)), tile=(16, 16), photometric="rgb"), np.tile(RGB16, (6, 4, 1))),
        ("planar.tif", tiff(np.moveaxis(RGB16, -1, 0), photometric="rgb", planarconfig="separate"), RGB16),
        ("big-endian.tif", tiff(RGB16, byteorder=">", photometric="rgb"), RGB16),
        ("big.tif", tiff(GREY16, bigtiff=True), GREY16),
        ("inverted.tif", tiff(GREY8, photometric="miniswhite"), 255 - GREY8),
        ("inverted16.tif", tiff(GREY16, photometric="miniswhite"), 65535 - GREY16),
        ("float.tif", tiff(GREY_FLOAT), GREY_FLOAT),
        ("double.tif", tiff(GREY_FLOAT.astype(np.float64)), GREY_FLOAT.astype(np.float64)),
        ("half.tif", tiff(GREY_FLOAT.astype(np.float16)), GREY_FLOAT.astype(np.float16)),
        ("deep.pgm", pillow(GREY16), GREY16),
        ("plain.ppm", pillow(RGB8), RGB8),
    ],
)
def test_odd_files_are_read_right(tmp_path, name, write, expected):
    write(tmp_path / name)
    picture = read_image(tmp_path / name)
    assert picture.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(picture.pixels, expected)


@pytest.mark.parametrize(
    ("name", "write", "remark"),
    [
        ("cmyk.tif", pillow(SMOOTH, "CMYK"), "cmyk.tif is CMYK: converted to RGB"),
        ("ycc.tif", pillow(SMOOTH, "YCbCr"), "ycc.tif is YCbCr: converted to RGB"),
        ("lab.tif", pillow(SMOOTH, "LAB"), "lab.tif is LAB: converted to RGB"),
        (
            "pages.tif",
            pillow(SMOOTH, save_all=True, append_images=[Image.fromarray(SMOOTH)] * 2),
            "pages.tif has 3 pages: the first was used",
        ),
        (
            "frames.webp",
            pillow(SMOOTH, save_all=True, lossless=True, append_images=[Image.fromarray(255 - SMOOTH)]),
            "frames.webp has 2 frames: the first was used",
        ),
    ],
)
def test_what_is_done_to_pixels_is_said(tmp_path, name, write, remark):
    write(tmp_path / name)
    picture = read_image(tmp_path / name)
    assert picture.pixels.shape == SMOOTH.shape
    assert np.abs(picture.pixels.astype(int) - SMOOTH).max() <= 10  # 8-bit Lab is coarse
    assert picture.remarks == (remark,)


def test_a_jpeg_in_a_tiff_keeps_its_colours(tmp_path):
    Image.fromarray(SMOOTH).convert("YCbCr").save(tmp_path / "a.tif", compression="jpeg", quality=95)
    picture = read_image(tmp_path / "a.tif")
    assert np.abs(picture.pixels.astype(int) - SMOOTH).max() <= 8
    assert picture.remarks == ()


def test_colour_spaces_that_are_not_understood(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([RGB16, GREY16]), photometric="separated")
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / "a.tif")
    assert str(caught.value) == (
        f"{tmp_path / 'a.tif'} has the colour space SEPARATED with 16 bits a sample: convert it to grey or RGB first"
    )


def test_cmyk_jpeg_is_converted(tmp_path):
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    picture = read_image(tmp_path / "a.jpg")
    assert np.abs(picture.pixels.astype(int) - flat).max() <= 6
    assert picture.remarks == ("a.jpg is CMYK: converted to RGB",)


@pytest.mark.parametrize(("depth", "dtype"), [(4, "uint8"), (10, "uint16"), (12, "uint16")])
def test_depths_between_are_stretched_to_full_scale(tmp_path, depth, dtype):
    levels = np.arange(2**depth, dtype=dtype).reshape(4, -1)
    tifffile.imwrite(tmp_path / "a.tif", levels, bitspersample=depth)
    picture = read_image(tmp_path / "a.tif")
    full = np.iinfo(dtype).max
    np.testing.assert_allclose(picture.pixels / full, levels / (2**depth - 1), atol=0.5 / full)
    assert picture.remarks == (f"a.tif has {depth} bits a sample: stretched to {8 * np.dtype(dtype).itemsize}",)


def test_palette_tiff(tmp_path):
    PALETTE.save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.dtype == np.uint16  # a TIFF's palette has 16 bits
    np.testing.assert_allclose(pixels / 65535, np.asarray(PALETTE.convert("RGB")) / 255, atol=1 / 255)


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.tif", "a.jpg", "a.bmp", "a.webp", "lzw.tif"])
def test_a_file_cut_anywhere_is_refused_or_complete(tmp_path, name):
    path, cut = tmp_path / name, tmp_path / f"cut-{name}"
    if name == "lzw.tif":
        Image.fromarray(RGB8).save(path, compression="tiff_lzw")
    else:
        write_image(path, RGB16 if name == "deep.png" else RGB8)
    data, whole = path.read_bytes(), read_image(path).pixels
    refused = 0
    for size in range(1, len(data), 1 + len(data) // 150):
        cut.write_bytes(data[:size])
        try:
            np.testing.assert_array_equal(read_image(cut).pixels, whole)
        except InputError as error:
            assert "\n" not in str(error) and str(cut) in str(error)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"", "{path} is empty: expected an image file"),
        (b"not an image at all\n" * 9, "{path} is no image: expected PNG, TIFF, JPEG, BMP or WebP"),
        (b"II*\0\xff\xff\xff\xff", "{path} is damaged, truncated or no image: IndexError"),
    ],
)
def test_files_that_are_no_image(tmp_path, content, message):
    path = tmp_path / "a.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value) == message.format(path=path)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(InputError, match="is a folder: expected an image file"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.gif", "a.png.txt"])
def test_unknown_endings(tmp_path, name):
    with pytest.raises(InputError) as caught:
        write_image(tmp_path / name, GREY8)
    assert str(caught.value) == (f"cannot write {name}: the name ends in one of .png .tif .tiff .jpg .jpeg .bmp .webp")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pixels", [RGB8, GREY16, RGB16], ids=["rgb", "deep grey", "deep rgb"])
def test_large_pngs_are_written_in_less_time(tmp_path, monkeypatch, pixels):
    pixels = np.tile(pixels, (8, 8) + (1,) * (pixels.ndim - 2))
    write_image(tmp_path / "a.png", pixels)
    monkeypatch.setattr(png_module, "_LARGE", 10)
    write_image(tmp_path / "b.png", pixels)
    files = [(tmp_path / name).read_bytes() for name in ("a.png", "b.png")]
    assert files[0] != files[1]
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_image(path).pixels, pixels)
