"""Seconds and memory: run each as ``python -m benchmarks.NAME``; not collected by pytest."""
