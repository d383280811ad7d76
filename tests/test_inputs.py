"""What callers pass as sources, and what they are told when it cannot be used."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ttd_jax.errors import InputError
from ttd_jax.inputs import _named, check_sources
from ttd_jax.io.images import write_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def refused(sources):
    with pytest.raises(InputError) as caught:
        check_sources(sources)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_arrays_become_float_stacks_in_the_order_given():
    checked = check_sources([GREY, COLOR, GREY[..., np.newaxis]])
    assert [image.shape for image in checked.images] == [(6, 8, 1), (6, 8, 3), (6, 8, 1)]
    assert all(image.dtype == np.float32 for image in checked.images)
    np.testing.assert_allclose(checked.images[1], COLOR / 255, rtol=1e-6)
    assert checked.roles == ("source 1", "source 2", "source 3")
    assert checked.colored == (False, True, False)
    assert (checked.reference, checked.shape, checked.dtype) == (0, (6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("dtypes", "deepest"),
    [
        (("uint8", "uint8"), "uint8"),
        (("uint8", "uint16"), "uint16"),
        (("uint16", "float16"), "float16"),
        (("float32", "uint16", "bool"), "float32"),
        (("float32", "float64"), "float64"),
        (("bool", "bool"), "uint8"),
        (("bool", "uint8"), "uint8"),
    ],
)
def test_the_deepest_type_is_the_results(dtypes, deepest):
    black_and_white = GREY > 127
    sources = [black_and_white * np.dtype(d).type(65535 if d == "uint16" else 1) for d in dtypes]
    assert check_sources([s.astype(d) for s, d in zip(sources, dtypes, strict=True)]).dtype == deepest


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8"])
def test_byte_order_does_not_matter(dtype):
    pixels = (GREY > 127).astype(dtype)
    checked = check_sources([pixels, pixels])
    assert checked.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(checked.images[0][..., 0] > 0, pixels > 0)


@pytest.mark.parametrize(
    ("shapes", "shape"),
    [
        (["", ""], ()),
        (["1", "1"], (1,)),
        (["", "1"], ()),
        (["", "2"], ()),
        (["3", ""], (3,)),
        (["4", "1"], (3,)),
        (["2", "2"], ()),
    ],
)
def test_shape_of_the_result(shapes, shape):
    sources = [np.full((5, 4, *map(int, s)), 128, np.uint8) for s in shapes]
    assert check_sources(sources).shape == (5, 4, *shape)


def test_alpha_is_dropped_and_said():
    checked = check_sources({"near": np.dstack([COLOR, GREY]), "far": np.dstack([GREY, GREY])})
    assert [image.shape[-1] for image in checked.images] == [3, 1]
    np.testing.assert_allclose(checked.images[0], COLOR / 255, rtol=1e-6)
    assert checked.remarks == ("near: alpha was dropped", "far: alpha was dropped")


def test_grey_stored_as_rgb_has_no_colour():
    assert check_sources([np.dstack([GREY] * 3), COLOR]).colored == (False, True)


def test_little_contrast_is_remarked():
    thermal = (40_000 + RNG.integers(0, 900, (6, 8))).astype(np.uint16)  # raw counts use little of 16 bits
    remark = check_sources({"infrared": thermal, "visible": GREY}).remarks
    assert len(remark) == 1
    assert remark[0].startswith("infrared uses 1.") and "of the pixel range: stretch it first" in remark[0]


@pytest.mark.parametrize(
    ("roles", "reference"),
    [
        (["infrared", "visible"], 1),
        (["pet", "mri"], 1),
        (["mri", "visible"], 1),
        (["ct", "pet"], 0),
        (["near", "far"], 0),
    ],
)
def test_the_reference(roles, reference):
    checked = check_sources(dict.fromkeys(roles, GREY))
    assert (checked.roles, checked.reference) == (tuple(roles), reference)


def test_jax_arrays_stacks_and_lists(tmp_path):
    assert len(check_sources([jnp.asarray(GREY), jnp.asarray(GREY)]).images) == 2
    assert len(check_sources(np.stack([COLOR] * 3)).images) == 3
    assert len(check_sources([(GREY / 255).tolist()] * 2).images) == 2
    write_image(tmp_path / "a.png", GREY)
    mixed = check_sources([tmp_path / "a.png", str(tmp_path / "a.png"), GREY])
    assert mixed.roles == ("a.png (1)", "a.png (2)", "source 3")
    np.testing.assert_array_equal(mixed.images[0], mixed.images[2])


def test_pillow_images_are_read_as_files_are(tmp_path):
    palette = Image.fromarray(COLOR).quantize(8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Anna"  # on its side
    Image.fromarray(COLOR).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        checked = check_sources({"visible": turned, "other": palette.transpose(Image.Transpose.ROTATE_270)})
    np.testing.assert_allclose(checked.images[0], np.rot90(COLOR, -1) / 255, rtol=1e-6)
    np.testing.assert_allclose(checked.images[1], np.rot90(palette.convert("RGB"), -1) / 255, rtol=1e-6)
    assert b"Anna" in checked.metadata.exif
    inks = check_sources([Image.fromarray(COLOR).convert("CMYK"), COLOR])
    assert inks.remarks[0] == "source 1 is CMYK: converted to RGB"
    assert inks.remarks[1:] == ("source 1 and source 2 are equal in every pixel: is one of them the wrong file?",)
    np.testing.assert_allclose(inks.images[0], inks.images[1])


def test_metadata_is_the_references(tmp_path):
    for name, maker in (("a", "Anna"), ("b", "Bert")):
        exif = Image.Exif()
        exif[0x010F] = maker
        Image.fromarray(GREY).save(tmp_path / f"{name}.png", exif=exif)
    roles = {"infrared": tmp_path / "a.png", "visible": tmp_path / "b.png"}
    assert b"Bert" in check_sources(roles).metadata.exif
    assert b"Anna" in check_sources(list(roles.values())).metadata.exif
    assert check_sources({"visible": GREY, "infrared": tmp_path / "a.png"}).metadata.exif is None


def test_remarks_of_files_are_passed_on(tmp_path):
    Image.fromarray(COLOR).convert("CMYK").save(tmp_path / "a.tif")
    assert check_sources([tmp_path / "a.tif", 255 - COLOR]).remarks == ("a.tif is CMYK: converted to RGB",)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "fusion takes two sources or more; got 0"),
        ([GREY], "fusion takes two sources or more; got 1"),
        ({"visible": GREY}, "fusion takes two sources or more; got 1"),
        (
            {"visible": GREY, "infrared": GREY[:, :-1]},
            "sources have one size; got visible 8 x 6, infrared 7 x 6 (width x height): register them first, or crop "
            "or resize them to match",
        ),
        (
            [COLOR, COLOR.transpose(1, 0, 2), GREY],
            "sources have one size; got source 1 8 x 6, source 2 6 x 8, source 3 8 x 6 (width x height): register "
            "them first, or crop or resize them to match",
        ),
        (
            [GREY, np.zeros((6, 8, 5), np.uint8)],
            "source 2 has shape (6, 8, 5): expected (H, W), (H, W, 1) or (H, W, 3), or these with alpha",
        ),
        (
            [np.zeros(5, np.uint8), GREY],
            "source 1 has shape (5,): expected (H, W), (H, W, 1) or (H, W, 3), or these with alpha",
        ),
        ([np.zeros((0, 5), np.uint8)] * 2, "source 1 has 0 x 5 pixels: expected at least 2 x 2"),
        ([np.zeros((1, 1, 3), np.uint8)] * 2, "source 1 has 1 x 1 pixels: expected at least 2 x 2"),
        ([np.zeros((2, 1), np.uint8)] * 2, "source 1 has 2 x 1 pixels: expected at least 2 x 2"),
        (
            {"visible": GREY, "infrared": np.full((6, 8), np.nan)},
            "infrared: pixels are finite numbers; got 48 NaN or infinite ones: mask or fill them first",
        ),
        (
            [GREY.astype(float), GREY],
            f"source 1: float pixels lie in [0, 1]; got [{GREY.min()}, {GREY.max()}]: divide by full scale (255 for "
            "8 bit, 65535 for 16 bit), or rescale with (x - x.min()) / (x.max() - x.min())",
        ),
        (
            [GREY, GREY.astype(int)],
            "source 2: pixels are bool, uint8, uint16 or float in [0, 1]; got int64: shift and scale them to [0, 1] "
            "yourself, so that nothing is guessed",
        ),
    ],
)
def test_bad_arrays(sources, message):
    assert refused(sources) == message


@pytest.mark.parametrize("sources", ["a.png", Path("a.png"), None, 7])
def test_what_is_not_several_sources(sources):
    with pytest.raises(InputError) as caught:
        _named(sources)
    assert str(caught.value) == (
        f"sources are a list of two or more images, or a mapping from role to image; got {sources!r}"
    )


@pytest.mark.parametrize("array", [GREY, COLOR])
def test_one_array_is_no_list_of_sources(array):
    assert refused(array) == f"sources are a list of two or more images; got one array of shape {array.shape}"


def test_bad_files(tmp_path):
    path = tmp_path / "a.png"
    assert refused([path, path]) == f"cannot read {path}: No such file or directory"
    path.touch()
    assert refused([GREY, path]) == f"{path} is empty: expected an image file"
    assert refused([GREY, tmp_path]) == (
        f"{tmp_path} is a folder: expected an image file (folders go together with folders)"
    )


def test_files_read_in_threads_are_those_read_one_by_one(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        write_image(path, np.roll(COLOR, n, axis=1))
    one, other = check_sources(paths), check_sources(paths, workers=2)
    np.testing.assert_array_equal(one.images, other.images)
    assert one.roles == other.roles
    paths[1:] = [tmp_path / "second.png", tmp_path / "third.png"]
    with pytest.raises(InputError, match=r"second\.png"):
        check_sources(paths, workers=3)
