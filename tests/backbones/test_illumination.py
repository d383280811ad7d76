"""The illumination classifier against golden outputs, and what it makes of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.backbones.golden import TOLERANCE, random_variables
from ttd_jax.backbones import find_spec, load_backbone
from ttd_jax.backbones.illumination import SPEC, Illumination, IlluminationNetwork, load_illumination
from ttd_jax.errors import CheckpointError, InputError
from ttd_jax.io.checkpoints import count_parameters, save_checkpoint


@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["00537D", "00881N", "00556D"])
def test_golden_outputs(golden, case):
    network = golden("illumination")
    stored = network.case(case)
    outputs = IlluminationNetwork().apply(network.variables, jnp.asarray(stored["visible"]))
    assert np.abs(outputs - stored["logits"]).max() <= TOLERANCE * max(1, np.abs(stored["logits"]).max())
    day, night = Illumination(network.variables, {})(stored["visible"])
    assert day == pytest.approx(stored["logits"][0] / stored["logits"].sum(), abs=1e-6)
    assert (day > night) == case.endswith("D")


@pytest.fixture(scope="module")
def variables():
    return random_variables(SPEC, IlluminationNetwork())


def test_parameter_count(variables):
    assert count_parameters(variables) == 189_810


def with_outputs(variables, day, night):
    """The classifier with the last layer replaced by two numbers."""
    layer = {"kernel": np.zeros((128, 2), np.float32), "bias": np.array([day, night], np.float32)}
    return Illumination({"params": variables["params"] | {"linear2": layer}}, {})


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [((3.0, 1.0), (0.75, 0.25)), ((-1.0, 2.0), (0.0, 1.0)), ((0.0, 0.0), (0.5, 0.5)), ((-2.0, -1.0), (0.5, 0.5))],
)
def test_probabilities(variables, outputs, expected):
    assert with_outputs(variables, *outputs)(np.zeros((16, 17, 3), np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20), np.float32), r"takes an RGB image .* got one of shape \(20, 20\)"),
        (np.zeros((20, 20, 3), np.int32), "got int32: shift and scale"),
        (np.zeros((15, 20, 3), np.float32), "15 x 20 pixels: expected at least 16 x 16"),
        (np.full((20, 20, 3), np.nan, np.float32), "finite"),
        (np.full((20, 20, 3), 2.0, np.float32), r"in \[0, 1\]"),
    ],
)
def test_images_that_do_not_fit(variables, image, message):
    with pytest.raises(InputError, match=message):
        Illumination(variables, {})(image)


def test_whole_levels_are_scaled(variables):
    image = np.random.default_rng(0).integers(0, 256, (16, 17, 3), dtype=np.uint8)
    classify = Illumination(variables, {})
    assert classify(image) == pytest.approx(classify((image / 255).astype(np.float32)))


def test_it_loads_by_its_own_function_only(tmp_path, variables):
    manifest = {"backbone": SPEC.name, "preset": "default", "config": {}, "licence": "none: random numbers"}
    save_checkpoint(tmp_path / "classifier", variables, manifest)
    save_checkpoint(tmp_path / "other", variables, manifest | {"backbone": "ifcnn"})
    loaded = load_illumination(tmp_path / "classifier")
    assert loaded.manifest["parameters"] == 189_810
    assert sum(loaded(np.zeros((16, 16, 3), np.float32))) == pytest.approx(1)
    with pytest.raises(CheckpointError, match=r"is of 'ifcnn', expected 'piafusion-illumination'"):
        load_illumination(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"does not fuse: load it with .*load_illumination"):
        load_backbone(checkpoint=tmp_path / "classifier")
    with pytest.raises(InputError, match=r"does not fuse: load it with .*load_illumination"):
        find_spec("piafusion-illumination")
