"""The method itself: pure functions of arrays and a :class:`~ttd_jax.core.model.FusionModel`."""
