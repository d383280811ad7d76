"""Windows of one size give what whole images give, and compile once for many sizes."""

import jax
import numpy as np
import pytest

from tests import analytic
from tests.engine.test_compile import counted
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser
from ttd_jax.engine.programs import _spans
from ttd_jax.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("size", "weighting"), [((70, 131), "loss"), ((50, 65), "loss"), ((140, 64), "static")])
def test_windows_give_what_the_whole_image_gives(ifcnn_variables, size, weighting):
    sources, backbone = list(RNG.random((2, *size)).astype(np.float32)), ifcnn_backbone(ifcnn_variables)
    whole, tiled = (Fuser(backbone, weighting=weighting, tile=tile)(sources) for tile in (None, 64))
    for name in ("image", "weights", *(["losses", "components"] if weighting == "loss" else [])):
        np.testing.assert_allclose(getattr(tiled, name), getattr(whole, name), atol=1e-5)
    assert tiled.report["shape"] == list(size)


def test_colour_with_ifcnn(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables, "max")
    sources = [RNG.random((60, 77, 3)).astype(np.float32) for _ in range(3)]
    for color in ("rgb", "luma"):
        whole, tiled = (Fuser(backbone, color=color, tile=tile)(sources) for tile in (None, 45))
        np.testing.assert_allclose(tiled.image, whole.image, atol=1e-5)
        np.testing.assert_allclose(tiled.components, whole.components, atol=1e-5)


def test_many_sizes_compile_once(ifcnn_variables):
    fuser = Fuser(ifcnn_backbone(ifcnn_variables), tile=41).compile((2, 300, 400))
    with counted() as programs:
        for size in ((41, 41), (42, 60), (84, 53)):
            fuser(list(RNG.random((2, *size)).astype(np.float32)))
    assert not programs


@pytest.mark.parametrize(("size", "window", "halo"), [(10, 10, 3), (11, 10, 3), (100, 9, 4), (37, 20, 0), (50, 49, 24)])
def test_windows_cover_every_pixel_once_with_their_halo(size, window, halo):
    image = np.arange(size)
    covered = []
    for first, own, inside in _spans(size, window, halo):
        part = image[first : first + window]
        assert len(part) == window
        np.testing.assert_array_equal(part[inside], image[own])
        assert own.start - first >= halo or first == 0
        assert first + window - own.stop >= halo or first + window == size
        covered.extend(image[own])
    assert covered == list(range(size))


def test_backbones_and_tiles_that_do_not_go_together(ifcnn_variables):
    with pytest.raises(InputError, match="analytic looks at the whole image: leave tile out"):
        Fuser(analytic.backbone(), tile=64)
    with pytest.raises(InputError, match="bandnet looks at the whole image: leave tile out"):
        Fuser(tile=64)
    with pytest.raises(InputError, match="ifcnn looks 18 pixels far: a tile has more than twice that; got 36"):
        Fuser(ifcnn_backbone(ifcnn_variables), tile=36)


def test_windows_are_fused_one_at_a_time(ifcnn_variables):
    """What is compiled for a large image is what is compiled for the window."""
    program = Fuser(ifcnn_backbone(ifcnn_variables), tile=64)._programs.compile((2, 5000, 4000, 1), "gray")
    assert next(leaf.shape for leaf in jax.tree.leaves(program.out_info)) == (64, 64)
