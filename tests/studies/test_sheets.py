"""Contact sheets: tiles where they belong, colours, and nothing of other people's data inside the repository."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from studies import classical
from studies.looks import luma
from studies.methods import Method
from studies.sheets import GAP, ROOT, TITLE, check_folder, contents, in_color, sheet

RNG = np.random.default_rng(0)


def test_tiles_are_at_full_size_under_their_titles():
    tiles = {str(n): RNG.integers(0, 256, (20, 30), dtype=np.uint8) for n in range(3)}
    page = np.asarray(sheet(tiles, columns=2))
    assert page.shape == (2 * (20 + TITLE) + GAP, 2 * 30 + GAP, 3)
    assert (page[TITLE : TITLE + 20, 30 + GAP :] == tiles["1"][..., None]).all()
    assert (page[2 * TITLE + 20 + GAP :, :30] == tiles["2"][..., None]).all()


def test_colour_is_kept_and_luma_is_the_methods():
    color, grey = RNG.integers(64, 192, (24, 32, 3), dtype=np.uint8), RNG.integers(64, 192, (24, 32), dtype=np.uint8)
    fused = in_color(classical.average, [color, grey])
    y = luma(color / 255)
    assert_allclose(luma(fused / 255), (y + grey / 255) / 2, atol=1 / 255)
    assert_allclose(fused / 255 - luma(fused / 255)[..., None], color / 255 - y[..., None], atol=1.5 / 255)


def test_contents_of_a_set():
    images = list(RNG.integers(0, 256, (2, 24, 32), dtype=np.uint8))
    tiles = contents("focus", images, Method("copy", lambda sources: sources[0], []))
    assert list(tiles) == ["source 1", "source 2", "ours", "pyramid", "sharpest"]
    assert (tiles["ours"] == images[0]).all()


def test_other_peoples_images_stay_outside_the_repository(tmp_path):
    check_folder(tmp_path, Path("data"))
    check_folder(ROOT / "docs", None)
    with pytest.raises(ValueError, match="stay outside the repository"):
        check_folder(ROOT / "docs", Path("data"))
