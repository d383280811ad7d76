"""A weighting of one's own, outside the package: what it has to write, and what it is told when it goes wrong."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from tests import analytic
from tests.networks import ifcnn_backbone
from ttd_jax import Fuser, GradientWeighting, InputError, LossWeighting, Weighed, Weighting, fuse
from ttd_jax.core.model import check_model
from ttd_jax.core.weighting import PAPER
from ttd_jax.engine import pipeline

PAIR = list(np.random.default_rng(0).random((2, 9, 10)).astype(np.float32))
MEAN = analytic.backbone("mean")


@partial(jax.tree_util.register_dataclass, data_fields=("scale",), meta_fields=())
@dataclass(frozen=True)
class Brightness(Weighting):
    """Brighter sources count for more."""

    scale: float = 4.0

    def weigh(self, model, variables, sources, features, surveyed=None):
        return Weighed(None, None, jax.nn.softmax(self.scale * jnp.mean(sources, axis=-1), axis=0))


@jax.tree_util.register_static
@dataclass(frozen=True)
class Spread(Weighting):
    """Weights by the standard deviation of a source over the whole image, found in strips."""

    surveys = True

    def survey(self, model, variables, sources, features, rows):
        inside = sources[..., 0] * rows[:, None].astype(jnp.float32)
        return jnp.sum(inside, (1, 2)), jnp.sum(inside**2, (1, 2)), jnp.sum(rows, dtype=jnp.float32) * sources.shape[2]

    def weigh(self, model, variables, sources, features, surveyed=None):
        if surveyed is None:
            surveyed = self.survey(model, variables, sources, features, jnp.ones(sources.shape[1], bool))
        total, squares, count = surveyed
        spread = jnp.sqrt(squares / count - (total / count) ** 2)
        weights = jnp.broadcast_to((spread / jnp.sum(spread))[:, None, None], sources.shape[:3])
        return Weighed(None, None, weights, found={"spread": spread})

    def reach(self, model):
        return None if model.facts.halo is None else sum(model.facts.halo)


def test_it_is_run_and_reported():
    result = fuse(PAIR, backbone=MEAN, weighting=Brightness())
    weights = softmax(4.0 * np.stack(PAIR), axis=0)
    np.testing.assert_allclose(result.weights, weights, rtol=1e-5)
    merged = (weights * analytic.encode(np.stack(PAIR))).sum(axis=0)
    np.testing.assert_allclose(result.image, np.clip(analytic.decode(merged), 0, 1), atol=1e-6)
    assert result.losses is None and result.components is None
    assert result.report["weighting"] == {"weighting": "Brightness", "scale": 4.0}
    np.testing.assert_allclose(Fuser(MEAN, weighting=Brightness()).batch(np.stack([PAIR])).image[0], result.image)


def test_what_is_summed_over_the_image_is_found_in_strips_too(ifcnn_variables, monkeypatch):
    backbone = ifcnn_backbone(ifcnn_variables)
    sources = list(np.random.default_rng(1).random((2, 40, 12)).astype(np.float32))
    whole = fuse(sources, backbone=backbone, weighting=Spread())
    expected = np.std(sources, axis=(1, 2))
    np.testing.assert_allclose(whole.report["weighting"]["spread"], expected, rtol=1e-4)
    monkeypatch.setattr(pipeline, "_STRIP_PIXELS", 4 * 2 * 12)
    jax.clear_caches()
    strips = fuse(sources, backbone=backbone, weighting=Spread())
    jax.clear_caches()
    np.testing.assert_allclose(strips.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(strips.report["weighting"]["spread"], expected, rtol=1e-4)
    with pytest.raises(InputError, match="Spread looks at the whole image: leave tile out"):
        Fuser(backbone, weighting=Spread(), tile=64)


def returns(value):
    @jax.tree_util.register_static
    @dataclass(frozen=True)
    class Wrong(Weighting):
        def weigh(self, model, variables, sources, features, surveyed=None):
            return value(sources[..., 0])

    return Wrong()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x: x, "Wrong.weigh returned .*: expected a ttd_jax.Weighed"),
        (lambda x: Weighed(None, None, x[0]), r"Wrong.weigh returned weights that are float32 of shape \(9, 10\)"),
        (lambda x: Weighed(None, x[:, :3], x), r"returned losses that are float32 of shape \(2, 3, 10\): expected"),
        (lambda x: Weighed(x, None, x), r"returned components .* shape \(2, 9, 10\): expected floats \(M, H, W, K\)"),
        (lambda x: Weighed(None, None, x > 0), "returned weights that are bool of shape"),
        (lambda x: Weighed(None, None, None, bands=x), "Wrong.weigh returned bands without weights"),
    ],
)
def test_the_member_that_breaks_the_contract_is_named(value, message):
    with pytest.raises(InputError, match=message):
        fuse(PAIR, backbone=MEAN, weighting=returns(value))


def test_what_cannot_be_a_weighting():
    class Bare:
        def weigh(self, *arguments):
            return None

    class NoPytree(Brightness):
        pass

    with pytest.raises(InputError, match="Bare lacks surveys, checks_losses, survey, reach, complete, adapt, check"):
        Fuser(MEAN, weighting=Bare())
    with pytest.raises(InputError, match=r"NoPytree is no pytree: put @jax.tree_util.register_static above"):
        Fuser(MEAN, weighting=NoPytree())
    with pytest.raises(InputError, match=r"Brightness.weigh returned no losses and no components, which an explanat"):
        fuse(PAIR, backbone=MEAN, weighting=Brightness(), explain=True)


@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_a_loss_of_the_users_gives_what_the_named_one_gives(loss):
    def own(component, source):
        difference = component - source
        return jnp.mean(jnp.abs(difference) if loss == "l1" else difference**2, axis=-1)

    named, mine = (fuse(PAIR, backbone=MEAN, weighting=LossWeighting(one, scale=7.0)) for one in (loss, own))
    np.testing.assert_allclose(mine.weights, named.weights, rtol=1e-6)
    np.testing.assert_allclose(mine.losses, named.losses, rtol=1e-6)
    assert mine.report["weighting"]["loss"] == "own"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda u, x: jnp.mean(u - x), r"a loss returns one real number a pixel, .* returned float32 of shape \(\)"),
        (lambda u, x: u - x, r"returned float32 of shape \(9, 10, 1\): take the mean over the channels only"),
        (
            lambda u, x: jnp.sqrt(-jnp.ones(u.shape[:2])),
            "the losses of <lambda> are NaN or infinite at 100.0% of",
        ),
    ],
)
def test_a_loss_that_is_no_map(loss, message):
    with pytest.raises(InputError, match=message):
        fuse(PAIR, backbone=MEAN, weighting=LossWeighting(loss))


def test_options_but_the_first_go_by_name():
    for make in (LossWeighting, GradientWeighting):
        assert make("l1").loss == "l1"
        with pytest.raises(TypeError):
            make("l1", 2.0)  # type: ignore[call-arg]
    assert replace(PAPER, scale=3) == replace(PAPER, scale=3.0)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("decode", lambda self, v, z: z[..., 0], r"Odd.decode returned shape \(9, 10\): expected an image \(H, W, K\)"),
        ("render", lambda self, v, z, s: z[:4], r"Odd.render returned shape \(4, 10, 1\)"),
    ],
)
def test_a_model_that_breaks_its_contract_is_named(member, value, message):
    Odd = type("Odd", (analytic.AnalyticModel,), {member: value})
    with pytest.raises(InputError, match=message):
        fuse(PAIR, backbone=replace(MEAN, model=Odd("mean")))


def test_what_cannot_be_a_model():
    Bare = type("Bare", (), {"encode": None, "merge": None})
    with pytest.raises(InputError, match=r"Bare lacks facts, decode, render: inherit from ttd_jax.FusionModel"):
        check_model(Bare())
    Odd = type("Odd", (analytic.AnalyticModel,), {"facts": {"halo": None}})
    with pytest.raises(InputError, match=r"Odd.facts is a ttd_jax.Facts; got"):
        check_model(Odd("mean"))
    Loose = type("Loose", (analytic.AnalyticModel,), {"__hash__": None})
    with pytest.raises(InputError, match=r"Loose is not hashable: make it a frozen dataclass"):
        check_model(Loose("mean"))
    check_model(analytic.AnalyticModel())
