"""What jax raises where a length that holds a symbol cannot be compared with a number."""

import jax.core
import jax.errors

_NAME = "InconclusiveDimensionOperation"

InconclusiveDimensionOperation: type[Exception] = getattr(
    jax.errors if hasattr(jax.errors, _NAME) else jax.core,  # where jax 0.8 has it
    _NAME,
)
