"""The reference networks, converted once a session."""

from functools import cache

import jax
import jax.numpy as jnp
import pytest

from tests.backbones.golden import FILES, GoldenNetwork


@pytest.fixture(scope="session")
def golden(shared_data):
    """From a key of ``FILES`` to its model and golden arrays."""

    @cache
    def load(name: str) -> GoldenNetwork:
        from convert.mappings import TABLES
        from convert.rules import convert
        from convert.torch_file import read_torch_file
        from ttd_jax.backbones import BACKBONES, COMPANIONS

        file, arrays, network, preset = FILES[name]
        spec = (BACKBONES | COMPANIONS)[network]
        model = spec.build(**spec.presets[preset])
        tensors = read_torch_file(shared_data / file)
        variables = convert(tensors, TABLES[network], spec.abstract(model)).variables
        return GoldenNetwork(spec, model, jax.tree.map(jnp.asarray, variables), shared_data / "golden" / arrays)

    return load
