"""CDDFuse against golden arrays, and what its options do."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import assert_parity, random_variables
from ttd_jax.backbones.cddfuse import SPEC, CDDFuse, min_max_stretch
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import PAPER, StaticWeighting
from ttd_jax.errors import InputError
from ttd_jax.io.checkpoints import count_parameters

ROLES = ("visible", "infrared")


@pytest.fixture(scope="module")
def variables():
    return random_variables(SPEC, CDDFuse())


@pytest.mark.optimized
@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["small", "msrs_day", "odd"])
def test_golden_arrays(golden, case):
    network = golden("cddfuse")
    model, stored = network.model, network.case(case)
    assert model == SPEC.build(residual_of="reference", stretch=True)
    plain = replace(model, stretch=False)

    @jax.jit
    def everything(variables, sources):
        dynamic = fuse(plain, variables, sources, SPEC.recipes["default"])
        merged = plain.merge(plain.encode(variables, sources))
        computed = {
            "static_ivf": plain.render(variables, merged, sources),
            "static_mif": replace(plain, residual_of="none").render(variables, merged, sources),
            "ttd": dynamic.image,
            "ttd_minmax": min_max_stretch(dynamic.image),
        }
        for m, role in enumerate(ROLES):
            computed[f"component_{role}"] = dynamic.components[m]
            computed[f"loss_{role}"] = dynamic.losses[m]
            computed[f"weight_{role}"] = dynamic.weights[m]
        return computed

    computed = everything(network.variables, _stack(stored))
    if case == "small":
        computed |= _blocks(network, _stack(stored))
    assert_parity(computed, stored, set(ROLES))


def _stack(stored):
    return jnp.stack([stored[role] for role in ROLES])[..., jnp.newaxis]


def _blocks(network, sources):
    """Block outputs, from the network's own layers."""
    linen = network.model.network

    def layers(m, sources, merged):
        patches = m.encoder.patch_embed(sources[0])
        shared = m.encoder.shared(sources[0])
        return {
            "patch_embed_visible": patches,
            "encoder_level1_visible": shared,
            "base_visible": m.encoder.base(shared),
            "detail_visible": m.encoder.detail(shared),
            "base_fuse_layer": m.base_fuse(merged["base"]),
            "detail_fuse_layer": m.detail_fuse(merged["detail"]),
        }

    @jax.jit
    def blocks(variables, sources):
        merged = network.model.merge(network.model.encode(variables, sources))
        return linen.apply(variables, sources, merged, method=layers)

    return blocks(network.variables, sources)


def test_parameter_count():
    assert count_parameters(SPEC.abstract(CDDFuse())) == 1_188_272


def test_presets_carry_the_published_recipe():
    published = replace(PAPER, scale=50.0)
    assert SPEC.recipes["default"] == SPEC.recipes["published"] == SPEC.recipes["vif"] == published
    assert SPEC.of_preset("mif").recipes["medical"] == published
    assert "vif" not in SPEC.of_preset("mif").recipes and "medical" not in SPEC.recipes
    assert SPEC.presets["ivf"] == {"residual_of": "reference", "stretch": True}
    assert SPEC.presets["mif"] == {"residual_of": "none", "stretch": True}


@pytest.mark.parametrize(
    ("residual_of", "expected"), [("reference", lambda x: x[0]), ("sum", lambda x: x.sum(0)), ("none", lambda x: None)]
)
def test_residuals(residual_of, expected):
    sources = np.random.default_rng(0).random((3, 4, 5, 1)).astype(np.float32)
    residual = CDDFuse(residual_of=residual_of).residual(jnp.asarray(sources))
    assert (residual is None) == (expected(sources) is None)
    if residual is not None:
        np.testing.assert_allclose(residual, expected(sources), rtol=1e-6)


def test_unknown_residual():
    with pytest.raises(InputError, match=r"residual_of is one of 'reference', 'none', 'sum'; got 'mean'"):
        CDDFuse(residual_of="mean")


def test_three_sources_with_equal_weights_are_their_sum(variables):
    model = CDDFuse(residual_of="sum")
    sources = jnp.asarray(np.random.default_rng(1).random((3, 10, 11, 1)), jnp.float32)
    flat = replace(SPEC.recipes["default"], scale=0.0)
    static, dynamic = jax.jit(lambda v, s: (fuse(model, v, s, StaticWeighting()).image, fuse(model, v, s, flat)))(
        variables, sources
    )
    np.testing.assert_allclose(dynamic.weights, np.full((3, 10, 11), 1 / 3), rtol=1e-6)
    np.testing.assert_allclose(dynamic.image, static, atol=2e-5)
    assert (float(static.min()), float(static.max())) == (0.0, 1.0)


def test_stretch():
    image = np.random.default_rng(2).uniform(0.2, 0.7, (6, 7, 1)).astype(np.float32)
    expected = (image - image.min()) / (image.max() - image.min())
    np.testing.assert_allclose(min_max_stretch(jnp.asarray(image)), expected, rtol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 3e-7])
def test_an_image_without_contrast_is_not_stretched(spread):
    image = jnp.asarray([[0.25, 0.25], [0.25, 0.25 + spread]])
    np.testing.assert_array_equal(min_max_stretch(image), image)
    gradient = jax.grad(lambda x: min_max_stretch(x).sum())(image)
    np.testing.assert_array_equal(gradient, np.ones((2, 2)))
