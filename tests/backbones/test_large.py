"""Fusions by band of large images, which go by strips and tiles, against the plain computation of small ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax import Fuser
from ttd_jax.engine import stack
from ttd_jax.engine.pipeline import fuse_pixels
from ttd_jax.inputs import check_sources
from ttd_jax.ops import mosaic, pyramid, strips


@pytest.fixture
def small_parts(monkeypatch):
    """Strips and tiles of some dozen rows, and filters of strips as of large images."""
    monkeypatch.setattr(strips, "STRIP_PIXELS", 30_000)
    monkeypatch.setattr(mosaic, "TILE_PIXELS", 30_000)
    monkeypatch.setattr(pyramid, "_NARROW", 200)
    return lambda large: monkeypatch.setattr(strips, "LARGE", 1 if large else 1 << 40)


def draw(*shape):
    """Smooth shapes, some of them clipped, and noise, as uint8."""
    rng = np.random.default_rng()
    count, height, width, channels = shape
    small = rng.random((count, -(-height // 8), -(-width // 8), channels)) * 1.3 - 0.15
    smooth = small.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.rint(255 * np.clip(smooth + rng.normal(0, 0.02, shape), 0, 1)).astype(np.uint8)


# Where a source is flat, rounding of 6e-8 changes its energy there by some 1e-4, and so its weight, though hardly what
# it adds to the luma; chroma has the weight itself, where one pixel in 200,000 of noise was seen to differ by 1.2e-5.
@pytest.mark.parametrize(
    ("shape", "rule", "most"), [((2, 301, 402, 3), "gray", 1e-5), ((3, 256, 257, 3), "luma", 5e-5)]
)
@pytest.mark.parametrize("name", ["bandnet", "pyramid"])
def test_parts_give_what_the_whole_gives(small_parts, name, shape, rule, most):
    fuser, sources = Fuser(name), draw(*shape).astype(np.float32) / 255
    found = []
    for large in (False, True):
        small_parts(large)
        run = jax.jit(lambda v, s: fuse_pixels(fuser._model, v, fuser._weighting, s, jnp.ones(len(s), bool), rule=rule))
        found.append(jax.tree.map(np.asarray, run(fuser.backbone.variables, sources)))
    for part, bound in {"image": most, "weights": 5e-5, "losses": 1e-5, "components": 1e-5}.items():
        plain, fast = (getattr(one, part) for one in found)
        np.testing.assert_allclose(fast, plain, atol=bound, err_msg=part)
    for plain, fast in zip(found[0].bands, found[1].bands, strict=True):
        np.testing.assert_allclose(fast, plain, atol=5e-4)


@pytest.mark.parametrize("color", ["auto", "gray"])
def test_pixels_of_8_bits_go_to_the_program_as_they_are(monkeypatch, color):
    sources = [*draw(2, 40, 52, 3)]
    fuser = Fuser("pyramid", color=color, dtype="float32")
    plain = fuser(sources)
    monkeypatch.setattr(stack, "_LARGE", 1)
    large = fuser(sources)
    read = fuser._read(sources).stack
    assert read.pixels.dtype == np.uint8
    np.testing.assert_allclose(read.given, np.stack(sources) / 255.0, atol=1e-7)
    np.testing.assert_allclose(large.image, plain.image, atol=1e-5)
    assert fuser._read([sources[0], sources[1] / 255]).stack.pixels.dtype == np.float32


def test_compiling_ahead_serves_every_pixel_type(monkeypatch):
    monkeypatch.setattr(stack, "_LARGE", 1)
    fuser = Fuser("pyramid").compile((2, 24, 32))
    compiled = []
    monkeypatch.setattr("ttd_jax.engine.programs.compile_program", lambda *told: compiled.append(told))
    pixels = [*draw(2, 24, 32, 1)[..., 0]]
    fuser(pixels), fuser([one / 255 for one in pixels])
    assert not compiled


def test_sources_that_lie_side_by_side_are_stacked_without_a_copy(monkeypatch):
    monkeypatch.setattr("ttd_jax.inputs._MANY", 1)
    monkeypatch.setattr(stack, "_LARGE", 1)
    fuser, sources = Fuser("pyramid"), dict(zip(("near", "far", "visible"), draw(3, 24, 32, 3), strict=True))
    del sources["visible"]
    checked = check_sources(sources)
    assert np.shares_memory(fuser._read(checked).stack.pixels, checked.pixels[0])
    checked = check_sources(dict(zip(("infrared", "visible"), sources.values(), strict=True)))  # the second comes first
    found = fuser._read(checked).stack
    assert not np.shares_memory(found.pixels, checked.pixels[0])
    np.testing.assert_array_equal(found.pixels, np.stack([*sources.values()][::-1]))
