"""Gradients of a fused image with respect to sources and parameters, against finite differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import random_variables
from ttd_jax.backbones import BACKBONES
from ttd_jax.backbones.mgdn import TASKS
from ttd_jax.core.fusion import fuse
from ttd_jax.core.weighting import StaticWeighting

# MGDN with fewer and narrower blocks than its tasks have.
SMALL = {"channels": 24, "stages": 1, "depth": 2, "heads": 2}
CASES = {
    "cddfuse": ({}, (2, 6, 7, 1)),
    "piafusion": ({}, (2, 6, 7, 1)),
    "mgdn": ({"task": "small"}, (2, 6, 7, 3)),
    "densefuse": ({}, (2, 5, 6, 1)),
    "didfuse": ({"rule": "l1"}, (2, 5, 6, 1)),
    "auif": ({}, (2, 5, 6, 1)),
}
STATICALLY = ("cddfuse", "densefuse", "didfuse")
"""Those whose weights take long to compile, or have a corner where a ReLU or a rule has one."""
STEP = 1e-5
OPTIONS = {"piafusion": {"xla_backend_optimization_level": 1}}  # wide layers take long in float64 without any


@pytest.mark.parametrize("name", CASES)
def test_gradients(name, monkeypatch):
    monkeypatch.setitem(TASKS, "small", TASKS["focus"]._replace(**SMALL))
    config, shape = CASES[name]
    spec = BACKBONES[name]
    model = spec.build(**config)
    recipe = None if name in STATICALLY else spec.recipes["paper" if name == "auif" else "default"]
    rng = np.random.default_rng(0)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):  # networks hold float32 numbers
        variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), random_variables(spec, model))
        sources, probe = jnp.asarray(rng.random(shape)), jnp.asarray(rng.normal(size=(*shape[1:3], 3)))

        def value(sources, variables):
            if recipe is None:
                return jnp.sum(probe * fuse(model, variables, sources, StaticWeighting()).image)
            return jnp.sum(probe * fuse(model, variables, sources, recipe).image)

        options = OPTIONS.get(name, {})
        gradients = jax.jit(jax.grad(value, argnums=(0, 1)), compiler_options=options)(sources, variables)
        value = jax.jit(value, compiler_options=options)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
        leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, (sources, variables)))
        slopes = jax.tree.leaves(jax.tree.map(np.asarray, gradients))
        checked = [0, *rng.choice(np.arange(1, len(leaves)), 3, replace=False)]
        for i in checked:
            largest = np.unravel_index(np.abs(slopes[i]).argmax(), leaves[i].shape)
            for index in (largest, tuple(rng.integers(0, n) for n in leaves[i].shape)):
                ends = []
                for step in (STEP, -STEP):
                    moved = leaves[i].copy()
                    moved[index] += step
                    ends.append(float(value(*jax.tree.unflatten(tree, [*leaves[:i], moved, *leaves[i + 1 :]]))))
                difference = (ends[0] - ends[1]) / (2 * STEP)
                np.testing.assert_allclose(slopes[i][index], difference, rtol=1e-4, atol=1e-6)
