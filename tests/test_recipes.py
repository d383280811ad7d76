"""The named recipes: complete, the paper's among them, the same names everywhere."""

from dataclasses import asdict

import numpy as np
import pytest

from studies.measures import CELLS
from studies.recipes import NAMES
from ttd_jax import Fuser
from ttd_jax.backbones import BACKBONES, bundled_checkpoints, load_backbone
from ttd_jax.core.weighting import PAPER

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 14), dtype=np.uint8)

RECIPES = [
    pytest.param(row.recipes, id=f"{name}-{preset}")
    for name, spec in BACKBONES.items()
    for preset in spec.presets
    for row in [spec.of_preset(preset)]
    if row.recipes
]


@pytest.mark.parametrize("recipes", RECIPES)
def test_every_recipe_is_complete_and_the_paper_is_among_them(recipes):
    assert {"default", "paper"} <= set(recipes)
    for recipe in recipes.values():
        assert all(value is not None for value in asdict(recipe).values())
    assert recipes["paper"] == PAPER


@pytest.mark.parametrize("name", ["bandnet", "ifcnn"])
def test_networks_of_the_study_have_a_recipe_for_every_task(name):
    assert set(NAMES) == set(CELLS)
    for preset in BACKBONES[name].presets:
        assert {*NAMES.values(), "default", "paper"} <= set(BACKBONES[name].of_preset(preset).recipes)


@pytest.mark.parametrize(
    ("name", "preset", "tasks"),
    [
        ("cddfuse", "ivf", {"vif"}),
        ("cddfuse", "mif", {"medical"}),
        ("piafusion", "default", {"vif"}),
        ("mgdn", "focus", {"focus"}),
        ("mgdn", "exposure", set()),
        ("pfcfuse", "ivf", {"vif"}),
    ],
)
def test_other_networks_have_recipes_for_what_they_were_published_for(name, preset, tasks):
    recipes = BACKBONES[name].of_preset(preset).recipes
    assert set(recipes) & set(NAMES.values()) == tasks
    assert all(recipes[task] == recipes["default"] for task in tasks)


@pytest.mark.parametrize(("name", "tasks"), [("densefuse", {"vif"}), ("didfuse", set()), ("auif", set())])
def test_networks_that_reconstruct_have_a_default_in_strips(name, tasks):
    recipes, model = BACKBONES[name].recipes, BACKBONES[name].build()
    assert recipes["default"] == PAPER and recipes["default"].reach(model) is not None
    assert set(recipes) & set(NAMES.values()) == tasks and all(recipes[task].bands == "all" for task in tasks)


def test_info_lists_every_recipe():
    from ttd_jax.cli.info import gather

    listed = {row["name"]: row["recipes"] for row in gather()["backbones"]}
    assert set(listed["cddfuse"]) == {"default", "published", "vif", "medical", "paper"}
    assert {*NAMES.values(), "default", "paper"} <= set(listed["ifcnn"])


def test_names_of_tasks_mean_the_same_everywhere():
    known = {*NAMES.values(), "default", "paper", "published", "fitted"}
    for spec in BACKBONES.values():
        for preset in spec.presets:
            assert set(spec.of_preset(preset).recipes) <= known


def test_the_bundled_checkpoint_can_be_asked_for_each_recipe():
    assert bundled_checkpoints()
    backbone = load_backbone()
    sources = list(IMAGES[:2])
    for name in (*NAMES.values(), "paper"):
        report = Fuser(backbone, recipe=name)(sources).report["weighting"]
        assert report["scale"] == pytest.approx(float(backbone.recipes[name].scale))
