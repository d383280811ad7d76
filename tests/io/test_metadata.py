"""What travels beside the pixels: orientation, EXIF with its directories, ICC profiles."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import IFDRational

from tests.io.files import GREY8, RGB8, RGB16, RGB_FLOAT, SMOOTH, png_chunks
from ttd_jax import FusionResult
from ttd_jax.io.images import read_image, write_image
from ttd_jax.io.metadata import Metadata

MAKE, DATE, COPYRIGHT, ORIENTATION, WIDTH, RESOLUTION = 0x010F, 0x0132, 0x8298, 0x0112, 0x0100, 0x011A
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
SHOT = {
    0x829A: IFDRational(1, 125),  # exposure time
    0x9003: "2024:05:06 07:08:09",
    0x9204: IFDRational(-1, 3),  # exposure bias, signed
    0x8827: 200,  # ISO
    0x9286: b"ASCII\0\0\0a remark",
    0x927C: b"maker\0\1\2\3" * 40,
    INTEROPERABILITY: {1: "R98", 2: b"0100"},
}
PLACE = {1: "N", 2: (IFDRational(48), IFDRational(8), IFDRational(31, 2)), 5: b"\0", 6: IFDRational(1200, 10)}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = ["a.png", "deep.png", "a.tif", "deep.tif", "float.tif", "a.webp"]


def exif_block(orientation=6):
    exif = Image.Exif()
    exif[MAKE], exif[DATE], exif[ORIENTATION] = "A Maker", "2024:05:06 07:08:09", orientation
    exif[COPYRIGHT] = "© Zoë".encode()  # UTF-8, as cameras and editors write it
    exif[RESOLUTION] = IFDRational(300)
    exif[WIDTH] = 4000  # about the layout of one file, not about the shot
    exif[EXIF], exif[GPS] = dict(SHOT), dict(PLACE)
    return exif.tobytes()


def source(tmp_path, pixels=RGB8, **options):
    Image.fromarray(pixels).save(tmp_path / "source.jpg", **options)
    return read_image(tmp_path / "source.jpg").metadata


def pixels_for(name):
    return {"deep.png": RGB16, "deep.tif": RGB16, "float.tif": RGB_FLOAT}.get(name, RGB8)


@pytest.mark.parametrize("name", [*LOSSLESS, "a.jpg"])
def test_exif_and_its_directories_are_kept(tmp_path, name):
    metadata = source(tmp_path, exif=exif_block())
    write_image(tmp_path / name, pixels_for(name), metadata=metadata)
    if name != "a.jpg":
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, pixels_for(name))
    exif = Image.Exif()
    exif.load(read_image(tmp_path / name).metadata.exif)
    assert (exif[MAKE], exif[DATE], exif[RESOLUTION]) == ("A Maker", "2024:05:06 07:08:09", 300)
    assert exif[COPYRIGHT].encode("latin-1") == "© Zoë".encode()
    assert exif[ORIENTATION] == 1
    assert WIDTH not in exif
    shot = exif.get_ifd(EXIF)
    assert {tag: shot[tag] for tag in SHOT if tag != INTEROPERABILITY} == {
        tag: value for tag, value in SHOT.items() if tag != INTEROPERABILITY
    }
    assert exif.get_ifd(INTEROPERABILITY) == SHOT[INTEROPERABILITY]
    assert exif.get_ifd(GPS) == PLACE


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.tif", "a.webp", "a.jpg"])
def test_pillow_finds_what_was_kept(tmp_path, name):
    write_image(tmp_path / name, RGB8 if name != "deep.png" else RGB16, metadata=source(tmp_path, exif=exif_block()))
    with Image.open(tmp_path / name) as image:
        exif = image.getexif()
        assert exif[MAKE] == "A Maker"
        assert exif.get_ifd(EXIF)[0x8827] == 200
        assert exif.get_ifd(GPS)[2] == (48, 8, 15.5)


def test_pillow_reads_the_pixels_of_a_tiff_with_exif(tmp_path):
    write_image(tmp_path / "a.tif", RGB8, metadata=source(tmp_path, exif=exif_block()))
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), RGB8)


def test_deep_png_has_valid_chunks_in_a_valid_place(tmp_path):
    write_image(tmp_path / "a.png", RGB16, metadata=Metadata(source(tmp_path, exif=exif_block()).exif, SRGB))
    kinds = [kind for kind, _ in png_chunks(tmp_path / "a.png")]
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"
    assert kinds.index(b"iCCP") < kinds.index(b"IDAT") and kinds.count(b"eXIf") == 1


@pytest.mark.parametrize("name", [*LOSSLESS, "a.jpg"])
def test_icc_profile_is_kept(tmp_path, name):
    metadata = source(tmp_path, icc_profile=SRGB)
    assert metadata == Metadata(None, SRGB)
    write_image(tmp_path / name, pixels_for(name), metadata=metadata)
    assert read_image(tmp_path / name).metadata.icc == SRGB


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_a_profile_for_colour_does_not_go_into_a_grey_file(tmp_path, name):
    write_image(tmp_path / name, GREY8, metadata=Metadata(None, SRGB))
    assert read_image(tmp_path / name).metadata.icc is None


def test_bmp_holds_no_metadata(tmp_path):
    write_image(tmp_path / "a.bmp", RGB8, metadata=Metadata(exif_block(), SRGB))
    assert read_image(tmp_path / "a.bmp").metadata == Metadata()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.tif", "lzw.tif", "deep.tif", "a.webp", "a.jpg"])
def test_orientation_is_applied(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(SMOOTH)
    if deep := name.startswith("deep"):
        exif[MAKE] = "A Maker"
        write_image(tmp_path / name, SMOOTH.astype(np.uint16) * 257, metadata=Metadata(exif.tobytes()))
    else:
        options = {
            "lzw.tif": {"compression": "tiff_lzw"},
            "a.webp": {"lossless": True},
            "a.jpg": {"quality": 95, "subsampling": 0},
        }
        image.save(tmp_path / name, exif=exif, **options.get(name, {}))
    image.getexif()[ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image)).astype(float) * (257 if deep else 1)
    pixels = read_image(tmp_path / name).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= (6 if name == "a.jpg" else 0)


def test_a_converted_tiff_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(RGB8).convert("CMYK").save(tmp_path / "a.tif", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.rot90(RGB8, -1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(RGB8).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, RGB8)


@pytest.mark.parametrize("damage", ["short", "wild"])
def test_damaged_exif_does_not_cost_the_picture(tmp_path, damage):
    block = exif_block()
    for keep in range(6, len(block), 7):
        broken = block[:keep] + (b"" if damage == "short" else b"\xff" * (len(block) - keep))
        Image.fromarray(RGB8).save(tmp_path / "a.png", exif=broken)
        picture = read_image(tmp_path / "a.png")
        assert sorted(picture.pixels.shape) == sorted(RGB8.shape)
        write_image(tmp_path / "b.tif", picture.pixels, picture.metadata, overwrite=True)
        np.testing.assert_array_equal(read_image(tmp_path / "b.tif").pixels, picture.pixels)


def test_exif_that_cannot_be_read_is_said(tmp_path):
    def broken():
        raise OSError

    from ttd_jax.io.metadata import read_metadata

    assert read_metadata(broken, icc=SRGB) == (
        Metadata(None, SRGB),
        1,
        ["EXIF cannot be read (OSError), so it was left out"],
    )


def test_a_result_saves_the_reference_metadata(tmp_path):
    metadata = source(tmp_path, exif=exif_block(), icc_profile=SRGB)
    result = FusionResult(RGB16, None, None, None, {}, metadata)
    result.save(tmp_path / "fused.png")
    assert read_image(tmp_path / "fused.png").metadata.icc == SRGB
    assert b"A Maker" in read_image(tmp_path / "fused.png").metadata.exif
