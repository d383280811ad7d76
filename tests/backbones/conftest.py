"""The reference networks, converted once a session."""

from functools import cache

import jax
import pytest

from tests.backbones.golden import FILES, GoldenNetwork, files_of
from ttd_jax.ops import borders
from ttd_jax.ops import conv as ops_conv


@pytest.fixture
def limit(monkeypatch):
    """Sets a constant of ``ops.conv`` or ``ops.borders``; what is compiled with it is kept apart."""

    def set_constant(name: str, value: int) -> None:
        monkeypatch.setattr(ops_conv if hasattr(ops_conv, name) else borders, name, value)
        jax.clear_caches()

    yield set_constant
    jax.clear_caches()


@pytest.fixture(scope="session")
def golden(shared_data):
    """From a key of ``FILES`` to its model and golden arrays."""

    @cache
    def load(name: str) -> GoldenNetwork:
        from convert.mappings import TABLES
        from convert.rules import convert
        from convert.torch_file import read_torch_file
        from ttd_jax.backbones import BACKBONES, COMPANIONS

        _, arrays, network, preset = FILES[name]
        spec = (BACKBONES | COMPANIONS)[network]
        model = spec.build(**spec.presets[preset])
        tensors = {key: one for file in files_of(shared_data, name) for key, one in read_torch_file(file).items()}
        variables = convert(tensors, TABLES[network], spec.abstract(model)).variables
        return GoldenNetwork(spec, model, jax.device_put(variables), shared_data / "golden" / arrays)

    return load
