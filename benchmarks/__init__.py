"""Measurements: run each as ``python -m benchmarks.NAME``; not collected by pytest."""
