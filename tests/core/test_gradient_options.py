"""Options of weights from gradients: which are traced, which come from the recipe, which are refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax.core.gradient_weighting import GradientWeighting
from ttd_jax.core.weighting import PAPER
from ttd_jax.errors import InputError


def skewed(component, source):
    return jnp.sum(jnp.abs(component - source) ** 1.5)


def test_numbers_are_traced_and_names_are_static():
    weighting = GradientWeighting(channel=3, scale=2.0)
    leaves, tree = jax.tree.flatten(weighting)
    assert leaves == [2.0, 3] and jax.tree.unflatten(tree, leaves) == weighting
    assert tree == jax.tree.structure(replace(weighting, channel=58, scale=9.0))
    for other in ({"channel": "mean"}, {"channel": [3, 4]}, {"loss": "l1"}, {"loss": skewed}, {"smoothing": 1.0}):
        assert tree != jax.tree.structure(replace(weighting, **other))


def test_loss_and_scale_are_not_the_recipes():
    recipe = replace(PAPER, loss="l1", scale=50.0, component="black", form="log", smoothing=2.0)
    complete = GradientWeighting().complete(recipe)
    assert (complete.loss, complete.scale, complete.channel) == ("mse", 1.0, "mean")
    assert (complete.component, complete.form, complete.smoothing) == ("black", "log", 2.0)
    assert GradientWeighting(component="duplicate").component == "scaled"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": "vif"},
            "loss is one of 'mse', 'l1', 'ssim', 'gradient' or a function of component and source; got 'vif'",
        ),
        ({"form": "cubic"}, "form is one of 'exp', 'linear', 'sigmoid', 'log'; got 'cubic'"),
        ({"channel": -1}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got -1"),
        ({"channel": "best"}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got 'best'"),
        ({"channel": 1.5}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got 1.5"),
        ({"channel": []}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got []"),
        ({"channel": True}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got True"),
        ({"channel": [1, -2]}, "channel is an index of at least 0, a list of them, 'mean' or 'auto'; got [1, -2]"),
        ({"scale": -1}, "scale is a finite number of at least 0; got -1"),
        ({"smoothing": 101}, "smoothing is a number of pixels from 0 to 100; got 101"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError) as caught:
        GradientWeighting(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("channel", [np.array([1.0, 2.0]), np.array(1.5), jnp.array([0.5])])
def test_an_array_of_fractions_is_no_channel(channel):
    with pytest.raises(InputError, match="channel is an index of at least 0, a list of them, 'mean' or 'auto'; got "):
        GradientWeighting(channel=channel)
