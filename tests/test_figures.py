"""The figure of one fusion: its pixels are the arrays it claims to show, on the scales it names."""

from dataclasses import replace

import numpy as np
import pytest

from tests import analytic
from ttd_jax import Fuser, fuse
from ttd_jax.errors import InputError
from ttd_jax.figures import PALETTES, colorize, explanation_figure

RNG = np.random.default_rng(0)
TILE = (1920 - 2 * 36 - 3 * 16) // 4


def rgb(code):
    return [int(code[i : i + 2], 16) for i in (1, 3, 5)]


@pytest.mark.parametrize("palette", PALETTES)
def test_colours_are_the_palettes(palette):
    stops = PALETTES[palette]
    got = colorize(np.linspace(2, 5, len(stops))[np.newaxis], palette, 2, 5)[0]
    np.testing.assert_array_equal(got, [rgb(code) for code in stops])
    np.testing.assert_array_equal(colorize(np.array([[-9.0, 9.0]]), palette, 2, 5)[0], got[[0, -1]])


@pytest.mark.parametrize("palette", ["weight", "loss"])
def test_sequential_palettes_get_lighter(palette):
    ramp = colorize(np.linspace(0, 1, 200)[np.newaxis], palette, 0, 1)[0]
    assert (np.diff(ramp @ [0.2126, 0.7152, 0.0722]) > -1e-9).all()


def test_the_middle_of_a_difference_is_neutral():
    np.testing.assert_array_equal(colorize(np.zeros((1, 1)), "difference", -1, 1)[0, 0], rgb("#f7f6f3"))


def halves(low, high, shape=(40, 60)):
    """A left half of one value beside a right half of another."""
    image = np.full(shape, low, np.float32)
    image[:, shape[1] // 2 :] = high
    return image


def figure_of(sources, **options):
    fuser, static = (Fuser(analytic.backbone(), weighting=w) for w in ("loss", "static"))
    result = fuser(sources, explain=True)
    return result, np.asarray(explanation_figure(sources, result, static(sources).image))


def test_tiles_show_the_arrays():
    sources = [halves(0.2, 0.9), halves(0.7, 0.4)]
    result, page = figure_of(sources)
    tile_height = round(TILE * 40 / 60)
    rows = [36 + 2 * 30 + 16 + m * (40 + tile_height + 16) + 40 + tile_height // 2 for m in range(2)]
    columns = [36 + column * (TILE + 16) for column in range(4)]
    top = float(np.percentile(result.losses, 99.5))
    for m, y in enumerate(rows):
        for side, x in ((10, 10), (50, 3 * TILE // 4)):
            grey = [sources[m][0, side], np.clip(result.components[m, 0, side], 0, 1)]
            for column, value in zip(columns, grey, strict=False):
                np.testing.assert_allclose(page[y, column + x], 255 * value, atol=2)
            loss = colorize(result.losses[m, :1, side : side + 1], "loss", 0, top)[0, 0]
            weight = colorize(result.weights[m, :1, side : side + 1], "weight", 0, 1)[0, 0]
            np.testing.assert_allclose(page[y, columns[2] + x], loss, atol=2)
            np.testing.assert_allclose(page[y, columns[3] + x], weight, atol=2)


@pytest.mark.parametrize(
    ("count", "shape"), [(2, (60, 20)), (2, (30, 40, 3)), (3, (12, 90)), (3, (30, 40, 4)), (5, (30, 40))]
)
def test_any_number_size_and_colour(count, shape):
    sources = [RNG.integers(0, 65536, shape).astype(np.uint16) for _ in range(count)]
    _, page = figure_of(sources)
    tile_height = min(round(TILE * shape[0] / shape[1]), TILE)
    assert page.shape[1:] == (1920, 3)
    assert page.shape[0] > (count + 1) * tile_height


def test_flat_and_equal_sources_have_scales_too():
    flat = np.full((20, 30), 0.5, np.float32)
    _, page = figure_of([flat, flat])
    assert page.min() < 100


def test_a_figure_without_numbers():
    sources = list(RNG.random((2, 20, 30)))
    result, page = figure_of(sources)
    bare = fuse(sources, backbone=analytic.backbone())
    plain = np.asarray(explanation_figure(sources, bare, result.image))
    assert plain.shape == page.shape
    assert (plain[-200:, -TILE:] == 255).all() and not (page[-200:, -TILE:] == 255).all()


def test_static_results_and_batches_are_refused():
    sources = list(RNG.random((2, 20, 30)))
    static = fuse(sources, backbone=analytic.backbone(), weighting="static")
    with pytest.raises(InputError, match="no losses"):
        explanation_figure(sources, static, static.image)
    result = fuse(sources, backbone=analytic.backbone())
    batch = replace(result, weights=result.weights[np.newaxis], losses=result.losses[np.newaxis])
    with pytest.raises(InputError, match="one by one"):
        explanation_figure(sources, batch, static.image)
