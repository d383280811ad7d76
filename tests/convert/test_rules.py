"""The mapping tables: which key fills which variable, in which layout, and what is said when something does not fit."""

import jax
import numpy as np
import pytest

from convert.mappings import TABLES
from convert.rules import Rule, Table, batch_norm, convert
from ttd_jax.backbones import BACKBONES, COMPANIONS
from ttd_jax.errors import CheckpointError

TABLE = Table(
    rules=[
        Rule("first.weight", "params/first/kernel", "conv"),
        Rule("layers.{i}.weight", "params/layers_{i}/kernel", "linear"),
        *batch_norm("bn", "bn"),
    ],
    ignored=["{name}.num_batches_tracked"],
)
RNG = np.random.default_rng(0)


def tensors():
    shapes = {
        "first.weight": (5, 2, 3, 4),
        "layers.0.weight": (6, 7),
        "layers.1.weight": (8, 9),
        "bn.weight": (5,),
        "bn.bias": (5,),
        "bn.running_mean": (5,),
        "bn.running_var": (5,),
        "bn.num_batches_tracked": (),
    }
    return {name: RNG.random(shape) for name, shape in shapes.items()}


def shape(*sides):
    return jax.ShapeDtypeStruct(sides, np.float32)


ABSTRACT = {
    "params": {
        "first": {"kernel": shape(3, 4, 2, 5)},
        "layers_0": {"kernel": shape(7, 6)},
        "layers_1": {"kernel": shape(9, 8)},
        "bn": {"scale": shape(5), "bias": shape(5)},
    },
    "batch_stats": {"bn": {"mean": shape(5), "var": shape(5)}},
}


def problems(given):
    with pytest.raises(CheckpointError) as caught:
        convert(given, TABLE, ABSTRACT)
    return set(str(caught.value).split("; "))


def test_every_variable_is_filled_in_its_layout():
    given = tensors()
    converted = convert(given, TABLE, ABSTRACT)
    params, statistics = converted.variables["params"], converted.variables["batch_stats"]
    assert jax.tree.structure(converted.variables) == jax.tree.structure(ABSTRACT)
    assert all(leaf.dtype == np.float32 and leaf.flags.c_contiguous for leaf in jax.tree.leaves(converted.variables))
    # element by element: output channel 4, input channel 1, row 2, column 3
    assert params["first"]["kernel"][2, 3, 1, 4] == np.float32(given["first.weight"][4, 1, 2, 3])
    np.testing.assert_allclose(params["layers_1"]["kernel"], given["layers.1.weight"].T, rtol=1e-6)
    np.testing.assert_allclose(params["bn"]["scale"], given["bn.weight"], rtol=1e-6)
    np.testing.assert_allclose(statistics["bn"]["var"], given["bn.running_var"], rtol=1e-6)
    assert set(converted.used) == set(given) - {"bn.num_batches_tracked"}
    assert converted.ignored == ["bn.num_batches_tracked"]


def test_data_parallel_prefixes_are_dropped_anywhere():
    given = tensors()
    wrapped = {f"module.{key}".replace("layers.", "layers.module."): array for key, array in given.items()}
    assert fingerprints(convert(wrapped, TABLE, ABSTRACT)) == fingerprints(convert(given, TABLE, ABSTRACT))


def fingerprints(converted):
    return [leaf.tobytes() for leaf in jax.tree.leaves(converted.variables)]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_numbers_become_float32(dtype):
    given = {key: array.astype(dtype) for key, array in tensors().items()}
    kernel = convert(given, TABLE, ABSTRACT).variables["params"]["first"]["kernel"]
    np.testing.assert_array_equal(kernel, given["first.weight"].transpose(2, 3, 1, 0).astype(np.float32))


def test_all_problems_are_listed_at_once():
    given = tensors()
    del given["first.weight"]
    given["extra.weight"] = np.zeros((2, 2))
    given["layers.0.weight"] = np.zeros((6, 8))
    given["layers.1.weight"] = np.zeros((6, 8, 3))
    given["layers.7.weight"] = np.zeros((1, 2))
    given["module.bn.weight"] = np.zeros(5)
    assert problems(given) == {
        "unexpected key extra.weight (2, 2)",
        "missing params/first/kernel (3, 4, 2, 5)",
        "params/layers_0/kernel is float32(8, 6), expected float32(7, 6)",
        "layers.1.weight has 3 dimensions, expected 2",
        "missing params/layers_1/kernel (9, 8)",
        "unexpected params/layers_7/kernel (2, 1)",
        "two keys for params/bn/scale, the second is module.bn.weight",
    }


def test_a_placeholder_stands_for_one_part():
    given = tensors()
    given["layers.0.0.weight"] = given.pop("layers.0.weight")
    assert problems(given) == {"unexpected key layers.0.0.weight (6, 7)", "missing params/layers_0/kernel (7, 6)"}


def test_dots_in_a_rule_are_dots():
    given = tensors()
    given["first_weight"] = given.pop("first.weight")
    assert "unexpected key first_weight (5, 2, 3, 4)" in problems(given)


def test_every_table_belongs_to_a_backbone():
    assert TABLES.keys() <= (BACKBONES | COMPANIONS).keys()


def test_a_table_knows_its_keys_and_no_others():
    keys = [*tensors(), "layers.12.weight"]
    assert TABLE.knows(keys) and TABLE.knows(f"module.{key}" for key in keys)
    for stranger in ("first.bias", "layers.weight", "other.first.weight"):
        assert not TABLE.knows([*keys, stranger])
