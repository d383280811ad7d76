"""From a traced fusion to machine code, with no more effort than pays."""

from typing import Any

import jax

from ttd_jax.core.model import FusionModel

BRIEFLY: dict[str, str | bool] = {"xla_backend_optimization_level": "1", "xla_cpu_use_fusion_emitters": False}
"""What XLA is told where its full effort takes twice the time and gains nothing."""


def compile_program(lowered: Any, model: FusionModel) -> Any:
    """The program of a fusion, briefly compiled where the model's facts say that this will do.

    Args:
        lowered: What ``jax.jit(...).lower(...)`` gives.
        model: The fusion network.
    """
    as_set = jax.config.values["jax_disable_most_optimizations"]  # asks for less still
    if model.facts.plain_code and jax.default_backend() == "cpu" and not as_set:
        try:
            return lowered.compile(compiler_options=BRIEFLY)
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if "compile option" not in str(error):
                raise
    return lowered.compile()  # an XLA that does not know one of these options
