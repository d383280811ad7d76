"""Research with the package: run each as ``python -m studies.NAME``; what they found is in ``docs/studies/``."""
