"""Programs that are compiled briefly: where they may be, by what options, and that they give the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ttd_jax.backbones import bandnet, pyramid
from ttd_jax.core.fusion import fuse
from ttd_jax.engine.compilation import BRIEFLY, compile_program

SETTING = "jax_disable_most_optimizations"


class Lowered:
    """What jax lowers to, as far as it is asked."""

    def __init__(self, error=None):
        self.error, self.asked = error, []

    def compile(self, compiler_options=None):
        self.asked.append(compiler_options)
        if compiler_options and self.error:
            raise self.error
        return "program"


@pytest.fixture(autouse=True)
def _as_users_have_it():
    before = jax.config.values[SETTING]
    jax.config.update(SETTING, False)
    yield
    jax.config.update(SETTING, before)


def test_a_setting_that_asks_for_less_is_kept():
    jax.config.update(SETTING, True)
    lowered = Lowered()
    assert compile_program(lowered, bandnet.build()) == "program"
    assert lowered.asked == [None]


def test_briefly_where_the_facts_say_so():
    for model, options in ((bandnet.build(), BRIEFLY), (pyramid.MODEL, None)):
        lowered = Lowered()
        assert compile_program(lowered, model) == "program"
        assert lowered.asked == [options]


def test_an_option_that_xla_does_not_know_is_left_out():
    lowered = Lowered(jax.errors.JaxRuntimeError("INVALID_ARGUMENT: No such compile option: 'xla_cpu_any'"))
    assert compile_program(lowered, bandnet.build()) == "program"
    assert lowered.asked == [BRIEFLY, None]
    with pytest.raises(jax.errors.JaxRuntimeError, match="EXHAUSTED"):
        compile_program(Lowered(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")), bandnet.build())


def test_they_give_what_the_others_give():
    model = bandnet.build(channels=4, hidden=4, base=4)
    variables = jax.jit(model.network.init)(jax.random.key(1), jnp.zeros((2, 24, 24, 1)))
    sources = jnp.asarray(np.random.default_rng(2).random((2, 33, 30, 1), np.float32))
    lowered = jax.jit(partial(fuse, model)).lower(variables, sources, bandnet.WEIGHTING)
    briefly = compile_program(lowered, model)(variables, sources, bandnet.WEIGHTING)
    fully = lowered.compile(compiler_options={"xla_backend_optimization_level": "3"})(
        variables, sources, bandnet.WEIGHTING
    )
    np.testing.assert_allclose(briefly.image, fully.image, atol=1e-5)
    np.testing.assert_allclose(briefly.weights, fully.weights, atol=1e-5)
