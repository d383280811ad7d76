"""A seeded mutator of images, PyTorch files and checkpoint folders; ``python -m tests.fuzz images --count 10000``."""
