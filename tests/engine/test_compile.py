"""What compiles, counted: a second call of one shape must not, whatever values change."""

from contextlib import contextmanager

import jax.monitoring
import numpy as np
import pytest

from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, GradientWeighting, LossWeighting, fuse, load_backbone

SOURCES = list(np.random.default_rng(0).random((2, 12, 14)).astype(np.float32))


_counting: list[list[float]] = []


def _listen(event, seconds, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        for programs in _counting:
            programs.append(seconds)


jax.monitoring.register_event_duration_secs_listener(_listen)  # once: jax 0.8 cannot take one back


@contextmanager
def counted():
    """A list that grows by one with every program that XLA compiles."""
    programs: list[float] = []
    _counting.append(programs)
    try:
        yield programs
    finally:
        _counting[:] = [others for others in _counting if others is not programs]


@pytest.fixture(scope="module")
def fuser(ifcnn_variables):
    fuser = Fuser(ifcnn_backbone(ifcnn_variables))
    fuser(SOURCES)
    return fuser


def test_the_counter_counts(ifcnn_variables):
    with counted() as programs:
        Fuser(ifcnn_backbone(ifcnn_variables))([s[:9] for s in SOURCES])
    assert programs


def test_a_second_call_compiles_nothing(fuser):
    with counted() as programs:
        fuser([1 - s for s in SOURCES])
        fuser([(s * 255).astype(np.uint8) for s in SOURCES])
        fuser({"infrared": SOURCES[0], "visible": SOURCES[1]})
    assert not programs


def test_a_new_scale_compiles_nothing(fuser):
    with counted() as programs:
        for scale in (0, 2.0, np.float64(50), 1e3):
            Fuser(fuser.backbone, weighting=LossWeighting(scale=scale))(SOURCES)
    assert not programs


def test_new_numbers_for_gradients_compile_nothing(fuser):
    for first, others in {58: [0, np.int64(63)], (3, 4): [[1, 2], np.array([7, 7])], "auto": ["auto"]}.items():
        first = list(first) if isinstance(first, tuple) else first
        Fuser(fuser.backbone, weighting=GradientWeighting(channel=first))(SOURCES)
        with counted() as programs:
            for channel, scale in zip(others, (0.0, np.float64(3)), strict=False):
                Fuser(fuser.backbone, weighting=GradientWeighting(channel=channel, scale=scale))(SOURCES[::-1])
        assert not programs


def test_an_equal_backbone_loaded_anew_compiles_nothing(fuser, checkpoint):
    load_backbone("ifcnn", checkpoint)
    with counted() as programs:
        result = fuse(SOURCES, checkpoint=checkpoint)
        fuse(SOURCES, backbone="ifcnn", checkpoint=checkpoint)
        Fuser(load_backbone(checkpoint=checkpoint))(SOURCES)
    assert not programs
    np.testing.assert_array_equal(result.image, fuser(SOURCES).image)


@pytest.mark.parametrize("shape", [(2, 11, 15), (3, 10, 16, 3)])
def test_compile_leaves_nothing_to_compile(fuser, shape):
    sources = list(np.random.default_rng(1).random(shape).astype(np.float32))
    ready = Fuser(fuser.backbone).compile(shape)
    with counted() as programs:
        ahead = ready(sources)
    assert not programs
    np.testing.assert_allclose(ahead.image, Fuser(fuser.backbone)(sources).image, atol=1e-6)


def test_other_sources_in_colour_compile_nothing(fuser):
    color = np.random.default_rng(3).random((2, 10, 11, 3)).astype(np.float32)
    grey = np.repeat(color[..., :1], 3, axis=-1)
    fuser([color[0], grey[1]])
    with counted() as programs:
        fuser([grey[0], color[1]])
    assert not programs


def test_a_batch_compiles_once(fuser):
    stack = np.random.default_rng(2).random((3, 2, 8, 9)).astype(np.float32)
    fuser.batch(stack)
    with counted() as programs:
        fuser.batch(stack[::-1])
    assert not programs
