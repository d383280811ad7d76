"""Recipes belong to the checkpoint: all of them are written, and all of them count."""

import json
from dataclasses import replace

import jax.numpy as jnp
import pytest

from tests.networks import ifcnn_backbone
from ttd_jax import Backbone, CheckpointError, InputError, LossWeighting, load_backbone, save_backbone
from ttd_jax.backbones.ifcnn import SPEC
from ttd_jax.backbones.recipes import recipes_as_data, recipes_of
from ttd_jax.core.weighting import PAPER

DEFAULT = replace(PAPER, loss="l1", scale=2.0, form="log", smoothing=2.0)
PUBLISHED = {"default": DEFAULT, "vif": DEFAULT, "focus": replace(DEFAULT, scale=3.0), "paper": PAPER}


def test_what_is_written_is_read():
    recipes = {"default": replace(PAPER, scale=0.7), "night": replace(DEFAULT, smoothing=5)}
    manifest = json.loads(json.dumps({"recipes": recipes_as_data(recipes)}))
    assert recipes_of(manifest, PUBLISHED) == recipes


def test_a_manifest_without_any_has_the_published_ones():
    assert recipes_of({}, PUBLISHED) == recipes_of({"recipe": None, "recipes": None}, PUBLISHED) == PUBLISHED
    assert recipes_of({"recipes": {"default": {}}}, {}) == {}


def test_the_single_recipe_of_before_changes_every_recipe_that_shares_the_default():
    found = recipes_of({"recipe": {"scale": 5.0, "smoothing": 1.0}}, PUBLISHED)
    assert found["default"] == found["vif"] == replace(DEFAULT, scale=5.0, smoothing=1.0)
    assert found["focus"] == replace(DEFAULT, scale=3.0, smoothing=1.0)  # a scale of its own stays
    assert found["paper"] == PAPER


def test_options_left_out_of_a_recipe_are_those_of_the_manifests_default():
    found = recipes_of({"recipes": {"default": {"scale": 7.0}, "night": {"loss": "mse"}}}, PUBLISHED)
    assert found == {"default": replace(DEFAULT, scale=7.0), "night": replace(DEFAULT, scale=7.0, loss="mse")}


def test_a_function_cannot_be_written():
    recipe = replace(PAPER, loss=lambda u, x: jnp.mean(u - x, axis=-1))
    with pytest.raises(InputError, match="a checkpoint cannot hold a function: recipe 'night' has the loss"):
        recipes_as_data({"default": PAPER, "night": recipe})


def test_a_backbone_is_saved_and_loaded_with_its_recipes(tmp_path, ifcnn_variables):
    recipes = {"default": LossWeighting(scale=3.0), "night": replace(DEFAULT, smoothing=9.0)}
    made = replace(ifcnn_backbone(ifcnn_variables, "sum"), recipes=recipes)
    assert made.recipes["default"] == replace(PAPER, scale=3.0)  # what is left open is the paper's
    manifest = save_backbone(made, tmp_path / "mine", preset="sum")
    assert manifest["recipes"]["night"]["smoothing"] == 9.0
    loaded = load_backbone(checkpoint=tmp_path / "mine")
    assert loaded.recipes == made.recipes and loaded.model == made.model and loaded.spec == SPEC
    with pytest.raises(InputError, match=r"ifcnn built with \{'rule': 'max'\} is not this model: pass config"):
        save_backbone(made, tmp_path / "other")
    with pytest.raises(InputError, match="one of the recipes is called 'default'; got night"):
        Backbone(SPEC, made.model, made.variables, {"night": DEFAULT})


@pytest.mark.parametrize("recipes", [[], {"night": {}}, {"default": {"scale": -1}}, {"default": {"speed": 1}}, 3])
def test_recipes_that_are_damaged(tmp_path, ifcnn_variables, recipes):
    made = ifcnn_backbone(ifcnn_variables, "max")
    save_backbone(made, tmp_path / "mine")
    path = tmp_path / "mine" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recipes": recipes}))
    with pytest.raises(CheckpointError, match=r"the manifest of checkpoint .* is damaged"):
        load_backbone(checkpoint=tmp_path / "mine")
