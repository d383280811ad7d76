"""Speed and memory, side by side with plain implementations; run as ``python -m benchmarks.<name>``."""
