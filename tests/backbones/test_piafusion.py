"""PIAFusion against golden arrays, and both readings of a component."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import assert_parity, random_variables
from ttd_jax import Fuser
from ttd_jax.backbones.piafusion import SPEC, PIAFusion
from ttd_jax.backbones.spec import Backbone
from ttd_jax.core.dominability import uni_source_components
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import PAPER, LossWeighting, StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.io.checkpoints import count_parameters

ROLES = ("visible", "infrared")


@pytest.mark.optimized
@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["small", "msrs_day", "odd"])
def test_golden_arrays(golden, case):
    network = golden("piafusion")
    model, stored = network.model, network.case(case)

    @jax.jit
    def everything(variables, sources):
        features = model.encode(variables, sources)
        computed = {"static": model.render(variables, model.merge(features), sources)}
        for kind, ours in (("isolate", "alone"), ("duplicate", "scaled")):
            components = uni_source_components(model, variables, sources, features, kind=ours)
            computed |= {f"{kind}_{role}": components[m] for m, role in enumerate(ROLES)}
        if case == "small":
            computed |= {f"features_{role}": features[m] for m, role in enumerate(ROLES)}
        return computed

    sources = jnp.stack([stored[role] for role in ROLES])[..., jnp.newaxis]
    assert_parity(everything(network.variables, sources), stored, set(ROLES))


def test_parameter_count():
    assert count_parameters(SPEC.abstract(PIAFusion())) == 1_176_097


def test_the_recipe_is_the_published_one_with_isolated_components():
    published = replace(PAPER, scale=50.0)
    assert SPEC.recipes["default"] == published


def test_isolate_and_duplicate_are_other_names():
    assert LossWeighting(component="isolate") == LossWeighting(component="alone")
    assert LossWeighting(component="duplicate") == LossWeighting(component="scaled")


@pytest.fixture(scope="module")
def variables():
    return random_variables(SPEC, PIAFusion())


def test_equal_weights_are_the_static_rule(variables):
    model = PIAFusion()
    sources = jnp.asarray(np.random.default_rng(1).random((2, 9, 10, 1)), jnp.float32)
    flat = replace(SPEC.recipes["default"], scale=0.0)
    static, dynamic = jax.jit(lambda v, s: (fuse(model, v, s, StaticWeighting()), fuse(model, v, s, flat)))(
        variables, sources
    )
    np.testing.assert_allclose(dynamic.image, static.image, atol=1e-6)


def test_isolated_components_take_one_encoding(variables, monkeypatch):
    calls = []
    encode = PIAFusion.encode
    monkeypatch.setattr(PIAFusion, "encode", lambda self, v, s: calls.append(1) or encode(self, v, s))
    jax.eval_shape(lambda v, s: fuse(PIAFusion(), v, s, SPEC.recipes["default"]), variables, jnp.zeros((2, 8, 8, 1)))
    assert len(calls) == 1


def test_luma_is_fused_and_the_visible_chroma_kept(variables):
    backbone = Backbone(SPEC, PIAFusion(), variables)
    rng = np.random.default_rng(3)
    visible = np.float32(0.5) + rng.uniform(-0.1, 0.1, (8, 9, 3)).astype(np.float32)
    infrared = rng.uniform(0.4, 0.6, (8, 9)).astype(np.float32)
    result = Fuser(backbone, weighting="static")({"infrared": infrared, "visible": visible})
    for blue_or_red, divisor in ((2, 1.772), (0, 1.402)):
        chroma = [(x[..., blue_or_red] - x @ [0.299, 0.587, 0.114]) / divisor for x in (result.image, visible)]
        np.testing.assert_allclose(*chroma, atol=1e-5)
    assert result.report["color"] == "luma"


@pytest.mark.parametrize("count", [1, 3])
def test_other_than_two_sources(variables, count):
    with pytest.raises(InputError, match=rf"two branches, visible and infrared; got {count} sources"):
        PIAFusion().encode(variables, jnp.zeros((count, 8, 8, 1)))


def test_sources_without_roles_or_of_the_wrong_number(variables):
    fuser = Fuser(Backbone(SPEC, PIAFusion(), variables))
    image = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1))
    with pytest.raises(InputError, match="takes the roles visible and infrared"):
        fuser([image, image])
    with pytest.raises(InputError, match="takes 2 sources; got 3"):
        fuser({"visible": image, "infrared": image, "far": image})
