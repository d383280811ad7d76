"""Strips of rows give what the whole image gives, borders and odd heights included."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.analytic import VARIABLES, AnalyticModel
from tests.networks import ifcnn_backbone
from ttd_jax.core.fusion import Fused, fuse
from ttd_jax.core.gradient_weighting import GradientWeighting
from ttd_jax.core.strips import fuse_in_strips, sum_in_strips
from ttd_jax.core.weighting import PAPER, StaticWeighting
from ttd_jax.engine import pipeline


def box(radius):
    """A "fusion" that looks ``radius`` pixels far and pads like the backbones: sums over windows of the mean."""

    def fuse(sources):
        mean = jnp.pad(sources.mean(axis=0), ((radius, radius), (radius, radius), (0, 0)), mode="edge")
        window = (2 * radius + 1, 2 * radius + 1, 1)
        image = jax.lax.reduce_window(mean, 0.0, jax.lax.add, window, (1, 1, 1), "VALID")
        return Fused(image, sources[..., 0], None, sources + image)

    return fuse


@partial(jax.jit, static_argnames=("radius", "halo", "rows"))
def both_ways(sources, radius, halo, rows):
    """In strips, and at once."""
    return fuse_in_strips(box(radius), sources, halo, rows), box(radius)(sources)


@pytest.mark.parametrize(
    ("height", "rows"), [(2, 1), (2, 8), (7, 8), (8, 8), (9, 8), (16, 8), (23, 5), (61, 1), (61, 5), (61, 8)]
)
@pytest.mark.parametrize("radius", [0, 1, 3])
def test_strips_equal_whole(height, rows, radius):
    sources = jnp.asarray(np.random.default_rng(height).random((2, height, 5, 1)), jnp.float32)
    strips, whole = both_ways(sources, radius, radius, rows)
    assert strips.losses is None
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), strips, whole)


def test_a_halo_that_is_too_small_shows():
    sources = jnp.asarray(np.random.default_rng(0).random((2, 40, 5, 1)), jnp.float32)
    strips, whole = both_ways(sources, 3, 2, 8)
    assert np.abs(strips.image - whole.image).max() > 0.01


@pytest.mark.parametrize(
    ("name", "component", "smoothing"),
    [("mean", "static", 0), ("max", "static", 0), ("max", "black", 0), ("mean", "fused", 1.5), ("max", "alone", 2)],
)
def test_a_network_in_strips_equals_it_at_once(ifcnn_variables, monkeypatch, name, component, smoothing):
    backbone = ifcnn_backbone(ifcnn_variables, name)
    model, variables = backbone.model, backbone.variables
    sources = jnp.asarray(np.random.default_rng(1).random((3, 75, 12, 1)), jnp.float32)
    sources = sources.at[:, jnp.array([0, -1])].set(1)  # something to see at the borders
    weighting = StaticWeighting()
    if component != "static":
        weighting = replace(PAPER, form="linear", scale=20.0, component=component, smoothing=smoothing)
    monkeypatch.setattr(pipeline, "_STRIP_PIXELS", 8 * 3 * 12)  # ten strips of eight rows
    strips = jax.jit(lambda s: pipeline.fuse_sources(model, variables, weighting, s))(sources)

    @jax.jit
    def at_once(stack):
        return fuse(model, variables, stack, weighting)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), strips, at_once(sources))


@pytest.mark.parametrize(("height", "rows"), [(2, 1), (8, 8), (9, 8), (23, 5), (61, 1), (61, 8)])
def test_sums_in_strips_count_every_row_once(height, rows):
    sources = jnp.asarray(np.random.default_rng(height).random((2, height, 5, 1)), jnp.float32)

    def sums(part, inside):
        maps = box(3)(part).image * inside[:, None, None].astype(jnp.float32)
        return {"total": jnp.sum(maps), "rows": jnp.sum(inside, dtype=jnp.float32)}

    @jax.jit
    def both(sources):
        return sum_in_strips(sums, sources, 3, rows), sums(sources, jnp.ones(height, bool))

    got, at_once = both(sources)
    assert float(got["rows"]) == height
    np.testing.assert_allclose(got["total"], at_once["total"], rtol=1e-5)


@pytest.mark.parametrize(
    ("channel", "loss", "smoothing"),
    [("auto", "mse", 2), ("auto", "ssim", 0), ([5, 44], "gradient", 1)],
)
def test_gradient_weights_in_strips_equal_those_at_once(ifcnn_variables, monkeypatch, channel, loss, smoothing):
    backbone = ifcnn_backbone(ifcnn_variables)
    model, variables = backbone.model, backbone.variables
    recipe = replace(PAPER, form="linear", smoothing=smoothing)
    weighting = GradientWeighting(loss, channel=channel).complete(recipe)
    sources = jnp.asarray(np.random.default_rng(1).random((2, 91, 12, 1)), jnp.float32)
    sources = sources.at[:, jnp.array([0, -1])].set(1)
    assert 8 + 2 * weighting.reach(model) < 91
    monkeypatch.setattr(pipeline, "_STRIP_PIXELS", 4 * 2 * 12)  # strips of eight rows
    strips = jax.jit(lambda s: pipeline.fuse_sources(model, variables, weighting, s))(sources)
    at_once = jax.jit(lambda s: fuse(model, variables, s, weighting))(sources)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), strips, at_once)
    monkeypatch.setattr(GradientWeighting, "reach", lambda self, model: sum(model.facts.halo))
    near = jax.jit(lambda s: pipeline.fuse_sources(model, variables, weighting, s))(sources)
    assert np.abs(near.weights - at_once.weights).max() > 1e-3  # as far as the network reaches is not far enough


class Pointwise(AnalyticModel):
    """A network that looks at one pixel."""

    @property
    def facts(self):
        return replace(super().facts, halo=(0, 0))


def test_the_channel_of_a_short_sighted_network_is_chosen_by_detail_around_a_pixel():
    model, weighting = Pointwise(), GradientWeighting(channel="auto").complete(replace(PAPER, smoothing=0.0))
    sources = jnp.asarray(np.random.default_rng(2).random((2, 91, 12, 1)), jnp.float32)

    def sums(part, inside):
        return weighting.survey(model, VARIABLES, part, model.encode(VARIABLES, part), inside)

    @jax.jit
    def both(sources):
        return sum_in_strips(sums, sources, weighting.reach(model), 8), sums(sources, jnp.ones(91, bool))

    strips, at_once = both(sources)
    assert float(at_once.detail) > 0 and float(np.abs(at_once.agreement).max()) > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), strips, at_once)


def test_a_loss_of_the_users_sees_the_whole_image(ifcnn_variables):
    model = ifcnn_backbone(ifcnn_variables).model
    near = GradientWeighting(smoothing=0.0).reach(model)
    assert near == PAPER.reach(model) + 1  # back through one 3x3 convolution
    assert GradientWeighting("ssim", smoothing=0.0).reach(model) == near + 10
    assert GradientWeighting(lambda u, x: jnp.sum(u - x)).reach(model) is None
    assert replace(PAPER, loss=lambda u, x: jnp.mean(u - x, axis=-1)).reach(model) is None


def test_the_halo_of_ifcnn_is_what_its_filters_reach(ifcnn_variables):
    backbone = ifcnn_backbone(ifcnn_variables)
    model, variables = backbone.model, backbone.variables
    base = jnp.full((1, 21, 21, 3), 0.5)
    touched = base.at[0, 10, 10].add(0.25)
    encode = jax.jit(lambda x: model.encode(variables, x)[0])
    decode = jax.jit(lambda z: model.decode(variables, z))
    changed = jnp.any(encode(base) != encode(touched), axis=-1)
    assert reach(changed) == model.facts.halo[0]
    latent = jnp.full((21, 21, 64), 0.5)
    other = latent.at[10, 10].add(1)
    assert reach(jnp.any(decode(latent) != decode(other), axis=-1)) == model.facts.halo[1]


def reach(changed):
    return int(np.abs(np.argwhere(changed) - 10).max())
