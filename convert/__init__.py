"""From PyTorch checkpoint files to checkpoints of ttd-jax, without PyTorch."""
