"""Matching of files by their stems."""

import pytest

from ttd_jax.errors import InputError
from ttd_jax.io.folders import match_stems


@pytest.fixture
def folders(tmp_path):
    def make(**listings):
        for folder, names in listings.items():
            (tmp_path / folder).mkdir()
            for name in names.split():
                (tmp_path / folder / name).touch()
        return [tmp_path / folder for folder in listings]

    return make


def test_stems_match_whatever_the_ending_and_order(folders):
    a, b = folders(a="2.png 1.TIF notes.txt .hidden.png", b="1.jpeg 2.webp Thumbs.db")
    sets = match_stems([a, b])
    assert sets.complete == {"1": [a / "1.TIF", b / "1.jpeg"], "2": [a / "2.png", b / "2.webp"]}
    assert sets.incomplete == {}
    assert match_stems([b, a]).complete["1"] == [b / "1.jpeg", a / "1.TIF"]


def test_what_is_missing_is_named(folders):
    a, b, c = folders(a="1.png 2.png", b="1.png 3.png", c="1.png")
    sets = match_stems([a, b, c])
    assert list(sets.complete) == ["1"]
    assert sets.incomplete == {"2": [b, c], "3": [a, c]}


def test_dots_and_folders_in_names(folders):
    a, b = folders(a="x.1.png x.2.png", b="x.2.tif x.1.tif")
    (a / "sub.png").mkdir()
    assert list(match_stems([a, b]).complete) == ["x.1", "x.2"]


def test_two_images_of_one_stem(folders):
    a, b = folders(a="1.png 1.jpg", b="1.png")
    with pytest.raises(InputError) as caught:
        match_stems([a, b])
    assert str(caught.value) == f"{a / '1.jpg'} and 1.png have the same stem: keep one of them"


def test_an_empty_folder(folders):
    a, b = folders(a="1.png", b="notes.txt")
    with pytest.raises(InputError) as caught:
        match_stems([a, b])
    endings = ".png .tif .tiff .jpg .jpeg .bmp .webp .heic .heif .dng .nef .cr2 .cr3 .arw .raf .rw2 .orf"
    assert str(caught.value) == f"{b} holds no images ({endings})"


def test_a_missing_folder(folders):
    (a,) = folders(a="1.png")
    with pytest.raises(InputError) as caught:
        match_stems([a, a / "no"])
    assert str(caught.value) == f"{a / 'no'} is not a folder: expected folders of images"


def test_no_stem_in_common(folders):
    a, b = folders(a="VIS_1.png VIS_2.png", b="IR_1.png IR_2.png")
    with pytest.raises(InputError) as caught:
        match_stems([a, b])
    assert str(caught.value) == (
        f"no image name is in all of {a}, {b}: sources of one set have the same name without ending "
        "(found IR_1, IR_2, VIS_1, ...), or are told by --pair or --manifest"
    )
